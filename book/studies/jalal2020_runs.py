"""Make the reference records of chapter 3: `make reference CHAPTER=jalal2020`. It goes on where it was stopped.

A GPU gets the paper's schedule, whole utterances and three seeds; a CPU five epochs in batches of 4 on a second and a
half of each training utterance, and every tenth utterance of the synthetic corpus: the records say so. (MOMA was
trained with SERLIB_PRECISION=float32, in which small batches are faster on a CPU without matrix units.) EmoDB and
RAVDESS are looked for under SERLIB_DATA, as `emodb` and `ravdess_speech`. Naming parts makes only these:
`python book/studies/jalal2020_runs.py emodb ablations`.
"""

import sys

import numpy as np
import pandas as pd
from reference_runs import RUNS, keep, plan

import serlib
from serlib import corpora, protocols
from serlib.audio import read_row
from serlib.baselines import functionals_svm
from serlib.device import seed_everything
from serlib.papers import jalal2020, li2018
from serlib.papers.jalal2020 import Schedule
from serlib.results import REFERENCE

FOLDER, KEPT = RUNS / "jalal2020", REFERENCE / "jalal2020"
SCHEDULE = plan(Schedule(), Schedule(epochs=5, batch_size=4, longest=1.5))
FASTER = plan(Schedule(), Schedule(epochs=8, batch_size=4, learning_rate=5e-4, longest=2.0))
SPECTROGRAMS = plan(Schedule(), Schedule(epochs=8, batch_size=8))
POOLING = li2018.Schedule(epochs=15, batch_size=16, milestones=(6, 9, 12))
SEEDS, FOLDS = plan((0, 1, 2), (0,)), plan(None, 3)
SAYINGS = ("Yeah. I don't know.", "Yeah.")


def synthetic_corpus() -> pd.DataFrame:
    """The synthetic corpus in full size on a GPU, every tenth of its utterances on a CPU."""
    table = corpora.load("synthetic:full")
    if plan(False, True):
        table = table.iloc[::10].reset_index(drop=True)
        table.attrs["corpus"] = "synthetic:full, every tenth"
    return table


def chosen_and_retrained(table: pd.DataFrame, name: str, schedule: Schedule, seed: int) -> None:
    """A network with session 4 to choose on; and another, trained as long, with session 4 in training."""
    task, whole = protocols.jalal2020(table), protocols.jalal2020_retrained(table)
    record, _ = jalal2020.reproduce(task, name, schedule, seed, FOLDER)
    jalal2020.reproduce(whole, name, jalal2020.same_steps(schedule, record), seed, FOLDER)


def baselines() -> None:
    """The support vector machine: under the paper's protocol on all corpora, and leaving speakers out on EmoDB."""
    emodb = corpora.load("emodb")
    for table in (emodb, corpora.load("ravdess_speech"), synthetic_corpus()):
        for protocol in (protocols.jalal2020, protocols.jalal2020_retrained):
            functionals_svm(protocol(table), FOLDER)
    functionals_svm(protocols.common_loso(emodb), FOLDER, folds=FOLDS)


def emodb() -> None:
    """MOMA on EmoDB: chosen on session 4, retrained, chosen on the test; and leaving speakers out."""
    table = corpora.load("emodb")
    for seed in SEEDS:
        chosen_and_retrained(table, "MOMA", SCHEDULE, seed)
        leaky = protocols.leaky_jalal2020_chosen_on_test(table)
        jalal2020.reproduce(leaky, "MOMA", SCHEDULE, seed, FOLDER)
        jalal2020.reproduce(protocols.common_loso(table), "MOMA", SCHEDULE, seed, FOLDER, folds=FOLDS)


def others() -> None:
    """MOMA on RAVDESS and, on a CPU at five times the paper's learning rate, on the synthetic corpus."""
    for table, schedule in ((corpora.load("ravdess_speech"), SCHEDULE), (synthetic_corpus(), FASTER)):
        for seed in SEEDS:
            jalal2020.reproduce(protocols.jalal2020(table), "MOMA", schedule, seed, FOLDER)


def spectrograms() -> None:
    """The CNN-LSTM and, from chapter 1, attention pooling on EmoDB; on a GPU the first on all corpora."""
    table = corpora.load("emodb")
    whole = protocols.jalal2020_retrained(table)
    for seed in SEEDS:
        chosen_and_retrained(table, "CNN_LSTM", SPECTROGRAMS, seed)
        pooling = plan(li2018.paper_schedule(whole), POOLING)
        li2018.reproduce(whole, "CNN_TF_Att.pooling", pooling, seed, FOLDER)
        for other in plan([corpora.load("ravdess_speech"), synthetic_corpus()], []):
            jalal2020.reproduce(protocols.jalal2020(other), "CNN_LSTM", SPECTROGRAMS, seed, FOLDER)


def ablations() -> None:
    """What each part is worth: every variant with three seeds on EmoDB."""
    task = protocols.jalal2020(corpora.load("emodb"))
    for seed in (0, 1, 2):
        for name in jalal2020.VARIANTS:
            jalal2020.reproduce(task, name, SCHEDULE, seed, FOLDER)


