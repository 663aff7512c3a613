"""`make behaviour`: would today's code compute the same? Fingerprints of what code does, which records rest on.

A fingerprint says what a protocol deals out, what a feature looks like, or how the first updates of a network go, all
on the small synthetic corpus. `serlib/reference/behaviour.json` holds them as they were when the records were made.
What late epochs do, bfloat16 and a GPU are out of its sight. Adam's first updates go by the signs of gradients, so that
another chip's rounding may grow: under `other chips` stand values that the same code has there, and they count as well.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from serlib import audio, baselines, corpora, protocols
from serlib.__main__ import carry_out, say
from serlib.cache import write_atomically
from serlib.errors import InputError
from serlib.protocols import Fold, Task
from serlib.runs import record
from serlib.runs.record import CHAPTERS

TOLERANCE = {"corpus": 1e-4, "feature": 1e-4, "network": 1e-3, "baseline": 0.0, "protocol": 0.0}  # relative
FEATURES = ("spectrogram", "log_mel", "functionals", "descriptors")  # of serlib.features; chapters have their own
BASELINES = {
    "functionals_svm": baselines.functionals_svm,
    "functionals_svm, development": partial(baselines.functionals_svm, choose_on="development"),
    "words_bayes": baselines.words_bayes,
}


def fingerprints() -> dict[str, Callable[[], dict]]:
    """How each fingerprint is taken, by its name."""
    found: dict[str, Callable[[], dict]] = {"corpus synthetic": _of_corpus}
    found |= {f"protocol {p.__name__}": partial(_of_protocol, p) for p in protocols.PROTOCOLS}
    of_chapters = [(chapter, name) for chapter, of in CHAPTERS.items() for name in of["features"]]
    for home, name in [("features", name) for name in FEATURES] + of_chapters:
        found[f"feature {name}"] = partial(_of_feature, home if home == "features" else f"papers.{home}", name)
    found |= {f"baseline {name}": partial(_of_baseline, function) for name, function in BASELINES.items()}
    for chapter, of in CHAPTERS.items():
        found |= {f"network {chapter} {name}": partial(_of_network, chapter, name) for name in of["networks"]}
        for key, tried in of.get("special", {}).items():
            found[f"network {chapter} {key}"] = partial(_of_network, chapter, tried["network"], {key: tried["value"]})
    return found


def check(names: Iterable[str] = ()) -> Iterator[tuple[str, dict, list[str]]]:
    """Of each fingerprint (or those named): its name, its value today, and where that differs from the one recorded.

    Raises InputError for a name that is none.
    """
    file = record.read_json(record.BEHAVIOUR, "file of fingerprints", "Install serlib again.")
    kept, elsewhere, taken = file["fingerprints"], file.get("other chips", {}), fingerprints()
    for name in names or taken:
        if name not in taken:
            raise InputError(f"There is no fingerprint named {name!r}. `make behaviour` lists them.")
        now = json.loads(json.dumps(taken[name]()))
        found = [differences(name, value, now) for value in (kept.get(name), *elsewhere.get(name, ()))]
        yield name, now, ([] if [] in found else found[0]) if name in kept else ["is not recorded yet"]


def record_anew(values: dict[str, dict]) -> None:
    """Record other values; the records that rest on the old ones get their dagger."""
    kept = json.loads(record.BEHAVIOUR.read_text("utf-8"))
    order = fingerprints()
    found = kept["fingerprints"] | values
    kept["fingerprints"] = {name: found[name] for name in order if name in found}
    kept["other chips"] = {name: old for name, old in kept.get("other chips", {}).items() if name not in values}
    with write_atomically(record.BEHAVIOUR) as file:
        file.write((json.dumps(kept, indent=1) + "\n").encode())
    record._ids.cache_clear()


def resting_on(name: str) -> list[str]:
    """The reference records that rest on a fingerprint, and on its recorded value."""
    digest, found = record.fingerprint_ids().get(name), []
    for path in sorted(record.REFERENCE.glob("*/**/*.json")):
        if record.read_record(path).behaviour.get(name) == digest is not None:
            found.append(path.relative_to(record.REFERENCE).as_posix())
    return found


def differences(name: str, before: object, now: object, where: str = "") -> list[str]:
    """Where two values of a fingerprint differ by more than its tolerance: a line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        lines = [differences(name, before.get(k), now.get(k), f"{where}, {k}" if where else k) for k in keys]
        return [line for part in lines for line in part]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        one, other = np.array(before, float), np.array(now, float)
        wrong = np.abs(one - other) > TOLERANCE[name.split()[0]] * np.maximum(abs(one), abs(other)) + 1e-7
        if not wrong.any():
            return []
        n = int(wrong.argmax())
        return [f"{where}: number {n + 1} of {len(before)} was {before[n]:.6g} and is {now[n]:.6g}"]
    return [] if before == now else [f"{where}: was {before} and is {now}"]


def _small() -> pd.DataFrame:
    return corpora.load("synthetic")


