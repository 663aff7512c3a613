"""The sixth room: run records. A number stands in the book only if a record holds it."""

import ast
import dataclasses
import datetime
import functools
import importlib.metadata
import json
import platform
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix

from serlib import metrics
from serlib.cache import digest, write_atomically
from serlib.device import choose_device, choose_precision
from serlib.errors import InputError
from serlib.protocols import Task

REFERENCE = Path(__file__).parent / "reference"  # inside the package, so that a lone notebook can show them
PACKAGES = ("torch", "numpy", "librosa", "scikit-learn", "opensmile")  # whose versions a record names
CODE = ("audio", "device", "features", "protocols", "training")  # where `code_hash` looks, beside the source's module


@dataclasses.dataclass
class Record:
    """One model, cross-validated once: all that a row of a table needs, and all that makes it believable.

    `source` is the function of serlib that made it, `code` the hash of all that this function depends on. `folds` holds
    for each fold its name, utterance ids, speakers, labels, predictions and seconds; for a network also class scores,
    updates, final training loss and the file of its weights. Page: notebooks/01.
    """

    model: str
    source: str
    corpus: str
    protocol: str
    classes: list[str]
    settings: dict
    seed: int
    code: str
    environment: dict
    date: str
    folds: list[dict]

    def predictions(self) -> pd.DataFrame:
        """One row per tested utterance: utterance_id, speaker, label, predicted, fold."""
        columns = ["utterance_id", "speaker", "label", "predicted"]
        parts = [pd.DataFrame({c: fold[c] for c in columns} | {"fold": fold["name"]}) for fold in self.folds]
        return pd.concat(parts, ignore_index=True)

    def confusion(self) -> np.ndarray:
        """Counts `(classes, classes)` over all tested utterances: true class in rows."""
        rows = self.predictions()
        return confusion_matrix(rows["label"], rows["predicted"], labels=range(len(self.classes)))

    def recalls(self) -> dict[str, float]:
        """Recall of each class and, as `overall`, the accuracy over all tested utterances."""
        matrix = self.confusion()
        found = matrix.diagonal() / matrix.sum(1).clip(1)
        return {"overall": matrix.trace() / matrix.sum(), **dict(zip(self.classes, found, strict=True))}

    def scores(self) -> dict[str, tuple[float, float, float]]:
        """Overall accuracy and UAR over all tested utterances, each with the ends of its interval over speakers.

        With fewer than three speakers the interval of the accuracy is Wilson's, and that of the UAR NaN.
        """
        labels, predicted, speakers = (self.predictions()[n].to_numpy() for n in ("label", "predicted", "speaker"))
        wilson = metrics.wilson_interval(int((labels == predicted).sum()), len(labels))
        ends = {metrics.overall_accuracy: wilson, metrics.uar: (np.nan, np.nan)}
        if len(set(speakers)) > 2:
            ends = {score: metrics.interval_over_speakers(score, labels, predicted, speakers) for score in ends}
        return {score.__name__: (score(labels, predicted), *ends[score]) for score in ends}

    def updates(self) -> int:
        """Optimiser steps of a fold (0 for a model that takes none)."""
        return round(np.mean([fold.get("updates", 0) for fold in self.folds]))

    def shown(self, score: str) -> str:
        """A score in per cent with its interval; a dagger marks a number of earlier code."""
        value, low, high = (100 * number for number in self.scores()[score])
        interval = "" if np.isnan(low) else f" [{low:.0f}, {high:.0f}]"
        return f"{value:.1f}{interval}{'' if self.is_current() else ' †'}"

    def is_current(self) -> bool:
        """Whether the code that made this record is the code that reads it."""
        return self.code == code_hash(self.source, self.protocol)


@functools.cache
def code_hash(source: str, protocol: str) -> str:
    """A hash of all code that a number depends on: what `source` and the protocol call, and what those call, and so on.

    `source` is a name, as `papers.li2018.reproduce`. Comments, docstrings and layout do not count. Page: notebooks/01.
    """
    root = Path(__file__).parent
    *home, first = source.split(".")
    defined: dict[str, list[ast.stmt]] = {}
    for module in (*CODE, "/".join(home)):
        for statement in ast.parse((root / f"{module}.py").read_text("utf-8")).body:
            targets = [*getattr(statement, "targets", []), getattr(statement, "target", None)]
            for name in [getattr(statement, "name", None), *(getattr(target, "id", None) for target in targets)]:
                defined.setdefault(name, []).append(statement)
    found, waiting = {}, [first, protocol]
    while waiting:
        if (name := waiting.pop()) in defined and name not in found:
            found[name] = [_outline(statement) for statement in defined[name]]
            nodes = (node for statement in defined[name] for node in ast.walk(statement))
            waiting += [node.id for node in nodes if isinstance(node, ast.Name)]
    return digest(sorted(found.items()))


