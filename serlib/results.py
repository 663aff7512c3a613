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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.metrics import confusion_matrix
from torch import nn

from serlib import metrics
from serlib.cache import digest, write_atomically
from serlib.device import choose_device, choose_precision
from serlib.errors import InputError
from serlib.protocols import Fold, Task
from serlib.training import best_epoch

REFERENCE = Path(__file__).parent / "reference"  # inside the package, so that a lone notebook can show them
PACKAGES = ("torch", "numpy", "librosa", "scikit-learn", "opensmile")  # whose versions a record names
# Where `code_hash` looks, beside the source's module.
CODE = ("attention", "audio", "device", "features", "folds", "metrics", "protocols")
CODE += ("recurrent", "sequences", "training")


@dataclasses.dataclass
class Record:
    """One model, cross-validated once: all that a row of a table needs, and all that makes it believable.

    `source` is the function of serlib that made it, `code` the hash of all that this function depends on. `folds` holds
    for each fold its name, utterance ids, speakers, labels, predictions and seconds; for a network also class scores,
    updates, final training loss and the file of its weights. A label of -1 says that nobody gave one. Beside these
    there may be `tasks`, labels and predictions of the same rows in further dimensions, and `validation`, all this
    for the rows that were chosen on: `on` shows them. Page: notebooks/01.
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

    def on(self, task: str | None = None, part: str = "test") -> "Record":
        """The same run on another of its dimensions, or on the `validation` part: a record of its own.

        Raises InputError when the run has no such dimension or part.
        """
        own, folds = task in (None, self.settings.get("dimension")), []
        for fold in self.folds:
            rows = {"test": fold, "validation": fold.get("validation")}.get(part) or {}
            if not (answers := rows if own else rows.get("tasks", {}).get(task)):
                what = part if own else f"{task}, {part}"
                raise InputError(f"The record of {self.model} ({self.corpus}, {self.protocol}) does not hold: {what}.")
            kept = {key: value for key, value in fold.items() if key not in ("scores", "tasks", "validation")}
            found = {"label": answers["label"], "predicted": answers["predicted"]}
            folds.append(kept | {key: rows[key] for key in ("utterance_id", "speaker")} | found)
        settings = self.settings if own else self.settings | {"dimension": task}
        return dataclasses.replace(self, settings=settings, folds=folds)

    def predictions(self) -> pd.DataFrame:
        """One row per tested utterance that has a label: utterance_id, speaker, label, predicted, fold."""
        columns = ["utterance_id", "speaker", "label", "predicted"]
        parts = [pd.DataFrame({c: fold[c] for c in columns} | {"fold": fold["name"]}) for fold in self.folds]
        rows = pd.concat(parts, ignore_index=True)
        return rows[rows["label"] >= 0].reset_index(drop=True)

    def confusion(self) -> np.ndarray:
        """Counts `(classes, classes)` over all tested utterances: true class in rows."""
        rows, classes = self.predictions(), range(len(self.classes))
        if rows.empty:
            return np.zeros((len(classes), len(classes)), dtype=int)
        return confusion_matrix(rows["label"], rows["predicted"], labels=classes)

    def recalls(self) -> dict[str, float]:
        """Recall of each class and, as `overall`, the accuracy over all tested utterances."""
        matrix = self.confusion()
        found = matrix.diagonal() / matrix.sum(1).clip(1)
        return {"overall": matrix.trace() / (matrix.sum() or np.nan), **dict(zip(self.classes, found, strict=True))}

    def scores(self) -> dict[str, tuple[float, float, float]]:
        """Overall accuracy and UAR over all tested utterances, each with the ends of its interval over speakers.

        With fewer than three speakers the interval of the accuracy is Wilson's, and that of the UAR NaN. Where nothing
        has a label, all are NaN.
        """
        labels, predicted, speakers = (self.predictions()[n].to_numpy() for n in ("label", "predicted", "speaker"))
        if not len(labels):
            return dict.fromkeys(("overall_accuracy", "uar"), (np.nan, np.nan, np.nan))
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
        if np.isnan(value):
            return "no label"
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

    `test_fold` returns at least `scores` `(utterances, classes)` or `predicted` `(utterances,)` for the fold's test
    rows. It may add `tasks`, for further dimensions of the task scores or predictions by name, and `validation`: a
    dictionary of the same kind for the rows to choose on. Of these two only predictions are kept. With a `folder` the
    record is written there after every fold, and a second call goes on where the first was stopped; `place` is a path
    without ending for its checkpoint and weights. Other code, settings or utterances get another file. `folds` takes
    only the first few. Raises InputError for a torn record. Page: notebooks/01.
    """
    settings = settings | ({"dimension": task.dimension} if task.dimension else {})
    settings = json.loads(json.dumps(settings))  # as it will be read back
    code, date = code_hash(source, task.protocol), datetime.date.today().isoformat()
    about = (model, source, task.corpus, task.protocol, list(task.classes), settings, seed, code)
    record = Record(*about, environment(), date, folds=[])
    ids, tests = task.table["utterance_id"].tolist(), [fold.test.tolist() for fold in task.folds]
    more = [(name, labels.tolist()) for name, labels in task.auxiliary.items()]
    key = digest(model, settings, seed, code, ids, task.labels.tolist(), tests, *more)[:8]
    stem = folder and Path(folder) / f"{_file_name(model)}_{_file_name(task.corpus)}_{task.protocol}_{key}"
    path = folder and Path(f"{stem}.json")
    if path and path.exists():
        record = read_record(path)
    for fold in task.folds[len(record.folds) : folds]:
        start = time.perf_counter()
        outcome = test_fold(fold, stem and Path(f"{stem}_{_file_name(fold.name)}"))
        outcome.setdefault("seconds", time.perf_counter() - start)
        record.folds.append(_plain({"name": fold.name, **_rows(task, fold.test, outcome)}))
        if chosen := outcome.get("validation"):
            record.folds[-1]["validation"] = _plain(_rows(task, fold.validation, chosen, keep_scores=False))
        if path:
            with write_atomically(path) as file:
                file.write(json.dumps(dataclasses.asdict(record)).encode())
            Path(f"{stem}_{_file_name(fold.name)}.checkpoint").unlink(missing_ok=True)
    return record


