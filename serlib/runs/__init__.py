"""The sixth room: runs and their records. A number stands in the book only if a record holds it.

`record` is what a record is, `make` how it is made, `origin` where it comes from, `behaviour` whether today's code
would compute the same, `tables` and `findings` how it is shown; `queue` has the reference runs that are worth having,
and `cluster` takes runs to many machines.
"""

from serlib.runs.findings import findings, keep_findings
from serlib.runs.make import Chapter, Run, load, network_run, reproduce, run_all
from serlib.runs.origin import environment
from serlib.runs.record import REFERENCE, Record, read_record
from serlib.runs.tables import compare, describe, fullest, learning_curves, over_seeds, reference

__all__ = ["REFERENCE", "Chapter", "Record", "Run", "compare", "describe", "environment", "findings", "fullest"]
__all__ += ["keep_findings", "learning_curves", "load", "network_run", "over_seeds", "read_record", "reference"]
__all__ += ["reproduce", "run_all"]
