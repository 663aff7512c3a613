"""How a record is made: one file a fold, so that folds, seeds and models are run in any order, or at the same time."""

import contextlib
import dataclasses
import itertools
import json
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import nn

from serlib.cache import digest, located, locked, room_for, write_atomically
from serlib.errors import InputError
from serlib.protocols import Fold, Task
from serlib.protocols.folds import sides_of
from serlib.runs.cluster import settle, undisturbed
from serlib.runs.data import data_digest, hear
from serlib.runs.origin import origin
from serlib.runs.record import Record, entry_of, joined, read_record, rests_on
from serlib.runs.weights import WeightsError, keep
from serlib.training import best_epoch, same_loss

MANY = 1000  # folds; from here on a run's key lists no rows to train on, which would be all speakers times all rows
TRIES = 3  # how often folds are begun again whose worker was killed


class Chapter(NamedTuple):
    """What a chapter gives to be run: its name and three functions, so that a cell that was edited counts.

    `make_model(name)` is an untrained network. `train(task, fold, name, schedule, seed, checkpoint, watch)` gives the
    trained one and the history of `fit`; `answers(network, task, fold, name)` a dictionary with `scores` `(utterances,
    classes)` of the fold's test rows. It may add `dimensions`, scores of further dimensions by their names, and
    `validation`: a dictionary of the same kind for the rows to choose on. Page: book/how_it_is_built.
    """

    name: str
    make_model: Callable[..., nn.Module]
    train: Callable[..., tuple[nn.Module, list[dict]]]
    answers: Callable[..., dict]


@dataclasses.dataclass(frozen=True)
class Run:
    """A model to be tested on the folds of a task, or on the first `folds` of them.

    `test_fold(fold, place)` gives what `Chapter.answers` does, with `scores` or `predicted`, and whatever else a record
    shall hold of the fold; `place` is a path without ending for its checkpoint and weights, or None.
    Page: book/how_it_is_built.
    """

    task: Task
    model: str
    source: str
    settings: dict
    test_fold: Callable[[Fold, Path | None], dict]
    seed: int = 0
    folds: int | None = None


def network_run(
    chapter: Chapter, task: Task, name: str, schedule: object, seed: int = 0, folds: int | None = None, watch=None
) -> Run:
    """The run of a chapter's network; `watch(history)` is called after every epoch. Page: book/how_it_is_built."""
    test_fold = partial(_train_and_test, chapter, task, name, schedule, seed, watch)
    return Run(task, name, f"papers.{chapter.name}", dataclasses.asdict(schedule), test_fold, seed, folds)


def reproduce(
    chapter: Chapter, task: Task, name: str, schedule: object, seed=0, folder=None, folds=None, jobs=None, watch=None
) -> Record:
    """Train and test a chapter's network on each fold of a task: the record.

    With a `folder` it goes on where it was stopped, fold by fold and epoch by epoch, and `load` finds the weights
    there. `folds` takes only the first few; `jobs` is how many run at a time. Raises InputError where a file in the
    folder is torn or of another run, or where the first update does not lose what it lost before. Page: notebooks/01.
    """
    return run_all([network_run(chapter, task, name, schedule, seed, folds, watch)], folder, jobs)[0]


def run_all(
    runs: Iterable[Run], folder: str | Path | None = None, jobs: int | None = None, progress: Callable | None = None
) -> list[Record]:
    """The records of several runs, whose folds are worked off by `jobs` processes, or in this one.

    Within `joblib.parallel_config(backend="dask")` they go to a cluster, all of whose machines must share `folder`.
    What is finished stays there. `progress` gets a line for each fold. Raises InputError as `reproduce` and
    `records_of` do. Page: book/how_it_is_built.
    """
    plans = [(run, plan(run, folder)) for run in runs]
    records = iter(records_of([part for _, parts in plans for part in parts], jobs, progress))
    return [joined([*filter(None, [next(records) for _ in parts])], run.model) for run, parts in plans]


