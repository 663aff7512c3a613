"""Would today's code compute the same? Fingerprints of what code does, which records rest on.

A fingerprint says what a protocol deals out, what a feature looks like, or how the first updates of a network go, all
on the small synthetic corpus. `reference/behaviour.json` holds them as they were when the records were made. What late
epochs do, bfloat16 and a GPU are out of its sight.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from serlib import audio, baselines, cache, corpora, features, protocols
from serlib.errors import InputError
from serlib.protocols import Fold, Task

KEPT = Path(__file__).parent / "reference" / "behaviour.json"
TOLERANCE = {"corpus": 1e-4, "feature": 1e-4, "network": 1e-3, "baseline": 0.0, "protocol": 0.0}  # relative
# Of each chapter: its networks, how few updates are taken, and what a record's settings may also have gone through.
NETWORKS = {
    "li2018": (
        ("CNN_TF_GAP", "CNN_TF_Bilinear", "CNN_TF_Att.pooling", "CNN_TF_Att.pooling, averaged")
        + ("CNN_TF_Att.pooling, no softmax", "Conv1_10x2"),
        {"epochs": 2, "batch_size": 2, "milestones": (1,), "most_updates": 6},
        {},
    ),
    "zhang2019": (
        ("OS+RNNs", "e2e STL", "e2e STL+att.", "e2e MTL", "e2e MTL+att."),
        {"epochs": 3, "batch_size": 4, "longest": 0.5},
        {"dropout_at": ("e2e MTL+att.", "input")},
    ),
    "jalal2020": (
        ("MOMA", "no attention", "layer 1 only", "layer 2 only", "one block", "two blocks", "five blocks")
        + ("fixed gammas", "mean one", "CNN_LSTM"),
        {"epochs": 3, "batch_size": 4, "longest": 0.5, "plateau": 0},
        {"milestones": ("MOMA", (1,))},
    ),
}


def _spectrum(waveform: np.ndarray) -> np.ndarray:
    return features.spectrogram(waveform[None])[0].numpy()


def _parts(waveform: np.ndarray) -> np.ndarray:
    from serlib.papers.jalal2020 import spectrogram_parts

    return np.concatenate(spectrogram_parts(waveform))


def _segments(waveform: np.ndarray, kind: str) -> np.ndarray:
    from serlib.papers import li2018

    return getattr(li2018, f"segments_for_{kind}")(waveform).astype(np.float32)


FEATURES = {
    "spectrogram": _spectrum,
    "log_mel": features.log_mel,
    "functionals": features.functionals,
    "descriptors": features.descriptors,
    "segments_for_training": partial(_segments, kind="training"),
    "segments_for_testing": partial(_segments, kind="testing"),
    "spectrogram_parts": _parts,
}
BASELINES = {
    "functionals_svm": baselines.functionals_svm,
    "functionals_svm, development": partial(baselines.functionals_svm, choose_on="development"),
    "words_bayes": baselines.words_bayes,
}
HEARD = {  # what the networks of a chapter hear
    "li2018": ("segments_for_training", "segments_for_testing"),
    "zhang2019": ("descriptors",),
    "jalal2020": ("log_mel", "spectrogram_parts"),
}


def small() -> pd.DataFrame:
    """The small synthetic corpus."""
    return corpora.load("synthetic")


def miniature(rows: int = 16) -> Task:
    """The shortest utterances of the small corpus in one fold, half of them to train on; labels that mean nothing.

    No protocol has a part in it, so that a changed protocol changes no network's fingerprint.
    """
    table = small().sort_values(["duration", "utterance_id"]).head(rows).reset_index(drop=True)
    numbers, classes = np.arange(rows), ("low", "middle", "high", "none")
    train, choose, test = np.split(numbers, [rows // 2, 3 * rows // 4])
    levels = {name: (numbers + step) % 3 for step, name in enumerate(protocols.DIMENSIONS)}
    fold = Fold("only", train, choose, test, normalise=train)
    return Task("miniature", "synthetic", table, numbers % 4, classes, (fold,), levels)


def of_network(chapter: str, name: str, special: dict | None = None) -> dict:
    """Parameter count, the losses of six updates in float32 on a CPU, and class probabilities of the test rows."""
    paper = importlib.import_module(f"serlib.papers.{chapter}")
    task, (_, plan, _) = miniature(), NETWORKS[chapter]
    if chapter == "zhang2019":  # scores a dimension, in three levels
        task = dataclasses.replace(task, labels=task.auxiliary["activation"], classes=task.classes[:3])
        task = dataclasses.replace(task, dimension="activation")
    (fold,), histories = task.folds, []
    schedule = paper.Schedule(**plan | (special or {}))
    with _plain_arithmetic():
        record, networks = paper.reproduce(task, name, schedule, watch=histories.append)
    history, entry = histories[-1], record.folds[0]
    return {
        "parameters": sum(p.numel() for p in networks[fold.name].parameters()),
        "losses": [float(f"{loss:.6g}") for epoch in history for loss in epoch["losses"]],
        "learning rates": [epoch["learning_rate"] for epoch in history],
        "best epoch": entry.get("best_epoch"),
        "probabilities": np.ravel(entry["scores"]).tolist(),
    }


@contextlib.contextmanager
def _plain_arithmetic() -> Iterator[None]:
    """float32 on the CPU, whatever the environment says."""
    wanted = {"SERLIB_DEVICE": "cpu", "SERLIB_PRECISION": "float32"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def of_feature(function: Callable[[np.ndarray], np.ndarray]) -> dict:
    """Shape and sixteen values of a feature of the first utterance, evenly spread over it."""
    return _sampled(function(audio.read_row(small().iloc[0])))


def _sampled(array: np.ndarray) -> dict:
    places = np.linspace(0, array.size - 1, 16).astype(int)
    values = [float(f"{value:.6g}") for value in np.ravel(array)[places]]
    return {"shape": list(array.shape), "values": values}


def of_baseline(classifier: Callable[[Task], object]) -> dict:
    """What a classifier answers on sixty utterances whose labels mean nothing, so that every choice in it shows."""
    task = miniature(60)
    record = classifier(dataclasses.replace(task, labels=task.labels % 2, classes=task.classes[:2]))
    return {"predicted": record.folds[0]["predicted"]}


def of_protocol(protocol: Callable[[pd.DataFrame], Task]) -> dict:
    """Digests of rows, labels, further labels, folds and normalisation: on the corpus, and on it with less known."""
    table = small()
    bare = table.assign(session=pd.NA, scenario=pd.NA, **dict.fromkeys(protocols.DIMENSIONS, np.nan))
    bare.attrs["corpus"] = "bare"
    return {"as it is": _dealt(protocol, table), "without sessions and ratings": _dealt(protocol, bare)}


def _dealt(protocol: Callable[[pd.DataFrame], Task], table: pd.DataFrame) -> dict:
    try:
        task = protocol(table)
    except InputError:
        return {"refused": True}
    sides = ("train", "validation", "test")
    return {
        "rows": digest_of(task.table["utterance_id"].tolist()),
        "labels": digest_of([list(task.classes), task.labels.tolist(), task.dimension]),
        "further labels": digest_of([[name, levels.tolist()] for name, levels in task.auxiliary.items()]),
        "folds": digest_of([[fold.name, *(getattr(fold, side).tolist() for side in sides)] for fold in task.folds]),
        "normalisation": digest_of([fold.normalise.tolist() for fold in task.folds]),
    }


def of_corpus() -> dict:
    """The table of the small corpus, and one of its waveforms."""
    table = small()
    kept = table[["utterance_id", "speaker", "session", "scenario", "emotion", "transcript"]].astype(str)
    return {"table": digest_of(kept.to_numpy().tolist()), **_sampled(audio.read_row(table.iloc[0]))}


def digest_of(value: object) -> str:
    """A short digest of what JSON can hold."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def fingerprints() -> dict[str, Callable[[], dict]]:
    """How each fingerprint is taken, by its name."""
    found: dict[str, Callable[[], dict]] = {"corpus synthetic": of_corpus}
    found |= {f"protocol {p.__name__}": partial(of_protocol, p) for p in protocols.PROTOCOLS}
    found |= {f"feature {name}": partial(of_feature, function) for name, function in FEATURES.items()}
    found |= {f"baseline {name}": partial(of_baseline, function) for name, function in BASELINES.items()}
    for chapter, (names, _, special) in NETWORKS.items():
        found |= {f"network {chapter} {name}": partial(of_network, chapter, name) for name in names}
        for setting, (name, value) in special.items():
            found[f"network {chapter} {setting}"] = partial(of_network, chapter, name, {setting: value})
    return found


def differences(name: str, before: object, now: object, where: str = "") -> list[str]:
    """Where two values of a fingerprint differ by more than its tolerance: a line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        lines = [differences(name, before.get(k), now.get(k), f"{where}, {k}" if where else k) for k in keys]
        return [line for part in lines for line in part]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        allowed = TOLERANCE[name.split()[0]]
        wrong = [n for n, (a, b) in enumerate(zip(before, now)) if abs(a - b) > allowed * max(abs(a), abs(b)) + 1e-7]
        if wrong:
            n = wrong[0]
            return [f"{where}: number {n + 1} of {len(before)} was {before[n]:.6g} and is {now[n]:.6g}"]
        return []
    return [] if before == now else [f"{where}: was {before} and is {now}"]
