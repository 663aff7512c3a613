"""Look into the networks of chapter 2: `make findings CHAPTER=zhang2019`.

How the attention of the whole system goes with loudness, on EmoDB and on a tenth of the synthetic corpus, trained and
untrained; and two utterances to look at and to hear.
"""

from dataclasses import replace

import numpy as np
from shared import item, keep_findings, networks, run

import serlib
from serlib.audio import read_row
from serlib.device import seed_everything
from serlib.papers import zhang2019

FULL = "e2e MTL+att."
AWAY = (1, 4, 7, 8)


def untrained(task, trained: zhang2019.Recogniser, seed: int) -> np.ndarray:
    """The mean over the first fold's test of how the attention of a network that learned nothing goes with loudness."""
    seed_everything(seed)
    network = zhang2019.make_model(FULL, len(task.auxiliary), len(task.classes)).eval()
    network.front_end.standardise = trained.front_end.standardise
    rows = task.table.iloc[task.folds[0].test].itertuples()
    return np.mean([zhang2019.follows_loudness(network, read_row(row)) for row in rows], axis=0)


def attention() -> None:
    """Habits of all tested utterances, and two examples, into reference/zhang2019/attention.npz."""
    emodb = item("zhang2019", FULL, "emodb", "common_levels", epochs=8)
    synthetic = item("zhang2019", FULL, "synthetic:full", "zhang2019_inferred")
    arrays = {}
    for name, one in (("emodb", emodb), ("synthetic", synthetic)):
        task = one.run().task
        found = list(networks(one, zhang2019.make_model, len(task.auxiliary), len(task.classes)))
        tested = [(network, row) for fold, network in found for row in fold.test]
        rows = task.table.iloc[[row for _, row in tested]]
        habits = [zhang2019.follows_loudness(network, read_row(task.table.iloc[row])) for network, row in tested]
        arrays[f"{name}_habits"] = np.array(habits, dtype=np.float32)
        arrays[f"{name}_speaker"] = rows["speaker"].to_numpy(dtype=str)
        arrays[f"{name}_dimensions"] = np.array(list(task.auxiliary))
        if name == "emodb":
            ten = [untrained(task, found[0][1], seed) for seed in range(10)]
            arrays["untrained_habits"] = np.array(ten, np.float32)
    levels, lengths = task.auxiliary["activation"], task.table["duration"]
    sayings = []
    for number, level in enumerate((2, 0)):  # the first lively and the first calm one of some seconds
        row = next(row for row in task.folds[0].test if levels[row] == level and 2.5 < lengths[row] < 5)
        waveform = read_row(task.table.iloc[row])
        arrays[f"waveform_{number}"] = np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
        arrays[f"weights_{number}"] = zhang2019.attention_over_time(found[0][1], waveform).astype(np.float32)
        sayings.append(f"{task.table['transcript'].iloc[row]} ({task.classes[level]} activation)")
    records = [run(emodb), run(synthetic)]
    keep_findings("zhang2019/attention", records, sayings=np.array(sayings), **arrays)


def directions() -> None:
    """Does training turn attention towards loudness? Seeds whose untrained activation looks away, on the first fold.

    Means over the fold's test before and after training, into reference/zhang2019/directions.npz.
    """
    before, after, records = [], [], []
    for seed in AWAY:
        one = replace(item("zhang2019", FULL, "emodb", "common_levels", seed, epochs=8), folds=1)
        task = one.run().task
        ((fold, network), *_) = networks(one, zhang2019.make_model, len(task.auxiliary), len(task.classes))
        before.append(untrained(task, network, seed))
        rows = task.table.iloc[fold.test].itertuples()
        after.append(np.mean([zhang2019.follows_loudness(network, read_row(row)) for row in rows], axis=0))
        records.append(run(one))
    arrays = {"seeds": np.array(AWAY), "dimensions": np.array(list(task.auxiliary))}
    keep_findings("zhang2019/directions", records, before=np.array(before), after=np.array(after), **arrays)


if __name__ == "__main__":
    print(serlib.setup())
    attention()
    directions()
