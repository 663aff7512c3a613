"""What a run record is: who was tested on what, what came out, where it comes from, and what it rests on."""

import dataclasses
import functools
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

from serlib import metrics
from serlib.cache import digest, located
from serlib.errors import InputError
from serlib.protocols import Fold, Task
from serlib.runs.shape import inspect

REFERENCE = Path(__file__).parents[1] / "reference"  # inside the package, so that a lone notebook can show them
BEHAVIOUR = REFERENCE / "behaviour.json"  # what code did when the reference records were made
CHAPTERS = tomllib.loads(Path(__file__).with_name("behaviour.toml").read_text("utf-8"))  # what is compared of each
FORMAT = 2  # of records and fingerprints
LARGEST = 1 << 28  # bytes; a record of IEMOCAP has two million


@dataclasses.dataclass
class Record:
    """One model, cross-validated once: all that a row of a table needs, and all that makes it believable.

    `source` is what made it, `origin` where it comes from: commit, date, environment, digest of the data; never
    rewritten. `behaviour` holds the ids of the fingerprints that it rests on: `is_current` compares them with today's.
    `history` is what earlier versions of this book said of it. `folds` holds for each fold its name, utterance ids,
    speakers, labels, predictions and seconds; for a network also class scores, updates, first and final training loss,
    its learning curve and the file of its weights. A label of -1 says that nobody gave one. Beside these there may be
    `dimensions`, labels and predictions of the same rows in further ones, and `validation`, all this for the rows that
    were chosen on: `on` shows them. Page: notebooks/01.
    """

    model: str
    source: str
    corpus: str
    protocol: str
    classes: list[str]
    settings: dict
    seed: int
    behaviour: dict[str, str]
    origin: dict
    folds: list[dict]
    history: dict = dataclasses.field(default_factory=dict)
    format: int = FORMAT

    def on(self, dimension: str | None = None, part: str = "test") -> "Record":
        """The same run on another of its dimensions, or on the `validation` part: a record of its own.

        Raises InputError when the run has no such dimension or part.
        """
        own, folds = dimension in (None, self.settings.get("dimension")), []
        for fold in self.folds:
            rows = {"test": fold, "validation": fold.get("validation")}.get(part) or {}
            if not (answers := rows if own else rows.get("dimensions", {}).get(dimension)):
                what = part if own else f"{dimension}, {part}"
                raise InputError(f"The record of {self.model} ({self.corpus}, {self.protocol}) does not hold: {what}.")
            kept = {key: value for key, value in fold.items() if key not in ("scores", "dimensions", "validation")}
            found = {"label": answers["label"], "predicted": answers["predicted"]}
            folds.append(kept | {key: rows[key] for key in ("utterance_id", "speaker")} | found)
        settings = self.settings if own else self.settings | {"dimension": dimension}
        return dataclasses.replace(self, settings=settings, folds=folds)

    def predictions(self) -> pd.DataFrame:
        """One row per tested utterance that has a label: utterance_id, speaker, label, predicted, fold."""
        columns = ["utterance_id", "speaker", "label", "predicted"]
        parts = [pd.DataFrame({c: fold[c] for c in columns} | {"fold": fold["name"]}) for fold in self.folds]
        rows = pd.concat(parts, ignore_index=True)
        return rows[rows["label"] >= 0].reset_index(drop=True)

    def confusion(self) -> np.ndarray:
        """Counts `(classes, classes)` over all tested utterances: true class in rows."""
        rows = self.predictions()
        return metrics.confusion(rows["label"], rows["predicted"], len(self.classes))

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

    def is_current(self) -> bool:
        """Whether the code that reads this record behaves as the code did that made it: a look-up, nothing is run."""
        today = fingerprint_ids()
        return all(today.get(name) == digest for name, digest in self.behaviour.items())

    def shown(self, score: str) -> str:
        """A score in per cent with its interval; a dagger marks a number of code that behaved otherwise."""
        value, low, high = (100 * number for number in self.scores()[score])
        if np.isnan(value):
            return "no label"
        interval = "" if np.isnan(low) else f" [{low:.0f}, {high:.0f}]"
        return f"{value:.1f}{interval}{'' if self.is_current() else ' †'}"