def records_of(parts: list["Part"], jobs: int | None = None, progress: Callable | None = None) -> list[Record | None]:
    """The records of some folds, of one run or several, in their order.

    All sound is read before anything is trained: a file that cannot be used costs no night. A fold for which weights
    are lost that another run should have left is None, and a note says so; where it is so for all, InputError. Folds
    with the same training rows follow each other: what the first computed serves all. A fold whose worker was killed is
    begun again, from its last checkpoint; after three such deaths InputError is raised. Page: book/how_it_is_built.
    """
    for task in {id(part.run.task): part.run.task for part in parts if not part.is_made()}.values():
        hear(task)
    done: dict[int, Record | WeightsError] = {}
    for attempt in range(1, TRIES + 1):
        todo: dict[object, list[int]] = {}
        for number in (number for number in range(len(parts)) if number not in done):
            part = parts[number]
            todo.setdefault((id(part.run), part.alike[0]) if part.alike else number, []).append(number)
        work = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        try:
            with undisturbed():
                found = work(joblib.delayed(_numbered)({n: parts[n] for n in those}) for those in todo.values())
            with warnings.catch_warnings(), contextlib.closing(found):
                warnings.filterwarnings("ignore", r"\d+ tasks (which|have) ")  # of who stops it between two folds
                for number, record in itertools.chain.from_iterable(found):
                    done[number] = record
                    if progress and not isinstance(record, WeightsError):
                        minutes = f"{record.folds[0]['seconds'] / 60:.1f} min"
                        progress(f"{parts[number].said()}: {minutes}; {len(parts) - len(done)} left")
            break
        except TerminatedWorkerError as error:
            if attempt == TRIES:
                what = f"A worker was killed, {TRIES} times over; perhaps memory ran out. Take fewer jobs."
                raise InputError(f"{what} What was finished stays.") from error
    found = [done[number] for number in range(len(parts))]
    for part, error in zip(parts, found, strict=True):
        if isinstance(error, WeightsError):
            if not any(isinstance(each, Record) for each in found):
                raise error
            warnings.warn(f"{part.said()} is left out. {error}", stacklevel=2)
    return [each if isinstance(each, Record) else None for each in found]


def _numbered(parts: dict[int, "Part"]) -> list[tuple[int, Record | WeightsError]]:
    settle()
    found: list[tuple[int, Record | WeightsError]] = []
    for number, part in parts.items():
        try:
            found.append((number, part.record()))
        except WeightsError as error:
            found.append((number, error))
    return found


@dataclasses.dataclass(frozen=True)
class Part:
    """One fold of a run: what its record says before anything is known, and its place on disk, a path without ending.

    `number` is that of the fold in its task; `alike` are the places of all with its training rows, which may differ in
    who is chosen on and who is tested. Page: book/how_it_is_built.
    """

    run: Run
    number: int
    blank: Record
    place: Path | None
    alike: list[Path]

    @property
    def fold(self) -> Fold:
        """Made when it is asked for: the rows of all folds are rows times speakers."""
        return self.run.task.folds[self.number]

    @property
    def path(self) -> Path:
        """Where its record is, or will be."""
        return Path(f"{self.place}.json")

    def is_made(self) -> bool:
        """Whether its record is there."""
        return bool(self.place) and self.path.exists()

    def said(self) -> str:
        """Which fold of what, in words."""
        about = f"{self.blank.corpus}, {self.blank.protocol}, seed {self.blank.seed}"
        return f"{self.blank.model} ({about}), fold {self.fold.name}"

    def record(self) -> Record:
        """The record of this fold: read, or made and written; only one process at a time makes it."""
        if not self.place:
            return self._made()
        if self.path.exists():
            return self._read()
        with contextlib.ExitStack() as stack:
            with room_for(self.path):
                stack.enter_context(locked(Path(f"{self.place}.lock")))
            if self.path.exists():  # another process was faster
                return self._read()
            trail = Path(f"{self.place}.trail")
            if self._others():
                trail.mkdir(exist_ok=True)
            record = self._made()
            with write_atomically(self.path) as file:
                file.write(json.dumps(dataclasses.asdict(record)).encode())
            others = self._others()  # another process may have made one meanwhile
            if trail.exists() and others and not Path(f"{others[0]}.trail").exists():
                trail.rename(f"{others[0]}.trail")  # the next one need not compute what this one did
            shutil.rmtree(trail, ignore_errors=True)
        Path(f"{self.place}.checkpoint").unlink(missing_ok=True)
        return record

    def _others(self) -> list[Path]:
        """Of the folds with the same training rows those that are still to be made."""
        return [place for place in self.alike if place != self.place and not Path(f"{place}.json").exists()]

    def _made(self) -> Record:
        start, task, fold = time.perf_counter(), self.run.task, self.fold
        try:
            outcome = self.run.test_fold(fold, self.place)
        except FloatingPointError as error:
            raise InputError(f"{self.said()}: {error} What was finished stays.") from error
        outcome.setdefault("seconds", time.perf_counter() - start)
        entry = entry_of(task, fold, outcome)
        return dataclasses.replace(self.blank, origin=origin(self.blank.origin["data"]), folds=[entry])

    def _read(self) -> Record:
        """What an earlier call found out. A notebook's cells have no fingerprint: their first update is replayed."""
        path, record = self.path, read_record(self.path)
        expected = dataclasses.replace(self.blank, origin=record.origin, folds=record.folds)
        data, fold = self.blank.origin["data"], self.fold
        heard = record.origin.get("data") in (None, data)  # early records do not know
        whose = [self.run.task.table["utterance_id"].iloc[fold.test].tolist(), self.run.task.labels[fold.test].tolist()]
        answered = [[entry["name"], entry["utterance_id"], entry["label"]] for entry in record.folds]
        test_fold = self.run.test_fold
        network = isinstance(test_fold, partial) and test_fold.func is _train_and_test
        heard &= not network or all("first_loss" in entry for entry in record.folds)
        if not heard or record != expected or answered != [[fold.name, *whose]]:
            raise InputError(f"{path}: this is not {self.said()}. Move the file away, and the fold will be run again.")
        if network and test_fold.args[0].train.__module__ == "__main__":
            _replay(path, fold, record.folds[0]["first_loss"], *test_fold.args[:-1])
        return record


