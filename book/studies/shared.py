"""What the studies share: where runs lie, which network a finding looks into, and how results get into the package.

`python book/studies/shared.py`, which `make reference` calls after the queue, copies what is finished into
serlib/reference: of each item of the queue the record of all its folds.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from serlib import runs
from serlib.cache import write_atomically
from serlib.protocols import Fold
from serlib.runs import Record, queue
from serlib.runs.make import plan

RUNS = Path(__file__).resolve().parents[2] / "runs"


def item(chapter: str, model: str, corpus: str, protocol: str, seed: int = 0, **settings: object) -> queue.Item:
    """The item of the queue that is so: the one, or that with the fewest folds."""
    wanted = {"chapter": chapter, "model": model, "corpus": corpus, "protocol": protocol, "seed": seed}
    found = [each for each in queue.items() if all(getattr(each, key) == value for key, value in wanted.items())]
    found = [each for each in found if all(each.schedule.get(key) == value for key, value in settings.items())]
    one = min(found, key=lambda each: each.folds or 99)
    assert all(each.schedule == one.schedule for each in found), f"{wanted} are runs of several schedules"
    return one


def run(one: queue.Item) -> Record:
    """Its record; what was not run yet is trained now."""
    return runs.run_all([one.run()], RUNS / (one.part or one.chapter))[0]


def networks(one: queue.Item, make_model, *sizes: int) -> Iterator[tuple[Fold, nn.Module]]:
    """The folds of an item, each with the network that it was trained to."""
    record = run(one)
    for fold, entry in zip(one.run().task.folds, record.folds, strict=False):
        network = make_model(one.model, *sizes)
        yield fold, runs.load(network, RUNS / (one.part or one.chapter), record, entry["name"])


def keep(record: Record, part: str, stem: str) -> None:
    """Write a record into the package."""
    with write_atomically(runs.REFERENCE / part / f"{stem}.json") as file:
        file.write(json.dumps(dataclasses.asdict(record)).encode())
    print(f"kept {part}/{stem}")


if __name__ == "__main__":
    for each in queue.items():
        if record := queue.finished(each, RUNS):
            keep(record, each.part or each.chapter, plan(each.run(), RUNS)[0].place.parent.name)
