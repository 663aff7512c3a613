"""Before a release: is one fold of each chapter still what its record says? `make again`, half an hour.

Fingerprints see six updates in float32. Here the first fold of some reference records is trained again, whole, in the
record's own precision and on one thread. On the machine that made a record the answers are the same; on another one
rounding may turn some of them.
"""

import dataclasses
import os

import numpy as np
import reference
import torch
from shared import item

from serlib import device, runs
from serlib.runs.make import plan

ITEMS = (
    item("li2018", "Conv1_10x2", "emodb", "li2018"),
    item("zhang2019", "e2e MTL+att.", "emodb", "common_levels", epochs=2, dropout_at="vector"),
    item("jalal2020", "MOMA", "emodb", "jalal2020", seed=2),
    item("cai2020", "MMTL, V+A", "emodb", "cai2020", rule=None, inner=None, padding=None, double_softmax=None),
    item("zhao2021", "TCN+self-attention", "emodb", "zhao2021", epochs=20, weight=None),
)


def compared(one: reference.Item) -> str:
    """How many answers of the first fold are the record's, how far its scores are, and both final losses."""
    run = dataclasses.replace(one.run(), folds=1)
    about = {"model": one.model, "seed": one.seed, "protocol": one.protocol}
    settings = plan(run, None)[0].blank.settings
    (kept, *_) = [r for r in runs.reference(one.part or one.chapter, **about) if r.settings == settings]
    os.environ["SERLIB_PRECISION"] = kept.origin["environment"]["precision"]
    (now,), before = runs.run_all([run])[0].folds, kept.folds[0]
    same = np.mean(np.array(now["predicted"]) == before["predicted"])
    apart = np.abs(np.array(now["scores"]) - before["scores"]).max()
    losses = f"loss {before['loss']:.4f} and {now['loss']:.4f}"
    return f"{one.chapter}, {one.model}, fold {before['name']}: {same:.0%} the same, up to {apart:.4f} apart; {losses}"


if __name__ == "__main__":
    device.keep_pages()
    torch.set_num_threads(1)
    for one in ITEMS:
        print(compared(one), flush=True)