def cross_validate_network(
    task: Task,
    make_model: Callable[[], nn.Module],
    train: Callable[[Fold, Path | None], tuple[nn.Module, list[dict]]],
    test: Callable[[nn.Module, Fold], dict | np.ndarray],
    *,
    model: str,
    source: str,
    settings: dict,
    seed: int = 0,
    folder: Path | None = None,
    folds: int | None = None,
) -> tuple[Record, dict[str, nn.Module]]:
    """`cross_validate` a network: the record, and each fold's network by the name of the fold, in eval mode.

    `train(fold, checkpoint)` gives the network and the history of `fit`; `test(network, fold)` what a `test_fold`
    returns, or the scores alone. The record gets updates, final loss, learning rates, seconds and any best epoch. With
    a `folder` a stopped run goes on from its checkpoint, and the weights are kept there; networks of an earlier
    call are made by `make_model()` and get theirs. Raises InputError when they are missing or torn.
    Page: notebooks/01.
    """
    trained: dict[str, nn.Module] = {}

    def test_fold(fold: Fold, place: Path | None) -> dict:
        network, history = train(fold, place and Path(f"{place}.checkpoint"))
        trained[fold.name] = network.eval()
        outcome = test(network, fold)
        outcome = dict(outcome) if isinstance(outcome, dict) else {"scores": outcome}
        outcome |= {"updates": history[-1]["updates"], "loss": float(np.mean(history[-1]["losses"]))}
        outcome["learning_rates"] = [epoch["learning_rate"] for epoch in history]
        outcome["seconds"] = sum(epoch["seconds"] for epoch in history)
        if "score" in history[-1]:
            outcome["best_epoch"] = best_epoch(history)
        if place:
            outcome["weights"] = f"{place.name}.safetensors"
            place.parent.mkdir(parents=True, exist_ok=True)
            weights = {key: value.contiguous() for key, value in network.state_dict().items()}
            save_file(weights, place.with_name(outcome["weights"]))
        return outcome

    record = cross_validate(task, test_fold, model, source, settings, seed, folder, folds)
    for fold in record.folds:
        if fold["name"] not in trained:  # it was, in an earlier call
            trained[fold["name"]] = make_model().eval()
            trained[fold["name"]].load_state_dict(_weights(Path(folder), fold))
    return record, {fold["name"]: trained[fold["name"]] for fold in record.folds}


def _weights(folder: Path, fold: dict) -> dict[str, torch.Tensor]:
    """The weights that a fold's entry in a record names."""
    try:
        return load_file(folder / fold["weights"])
    except (OSError, SafetensorError) as error:
        record = fold["weights"].removesuffix(f"_{_file_name(fold['name'])}.safetensors") + ".json"
        what = f"{folder / fold['weights']}: these weights are missing or torn"
        raise InputError(f"{what}. Delete {record} beside them to train again.") from error


def _rows(task: Task, rows: np.ndarray, outcome: dict, keep_scores: bool = True) -> dict:
    """Some rows of a task: whose they are, their labels, and what a fold's outcome says of them."""
    entry = {**task.table.iloc[rows][["utterance_id", "speaker"]], "label": task.labels[rows]}
    entry |= {key: value for key, value in outcome.items() if key not in ("scores", "tasks", "validation")}
    if "scores" in outcome:
        entry["predicted"] = _classes(outcome["scores"])
        entry |= {"scores": np.asarray(outcome["scores"]).round(4).astype(float)} if keep_scores else {}
    if further := outcome.get("tasks"):
        entry["tasks"] = {
            name: {"label": task.auxiliary[name][rows], "predicted": _classes(found)} for name, found in further.items()
        }
    return entry


def _classes(found: np.ndarray) -> np.ndarray:
    """Class numbers `(utterances,)`, from themselves or from scores `(utterances, classes)`."""
    found = np.asarray(found)
    return found.argmax(1) if found.ndim == 2 else found


def _plain(value: object) -> object:
    """As JSON will give it back."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return np.asarray(value).tolist()


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