def _outline(node: object) -> object:
    """A syntax tree as nested lists, without docstrings and without what differs between Python versions."""
    if isinstance(node, list):
        is_text = [isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) for item in node]
        return [_outline(item) for item, text in zip(node, is_text, strict=True) if not text]
    if isinstance(node, ast.AST):
        fields = [(name, _outline(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *fields]
    return repr(node)


def environment() -> dict:
    """What ran: device, precision, processor threads, versions. Page: notebooks/01."""
    device = choose_device()
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{device.type}, {platform.machine()}",
        "precision": str(choose_precision(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def cross_validate(
    task: Task, test_fold: Callable, model: str, source: str, settings: dict, seed=0, folder=None, folds=None
) -> Record:
    """Run `test_fold(fold, place)` for each fold and gather what it returns in a record.

    `test_fold` returns at least `scores` `(utterances, classes)` or `predicted` for the fold's test rows. With a
    `folder` the record is written there after every fold, and a second call goes on where the first was stopped;
    `place` is a path without ending for its checkpoint and weights. Other code, settings or utterances get another
    file. `folds` takes only the first few. Raises InputError for a torn record. Page: notebooks/01.
    """
    settings = json.loads(json.dumps(settings))  # as it will be read back
    code, date = code_hash(source, task.protocol), datetime.date.today().isoformat()
    about = (model, source, task.corpus, task.protocol, list(task.classes), settings, seed, code)
    record = Record(*about, environment(), date, folds=[])
    ids, tests = task.table["utterance_id"].tolist(), [fold.test.tolist() for fold in task.folds]
    key = digest(model, settings, seed, code, ids, task.labels.tolist(), tests)[:8]
    stem = folder and Path(folder) / f"{_file_name(model)}_{_file_name(task.corpus)}_{task.protocol}_{key}"
    path = folder and Path(f"{stem}.json")
    if path and path.exists():
        record = read_record(path)
    for fold in task.folds[len(record.folds) : folds]:
        start = time.perf_counter()
        outcome = test_fold(fold, stem and Path(f"{stem}_{_file_name(fold.name)}"))
        outcome.setdefault("seconds", time.perf_counter() - start)
        if "scores" in outcome:
            scores = np.asarray(outcome["scores"])
            outcome |= {"predicted": scores.argmax(1), "scores": scores.round(4).astype(float)}
        rows = task.table.iloc[fold.test]
        entry = {"name": fold.name, **rows[["utterance_id", "speaker"]], "label": task.labels[fold.test], **outcome}
        record.folds.append({key: np.asarray(value).tolist() for key, value in entry.items()})
        if path:
            with write_atomically(path) as file:
                file.write(json.dumps(dataclasses.asdict(record)).encode())
            Path(f"{stem}_{_file_name(fold.name)}.checkpoint").unlink(missing_ok=True)
    return record


def _file_name(name: str) -> str:
    """What a disk accepts of a name, and not too much of it: a fold is named after all of its speakers."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")[:60]


def read_record(path: str | Path) -> Record:
    """The record in a JSON file. Raises InputError when the file is torn or not a record. Page: notebooks/01."""
    try:
        return Record(**json.loads(Path(path).read_text("utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise InputError(f"{path}: not a whole run record ({error}). Delete it and run again.") from error


def reference(paper: str, **wanted: object) -> list[Record]:
    """A paper's reference records with the wanted values: `reference("li2018", corpus="emodb")`. Page: notebooks/01."""
    records = map(read_record, sorted((REFERENCE / paper).glob("*.json")))
    return [record for record in records if all(getattr(record, key) == value for key, value in wanted.items())]


def fullest(records: Iterable[Record]) -> list[Record]:
    """Of each model the record that was trained longest: chosen by effort, never by score. Page: notebooks/01."""
    return list({record.model: record for record in sorted(records, key=Record.updates)}.values())


def compare(published: pd.DataFrame, references: Iterable[Record], this_run: Iterable[Record]) -> pd.DataFrame:
    """Published, reference and this run side by side; what was not measured says so. Page: notebooks/01."""
    references, this_run = fullest(references), list(this_run)
    columns = {("published", name): published[name].map("{:.2f}".format) for name in published}
    for title, records in (("reference", references), ("this run", this_run)):
        title += ": " + " ".join(sorted({record.corpus for record in records}))
        for name, score in (("accuracy", "overall_accuracy"), ("UAR", "uar")):
            columns[title, name] = pd.Series({record.model: record.shown(score) for record in records})
    order = dict.fromkeys([*published.index, *(record.model for record in [*references, *this_run])])
    return pd.DataFrame(columns, index=list(order)).fillna("not run")


def describe(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record: what was run, what came out, and what it took. Page: notebooks/01."""
    rows = [
        {
            "corpus": record.corpus,
            "model": record.model,
            **{"accuracy": record.shown("overall_accuracy"), "UAR": record.shown("uar")},
            "utterances": len(record.predictions()),
            "folds": len(record.folds),
            "batch": record.settings.get("batch_size", ""),
            "updates a fold": record.updates() or "",
            "seed": record.seed,
            "ran on": "{device}, {threads} thread(s), {precision}".format(**record.environment),
            "minutes": round(sum(fold["seconds"] for fold in record.folds) / 60, 1),
            "date": record.date,
        }
        for record in records
    ]
    return pd.DataFrame(rows).sort_values(["corpus", "model", "folds"]).set_index(["corpus", "model"])
