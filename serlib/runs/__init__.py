"""The sixth room: runs and their records. A number stands in the book only if a record holds it.

`record` is what a record is, `make` how it is made, `origin` where it comes from; `tables` and `findings` are how it is
shown, and `verdicts` what follows from it. `cluster` takes runs to many machines.
"""

from serlib.runs.findings import findings
from serlib.runs.make import Chapter, Run, network_run, reproduce, run_all
from serlib.runs.origin import environment
from serlib.runs.record import REFERENCE, Record, read_record
from serlib.runs.tables import by_speaker, compare, describe, fullest, learning_curves, over_seeds, recalls, reference
from serlib.runs.verdicts import Verdict, verdicts
from serlib.runs.weights import load

__all__ = ["REFERENCE", "Chapter", "Record", "Run", "Verdict", "by_speaker", "compare", "describe", "environment"]
__all__ += ["findings", "fullest", "learning_curves", "load", "network_run", "over_seeds"]
__all__ += ["read_record", "recalls", "reference", "reproduce", "run_all", "verdicts"]
