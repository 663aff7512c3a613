"""What was looked up in trained networks, as arrays beside the records: attention, shares, habits."""

import json
from collections.abc import Iterable

import numpy as np

from serlib.cache import write_atomically
from serlib.runs import record as records_of
from serlib.runs.origin import origin
from serlib.runs.record import FORMAT, Record


def keep_findings(name: str, records: Iterable[Record], **arrays: np.ndarray) -> None:
    """Write arrays to `reference/<name>.npz`; they rest on what the records rest on whose networks were looked into.

    Page: book/how_it_is_built.
    """
    records = list(records)
    behaviour = {key: digest for record in records for key, digest in record.behaviour.items()}
    data = sorted({str(record.origin["data"]) for record in records})
    about = {"format": FORMAT, "behaviour": behaviour, "origin": origin(", ".join(data)), "history": {}}
    with write_atomically(records_of.REFERENCE / f"{name}.npz") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def findings(name: str) -> dict[str, np.ndarray]:
    """The arrays of `reference/<name>.npz`, and `about`, where they come from.

    Where today's code behaves otherwise than the code that made them, a line with a dagger says so.
    Page: book/how_it_is_built.
    """
    with np.load(records_of.REFERENCE / f"{name}.npz") as stored:
        arrays = dict(stored)
    arrays["about"] = json.loads(str(arrays["about"]))
    today = records_of.fingerprint_ids()
    stale = [key for key, digest in arrays["about"]["behaviour"].items() if today.get(key) != digest]
    if stale:
        print(f"† {name}: made by code that behaved otherwise ({', '.join(stale)})")
    return arrays
