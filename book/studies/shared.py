"""What the studies share: where runs lie, and which network a finding looks into."""

from collections.abc import Iterator
from pathlib import Path

import reference
from torch import nn

from serlib import runs
from serlib.protocols import Fold
from serlib.runs import Record

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