def weights_of(model: jalal2020.MOMA, table: pd.DataFrame) -> list[np.ndarray]:
    """What both layers attend to in every row, `(2, frames)`."""
    return [jalal2020.attention_over_time(model, part) for (part,) in jalal2020.heard_of("MOMA", table)]


def spreads(weights: list[np.ndarray]) -> np.ndarray:
    """Over which share of the frames both layers spread, for every row: `(rows, 2)`."""
    return np.array([[jalal2020.spread(layer) for layer in layers] for layers in weights], np.float32)


def coverages(weights: list[np.ndarray], table: pd.DataFrame) -> np.ndarray:
    """Which share of its phones both layers cover, for every row: `(rows, 2)`."""
    phones = [jalal2020.spoken_in(row, "phseg")[0] for _, row in table.iterrows()]
    pairs = zip(weights, phones, strict=True)
    return np.array([[jalal2020.coverage(layer, said) for layer in layers] for layers, said in pairs], np.float32)


def shares(model: jalal2020.MOMA, table: pd.DataFrame) -> float:
    """How large the attention term of the residual is, on average."""
    return float(np.mean([jalal2020.residual_share(model, part) for (part,) in jalal2020.heard_of("MOMA", table)]))


def begun(name: str, seed: int) -> jalal2020.MOMA:
    """A network as it is before training."""
    seed_everything(seed)
    return jalal2020.MODELS[name]().eval()


def attention() -> None:
    """Spread, coverage, residual and gammas of the networks above, and two utterances to look at and to hear."""
    arrays, again = {}, {"schedule": SCHEDULE, "folder": FOLDER}
    folds = protocols.common_loso(corpora.load("emodb"))
    _, networks = jalal2020.reproduce(folds, "MOMA", folds=FOLDS, **again)
    tested = [folds.table.iloc[fold.test] for fold in folds.folds[:FOLDS]]
    heard = [weights_of(network, rows) for network, rows in zip(networks.values(), tested, strict=True)]
    arrays["emodb_spread"] = np.concatenate([spreads(weights) for weights in heard])
    arrays["emodb_speaker"] = pd.concat(tested)["speaker"]
    ravdess, synthetic = (corpora.load("ravdess_speech"), SCHEDULE), (synthetic_corpus(), FASTER)
    for name, (table, schedule) in (("ravdess_speech", ravdess), ("synthetic", synthetic)):
        task = protocols.jalal2020(table)
        (network,) = jalal2020.reproduce(task, "MOMA", schedule, folder=FOLDER)[1].values()
        tested = task.table.iloc[task.folds[0].test]
        weights = weights_of(network, tested)
        arrays[f"{name}_spread"], arrays[f"{name}_speaker"] = spreads(weights), tested["speaker"]
    arrays["synthetic_coverage"] = coverages(weights, tested)
    fresh = [weights_of(begun("MOMA", seed), tested) for seed in range(10)]
    arrays["untrained_spread"] = np.array([spreads(weights).mean(0) for weights in fresh])
    arrays["untrained_coverage"] = np.array([coverages(weights, tested).mean(0) for weights in fresh])

    task = protocols.jalal2020(corpora.load("emodb"))
    rows = task.table.iloc[task.folds[0].test]
    kept = {}
    for name in ("MOMA", "mean one", "one block"):
        runs = [jalal2020.reproduce(task, name, seed=seed, **again)[1] for seed in (0, 1, 2)]
        kept[name] = [next(iter(networks.values())) for networks in runs]
    for name in ("MOMA", "mean one"):
        before = [shares(begun(name, seed), rows) for seed in (0, 1, 2)]
        arrays[f"share_{name}"] = np.array([before, [shares(model, rows) for model in kept[name]]])
    for name in ("MOMA", "one block"):
        arrays[f"emodb_{name}_spread"] = np.array([spreads(weights_of(model, rows)).mean(0) for model in kept[name]])
    stages = [[begun("MOMA", seed) for seed in (0, 1, 2)], kept["MOMA"]]
    arrays["gammas"] = np.array([[model.gammas.tolist() for model in models] for models in stages])

    full = protocols.jalal2020(corpora.load("synthetic:full"))
    tested = full.table.iloc[full.folds[0].test]
    for number, saying in enumerate(SAYINGS):  # the first neutral one
        said = jalal2020.who_says(tested, saying)
        said = said[said["emotion"] == "neutral"].head(1)
        waveform = read_row(said.iloc[0])
        arrays[f"waveform_{number}"] = np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
        arrays[f"weights_{number}"] = weights_of(network, said)[0].astype(np.float32)
        for key, kind in (("words", "wdseg"), ("phones", "phseg")):
            arrays[f"{key}_{number}"] = np.array(jalal2020.spoken_in(said.iloc[0], kind)[0], dtype=str)
    arrays = {key: np.asarray(value, dtype=str if key.endswith("speaker") else None) for key, value in arrays.items()}
    np.savez_compressed(KEPT / "attention.npz", sayings=np.array(SAYINGS), **arrays)


if __name__ == "__main__":
    print(serlib.setup())
    for part in (baselines, emodb, others, spectrograms, ablations, attention):
        if part.__name__ in (sys.argv[1:] or [part.__name__]):
            print(part.__doc__, flush=True)
            part()
    keep("jalal2020", KEPT)
