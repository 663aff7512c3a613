"""Make the reference records of chapter 2: `make reference CHAPTER=zhang2019`. It goes on where it was stopped.

A GPU gets the paper's schedule on the whole synthetic corpus, three seeds; a CPU a tenth of its utterances, few epochs
and one seed, and the records say so. EmoDB is looked for under SERLIB_DATA as `emodb`. Naming parts makes only
these: `python book/studies/zhang2019_runs.py synthetic emodb`.
"""

import dataclasses
import sys

import numpy as np
import pandas as pd
from reference_runs import RUNS, keep, plan

import serlib
from serlib import corpora, protocols
from serlib.audio import read_row
from serlib.baselines import functionals_svm
from serlib.device import seed_everything
from serlib.papers import zhang2019
from serlib.papers.zhang2019 import Schedule
from serlib.results import REFERENCE

KEPT = REFERENCE / "zhang2019"
FULL = "e2e MTL+att."
SEEDS = plan((0, 1, 2), (0,))
SYNTHETIC = plan(Schedule(), Schedule(epochs=6, batch_size=4, longest=3.0))
EMODB = plan(Schedule(), Schedule(epochs=8, batch_size=4))


def synthetic_corpus() -> pd.DataFrame:
    """The synthetic corpus in full size on a GPU, every tenth of its utterances on a CPU."""
    table = corpora.load("synthetic:full")
    if plan(False, True):
        table = table.iloc[::10].reset_index(drop=True)
        table.attrs["corpus"] = "synthetic:full, every tenth"
    return table


def baselines() -> None:
    """The support vector machines: on the whole synthetic corpus under both partitions, on its part, and on EmoDB."""
    full = corpora.load("synthetic:full")
    for table, protocol in (
        (corpora.load("emodb"), protocols.common_levels),
        (synthetic_corpus(), protocols.zhang2019_inferred),
        (full, protocols.zhang2019_inferred),
        (full, protocols.zhang2019_stated),
    ):
        for dimension in protocol(table).auxiliary:
            functionals_svm(protocol(table, dimension), RUNS / "zhang2019", choose_on="development")


def synthetic() -> None:
    """All methods of Table 1 under the inferred partition; on a CPU the single-task networks for activation only."""
    about = {"schedule": SYNTHETIC, "seeds": SEEDS, "dimensions": plan(None, ["activation"])}
    zhang2019.recompute(synthetic_corpus(), RUNS / "zhang2019", **about)


def emodb() -> None:
    """The whole system, speaker-disjoint, on EmoDB with levels that are mapped from its emotions."""
    task = protocols.common_levels(corpora.load("emodb"))
    for seed in SEEDS:
        zhang2019.reproduce(task, FULL, EMODB, seed, RUNS / "zhang2019")


def descriptors() -> None:
    """The recurrent network on low-level descriptors, in every dimension of both corpora."""
    for table, protocol, schedule in (
        (corpora.load("emodb"), protocols.common_levels, EMODB),
        (synthetic_corpus(), protocols.zhang2019_inferred, SYNTHETIC),
    ):
        for dimension in protocol(table).auxiliary:
            for seed in SEEDS:
                task = protocol(table, dimension)
                zhang2019.reproduce(task, "OS+RNNs", schedule, seed, RUNS / "zhang2019")


def dropout() -> None:
    """Both places of the dropout, on the same fold of EmoDB: the vectors, or the raw windows."""
    task = protocols.common_levels(corpora.load("emodb"))
    for place in ("vector", "input"):
        schedule = dataclasses.replace(EMODB, epochs=plan(20, 2), dropout_at=place)
        zhang2019.reproduce(task, FULL, schedule, folder=RUNS / "zhang2019", folds=1)


def untrained(task: protocols.Task, networks: dict, seed: int) -> np.ndarray:
    """The mean over the first fold's test of how the attention of a network that learned nothing goes with loudness."""
    fold = task.folds[0]
    seed_everything(seed)
    network = zhang2019.make_model(FULL, len(task.auxiliary), len(task.classes)).eval()
    network.front_end.standardise = networks[fold.name].front_end.standardise
    rows = task.table.iloc[fold.test].itertuples()
    return np.mean([zhang2019.follows_loudness(network, read_row(row)) for row in rows], axis=0)


def attention() -> None:
    """How the attention of `emodb` and `synthetic` goes with loudness, and two utterances to look at and to hear."""
    arrays = {}
    emodb, full = protocols.common_levels(corpora.load("emodb")), protocols.zhang2019_inferred(synthetic_corpus())
    for name, task, schedule in (("emodb", emodb, EMODB), ("synthetic", full, SYNTHETIC)):
        _, networks = zhang2019.reproduce(task, FULL, schedule, folder=RUNS / "zhang2019")
        tested = [(networks[fold.name], row) for fold in task.folds for row in fold.test]
        rows = task.table.iloc[[row for _, row in tested]]
        habits = [zhang2019.follows_loudness(network, read_row(task.table.iloc[row])) for network, row in tested]
        arrays[f"{name}_habits"] = np.array(habits, dtype=np.float32)
        arrays[f"{name}_speaker"] = rows["speaker"].to_numpy(dtype=str)
        arrays[f"{name}_dimensions"] = np.array(list(task.auxiliary))
        if name == "emodb":
            arrays["untrained_habits"] = np.array([untrained(task, networks, seed) for seed in range(10)], np.float32)
    levels, lengths = full.auxiliary["activation"], full.table["duration"]
    sayings = []
    for number, level in enumerate((2, 0)):  # the first lively and the first calm one of some seconds
        row = next(row for row in full.folds[0].test if levels[row] == level and 2.5 < lengths[row] < 5)
        waveform = read_row(full.table.iloc[row])
        arrays[f"waveform_{number}"] = np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
        weights = zhang2019.attention_over_time(networks[full.folds[0].name], waveform)
        arrays[f"weights_{number}"] = weights.astype(np.float32)
        sayings.append(f"{full.table['transcript'].iloc[row]} ({full.classes[level]} activation)")
    np.savez_compressed(KEPT / "attention.npz", sayings=np.array(sayings), **arrays)


if __name__ == "__main__":
    print(serlib.setup())
    for part in (baselines, synthetic, emodb, descriptors, dropout, attention):
        if part.__name__ in (sys.argv[1:] or [part.__name__]):
            print(part.__doc__, flush=True)
            part()
    keep("zhang2019", KEPT)