def _miniature(rows: int = 16) -> Task:
    """The shortest utterances of the small corpus in one fold, half of them to train on; labels that mean nothing.

    No protocol has a part in it, so that a changed protocol changes no network's fingerprint.
    """
    table = _small().sort_values(["duration", "utterance_id"]).head(rows).reset_index(drop=True)
    numbers, classes = np.arange(rows), ("low", "middle", "high", "none")
    train, choose, test = np.split(numbers, [rows // 2, 3 * rows // 4])
    levels = {name: (numbers + step) % 3 for step, name in enumerate(protocols.DIMENSIONS)}
    fold = Fold("only", train, choose, test, normalise=train)
    return Task("miniature", "synthetic", table, numbers % 4, classes, (fold,), levels)


def _of_network(chapter: str, name: str, special: dict | None = None) -> dict:
    """Parameter count, the losses of six updates in float32 on a CPU, and class probabilities of the test rows."""
    paper = importlib.import_module(f"serlib.papers.{chapter}")
    task, settings = _miniature(), CHAPTERS[chapter]["schedule"] | (special or {})
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    if chapter == "zhang2019":  # scores a dimension, in three levels
        task = replace(task, labels=task.auxiliary["activation"], classes=task.classes[:3])
        task = replace(task, dimension="activation")
    (fold,) = task.folds
    with _plain_arithmetic():
        network, history = paper.train(task, fold, name, paper.Schedule(**settings), 0, None, None)
        scores = paper.answers(network, task, fold, name)["scores"]
    best = [number for number, epoch in enumerate(history, 1) if epoch.get("is_best")]
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "losses": [float(f"{loss:.6g}") for epoch in history for loss in epoch["losses"]],
        "learning rates": [epoch["learning_rate"] for epoch in history],
        "best epoch": best[-1] if best else None,
        "probabilities": np.ravel(scores).round(4).astype(float).tolist(),
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


def _of_feature(home: str, name: str) -> dict:
    """Shape and sixteen values of a feature of the longest utterance, evenly spread over it."""
    table = _small()
    waveform = audio.read_row(table.loc[table["duration"].idxmax()])
    function = getattr(importlib.import_module(f"serlib.{home}"), name)
    found = function(waveform[None])[0] if name == "spectrogram" else function(waveform)
    return _sampled(np.asarray(np.concatenate(found) if isinstance(found, list) else found, dtype=np.float32))


def _sampled(array: np.ndarray) -> dict:
    places = np.linspace(0, array.size - 1, 16).astype(int)
    return {"shape": list(array.shape), "values": [float(f"{value:.6g}") for value in np.ravel(array)[places]]}


def _of_baseline(classifier: Callable[[Task], record.Record]) -> dict:
    """What a classifier answers on sixty utterances whose labels mean nothing, so that every choice in it shows."""
    task = _miniature(60)
    return {
        "predicted": classifier(replace(task, labels=task.labels % 2, classes=task.classes[:2])).folds[0]["predicted"]
    }


def _of_protocol(protocol: Callable[[pd.DataFrame], Task]) -> dict:
    """Digests of rows, labels, further labels, folds and normalisation: on the corpus, and on it with less known."""
    table = _small()
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
        "rows": _digest(task.table["utterance_id"].tolist()),
        "labels": _digest([list(task.classes), task.labels.tolist(), task.dimension]),
        "further labels": _digest([[name, levels.tolist()] for name, levels in task.auxiliary.items()]),
        "folds": _digest([[fold.name, *(getattr(fold, side).tolist() for side in sides)] for fold in task.folds]),
        "normalisation": _digest([fold.normalise.tolist() for fold in task.folds]),
    }


def _of_corpus() -> dict:
    """The table of the small corpus, and one of its waveforms."""
    table = _small()
    kept = table[["utterance_id", "speaker", "session", "scenario", "emotion", "transcript"]].astype(str)
    return {"table": _digest(kept.to_numpy().tolist()), **_sampled(audio.read_row(table.iloc[0]))}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def main(names: list[str], accept: bool) -> int:
    """Fingerprint by fingerprint: the same, or what differs and which records rest on it."""
    if accept and not names:
        raise InputError("--accept takes the names of the fingerprints whose new values are meant.")
    differ = {}
    for name, now, lines in check(names):
        say(f"{name}: {'; '.join(lines) or 'as recorded'}")
        if lines:
            differ[name] = now
            say("\n".join(f"    {record}" for record in resting_on(name)))
    if accept:
        record_anew(differ)
        say(f"recorded anew: {', '.join(differ) or 'nothing'}")
        return 0
    return int(bool(differ))


def arguments(line: Sequence[str] | None = None) -> dict:
    """What was typed."""
    parser = argparse.ArgumentParser(description="Say where this code computes otherwise than when records were made.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of fingerprints; by default all")
    parser.add_argument("--accept", action="store_true", help="record today's values of those named")
    return vars(parser.parse_args(line))


if __name__ == "__main__":
    sys.exit(carry_out(main, **arguments()))
