"""What the studies share: where runs lie, which network a finding looks into, and how what it found is kept."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import reference
from torch import nn

from serlib import runs
from serlib.cache import write_atomically
from serlib.protocols import Fold
from serlib.runs import Record
from serlib.runs import record as records_of
from serlib.runs.origin import origin

RUNS = Path(__file__).resolve().parents[2] / "runs"


def item(chapter: str, model: str, corpus: str, protocol: str, seed: int = 0, **settings: object) -> reference.Item:
    """The item of the list that is so: the one, or that with the fewest folds."""
    wanted = {"chapter": chapter, "model": model, "corpus": corpus, "protocol": protocol, "seed": seed}
    found = [each for each in reference.items() if all(getattr(each, key) == value for key, value in wanted.items())]
    found = [each for each in found if all(each.schedule.get(key) == value for key, value in settings.items())]
    one = min(found, key=lambda each: each.folds or 99)
    assert all(each.schedule == one.schedule for each in found), f"{wanted} are runs of several schedules"
    return one


def run(one: reference.Item) -> Record:
    """Its record; what was not run yet is trained now."""
    return runs.run_all([one.run()], RUNS / (one.part or one.chapter))[0]


def networks(one: reference.Item, make_model, *sizes: int) -> Iterator[tuple[Fold, nn.Module]]:
    """The folds of an item, each with the network that it was trained to."""
    record = run(one)
    for fold, entry in zip(one.run().task.folds, record.folds, strict=False):
        network = make_model(one.model, *sizes)
        yield fold, runs.load(network, RUNS / (one.part or one.chapter), record, entry["name"])


def keep_findings(name: str, records: Iterable[Record], **arrays: np.ndarray) -> None:
    """Write arrays to `reference/<name>.npz`; they rest on what the records rest on whose networks were looked into."""
    records = list(records)
    behaviour = {key: digest for record in records for key, digest in record.behaviour.items()}
    data = sorted({str(record.origin["data"]) for record in records})
    about = {"format": records_of.FORMAT, "behaviour": behaviour, "origin": origin(", ".join(data)), "history": {}}
    with write_atomically(records_of.REFERENCE / f"{name}.npz") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
