"""What was looked up in trained networks, as arrays beside the records: attention, shares, habits."""

import json

import numpy as np

from serlib.runs import record as records_of


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