def read_json(path: Path, what: str, remedy: str) -> dict:
    """The object in a JSON file of this book's format. Raises InputError, saying what it should have been.

    Page: book/how_it_is_built.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST >> 20} MB")
        found = json.loads(path.read_text("utf-8"), parse_constant=_refuse)
        if not isinstance(found, dict):
            raise TypeError("no object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error  # the path stands before it already
        raise InputError(f"{path}: not a whole {what} ({said}). {remedy}") from error
    if found.get("format") != FORMAT:
        was = f"of format {found.get('format', 1)}, and this version of serlib reads format {FORMAT}"
        raise InputError(f"{path}: a {what} {was}. {remedy}")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def read_record(path: str | Path) -> Record:
    """The record in a JSON file, or of all folds in a run's folder.

    Raises InputError when a file is torn, no record, or of an older format, or when two hold the same fold.
    Page: notebooks/01.
    """
    path = located(path)
    if path.is_dir():
        return joined([read_record(file) for file in sorted(path.glob("*.json"))], path)
    remedy = "Delete it and run again."
    found = read_json(path, "run record", remedy)
    try:
        inspect(found)
    except ValueError as error:
        raise InputError(f"{path}: not a whole run record ({error}). {remedy}") from error
    return Record(**found)


def joined(parts: list[Record], where: object) -> Record:
    """One record of the folds that several hold; a fold of another origin than the first one's keeps its own.

    Raises InputError where there is none, where they are of different runs, or a fold is there twice.
    Page: book/how_it_is_built.
    """
    if not parts:
        raise InputError(f"{where}: holds no fold of any run.")
    first, folds = parts[0], {}
    for part in parts:
        if (other := _differs(first, part)) is not None:
            raise InputError(f"{where}: holds folds of two runs, with another {other}. Move one of them away.")
        for fold in part.folds:
            if fold["name"] in folds:
                raise InputError(f"{where}: fold {fold['name']!r} is there twice. Delete one of its files.")
            elsewhere = {} if part.origin == first.origin else {"origin": part.origin}
            folds[fold["name"]] = elsewhere | fold
    return dataclasses.replace(first, folds=list(folds.values()))


def _differs(one: Record, other: Record) -> str | None:
    """The first field in which two records are not of one run."""
    names = [field.name for field in dataclasses.fields(Record)]
    return next((n for n in names if n not in ("origin", "folds") and getattr(one, n) != getattr(other, n)), None)


def rests_on(source: str, protocol: str, model: str, settings: dict, corpus: str) -> dict[str, str]:
    """The fingerprints, with their ids, of what a run goes through; what has none is left out.

    Page: book/how_it_is_built.
    """
    home, name = source.split(".")
    names = [f"protocol {protocol}", *(["corpus synthetic"] if corpus.startswith("synthetic") else [])]
    if home == "baselines":
        names += [f"baseline {name}{', development' if settings.get('C') == 'development' else ''}"]
        names += ["feature functionals"] if name == "functionals_svm" else []
    else:
        of = CHAPTERS.get(name, {})
        names += [f"feature {feature}" for feature in of.get("features", ())]
        network = next((alike for begin, alike in of.get("alike", {}).items() if model.startswith(begin)), model)
        usual = {key: tried.get("usual") for key, tried in of.get("special", {}).items()}
        special = [key for key, value in usual.items() if settings.get(key, value) != value]
        names += [f"network {name} {what}" for what in (network, *special)]
    ids = fingerprint_ids()
    return {name: ids[name] for name in names if name in ids}


def fingerprint_ids() -> dict[str, str]:
    """The id of each fingerprint of today's behaviour, as recorded. Page: book/how_it_is_built."""
    return _ids(BEHAVIOUR)


@functools.cache
def _ids(path: Path) -> dict[str, str]:
    kept = read_json(path, "file of fingerprints", "Install serlib again.")
    return {name: digest(json.dumps(value, sort_keys=True)) for name, value in kept["fingerprints"].items()}


def entry_of(task: Task, fold: Fold, outcome: dict) -> dict:
    """What a record says of a fold: its name, whom it tested and what came out. Page: book/how_it_is_built."""
    entry = {"name": fold.name, **_rows(task, fold.test, outcome)}
    if chosen := outcome.get("validation"):
        entry["validation"] = _rows(task, fold.validation, chosen, keep_scores=False)
    return _plain(entry)


def _rows(task: Task, rows: np.ndarray, outcome: dict, keep_scores: bool = True) -> dict:
    """Some rows of a task: whose they are, their labels, and what a fold's outcome says of them."""
    entry = {**task.table.iloc[rows][["utterance_id", "speaker"]], "label": task.labels[rows]}
    entry |= {key: value for key, value in outcome.items() if key not in ("scores", "dimensions", "validation")}
    if "scores" in outcome:
        entry["predicted"] = _classes(outcome["scores"])
        entry |= {"scores": np.asarray(outcome["scores"]).round(4).astype(float)} if keep_scores else {}
    if further := outcome.get("dimensions"):
        entry["dimensions"] = {
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