def plan(run: Run, folder: str | Path | None) -> list[Part]:
    """The folds of a run, each with its place. Other behaviour, data, settings or utterances get another folder.

    Page: book/how_it_is_built.
    """
    task, data = run.task, data_digest(run.task)
    settings = run.settings | ({"dimension": task.dimension} if task.dimension else {})
    settings = {key: value for key, value in settings.items() if value is not None}  # so a new one may be added later
    settings = json.loads(json.dumps(settings))  # as they will be read back
    behaviour = rests_on(run.source, task.protocol, run.model, settings, task.corpus)
    about = (run.model, run.source, task.corpus, task.protocol, list(task.classes), settings, run.seed, behaviour)
    blank = Record(*about, origin={"data": data}, folds=[])
    if len(task.folds) <= MANY:
        sides = [[getattr(fold, side).tolist() for side in ("train", "validation", "test")] for fold in task.folds]
    else:
        sides = [[rows.tolist() for rows in sides] for _, *sides, _ in sides_of(task.folds, len(task.labels))]
    more = [(name, labels.tolist()) for name, labels in task.auxiliary.items()]
    key = digest(*about, data, task.table["utterance_id"].tolist(), task.labels.tolist(), sides, *more)[:8]
    stem = "_".join([_file_name(run.model), _file_name(task.corpus), task.protocol, key])
    folder = folder and located(folder)
    parts, alike = [], {}
    for number, (name, *_, away, apart) in enumerate(sides_of(task.folds[: run.folds], len(task.labels))):
        place = folder and folder / stem / f"{number + 1:02}-{_file_name(name)}"
        same = alike.setdefault((away.tobytes(), apart.tobytes()), [])
        same += [place] if place else []
        parts.append(Part(run, number, blank, place, same))
    return parts


def _replay(path: Path, fold: Fold, before: float, chapter: Chapter, task: Task, name: str, schedule, seed) -> None:
    """Raise InputError where the first update of a finished fold would lose something else today."""
    once = dataclasses.replace(schedule, epochs=1, most_updates=1)
    now = chapter.train(task, fold, name, once, seed, None, None)[1][0]["losses"][0]
    if not same_loss(before, now):
        what = f"the first update lost {before:.6g} and loses {now:.6g} now: a cell or the data have changed"
        raise InputError(f"{path}: {what}. Undo the change, or run it into another folder.")


def _train_and_test(chapter: Chapter, task: Task, name: str, schedule, seed, watch, fold: Fold, place) -> dict:
    """One fold of a network: its outcome, and its weights beside the record."""
    network, history = chapter.train(task, fold, name, schedule, seed, place and Path(f"{place}.checkpoint"), watch)
    outcome = dict(chapter.answers(network.eval(), task, fold, name))
    outcome |= {"updates": history[-1]["updates"], "first_loss": history[0]["losses"][0]}
    outcome |= {"loss": float(np.mean(history[-1]["losses"])), "seconds": sum(epoch["seconds"] for epoch in history)}
    outcome["curve"] = {"loss": [round(float(np.mean(epoch["losses"])), 4) for epoch in history]}
    for key in ("learning_rate", "seconds", *(["score"] if "score" in history[-1] else [])):
        outcome["curve"][key] = [float(f"{epoch[key]:.4g}") for epoch in history]
    if "score" in history[-1]:
        outcome["best_epoch"] = best_epoch(history)
    if place:
        outcome |= keep(network, place)
    return outcome


def _file_name(name: str) -> str:
    """What a disk accepts of a name, and not too much of it: a fold is named after all of its speakers."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")[:60]
