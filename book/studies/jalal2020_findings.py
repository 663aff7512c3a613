"""Look into the networks of chapter 3: `make findings CHAPTER=jalal2020`.

Spread, coverage, residual and gammas of MOMA and its variants, trained and untrained, and two utterances to look at and
to hear, with their words and phones.
"""

import numpy as np
import pandas as pd
from shared import item, networks, run

import serlib
from serlib import corpora, protocols, runs
from serlib.audio import read_row
from serlib.device import seed_everything
from serlib.features import extract, log_mel
from serlib.papers import jalal2020

SAYINGS = ("Yeah. I don't know.", "Yeah.")


def weights_of(model: jalal2020.MOMA, table: pd.DataFrame) -> list[np.ndarray]:
    """What both layers attend to in every row, `(2, frames)`."""
    return [jalal2020.attention_over_time(model, mel) for mel in extract(table, log_mel)]


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
    return float(np.mean([jalal2020.residual_share(model, mel) for mel in extract(table, log_mel)]))


def begun(name: str, seed: int) -> jalal2020.MOMA:
    """A network as it is before training."""
    seed_everything(seed)
    return jalal2020.make_model(name).eval()


def attention() -> None:
    """All of it, into reference/jalal2020/attention.npz."""
    arrays, records, make = {}, [], jalal2020.make_model
    folds = item("jalal2020", "MOMA", "emodb", "common_loso")
    table, records = folds.run().task.table, [run(folds)]
    found = [(table.iloc[fold.test], network) for fold, network in networks(folds, make)]
    arrays["emodb_spread"] = np.concatenate([spreads(weights_of(network, rows)) for rows, network in found])
    arrays["emodb_speaker"] = pd.concat([rows for rows, _ in found])["speaker"]
    for name, corpus in (("ravdess_speech", "ravdess_speech"), ("synthetic", "synthetic:full")):
        one = item("jalal2020", "MOMA", corpus, "jalal2020")
        ((fold, network),) = networks(one, make)
        tested = one.run().task.table.iloc[fold.test]
        weights = weights_of(network, tested)
        arrays[f"{name}_spread"], arrays[f"{name}_speaker"] = spreads(weights), tested["speaker"]
        records.append(run(one))
    arrays["synthetic_coverage"] = coverages(weights, tested)
    fresh = [weights_of(begun("MOMA", seed), tested) for seed in range(10)]
    arrays["untrained_spread"] = np.array([spreads(weights).mean(0) for weights in fresh])
    arrays["untrained_coverage"] = np.array([coverages(weights, tested).mean(0) for weights in fresh])

    task = protocols.jalal2020(corpora.load("emodb"))
    rows = task.table.iloc[task.folds[0].test]
    kept = {}
    for name in ("MOMA", "mean one", "one block"):
        three = [item("jalal2020", name, "emodb", "jalal2020", seed) for seed in (0, 1, 2)]
        kept[name] = [model for one in three for _, model in networks(one, make)]
        records += [run(one) for one in three]
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
    runs.keep_findings("jalal2020/attention", records, sayings=np.array(SAYINGS), **arrays)


if __name__ == "__main__":
    print(serlib.setup())
    attention()
