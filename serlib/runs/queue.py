"""The reference runs that are worth having, as one list: what, why, how long; run by what a minute brings."""

import dataclasses
import functools
import importlib
import os
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import joblib
import pandas as pd

from serlib import corpora, protocols
from serlib.errors import InputError
from serlib.runs.make import Part, Run, network_run, plan, records_of
from serlib.runs.tables import reference

LIST = Path(__file__).with_suffix(".toml")
JOBS = 2  # of one thread each: small networks gain little from a second


@dataclasses.dataclass(frozen=True)
class Item:
    """One network on one corpus, with one seed. `minutes` of one core a fold, `value` for all its folds, from 1 to 10.

    `tenth` takes every tenth utterance of the corpus, `folds` the first few. Page: book/how_it_is_built.
    """

    chapter: str
    corpus: str
    protocol: str
    model: str
    seed: int
    schedule: dict
    why: str
    value: float
    minutes: float
    tenth: bool = False
    folds: int | None = None
    options: dict = dataclasses.field(default_factory=dict)

    def run(self) -> Run:
        """The run, as its chapter makes it."""
        paper = importlib.import_module(f"serlib.papers.{self.chapter}")
        task = getattr(protocols, self.protocol)(_table(self.corpus, self.tenth), **self.options)
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in self.schedule.items()}
        return network_run(paper.CHAPTER, task, self.model, paper.Schedule(**fields), self.seed, self.folds)


@functools.cache
def _table(corpus: str, tenth: bool) -> pd.DataFrame:
    table = corpora.load(corpus)
    if tenth:
        name, table = table.attrs["corpus"], table.iloc[::10].reset_index(drop=True)
        table.attrs["corpus"] = f"{name}, every tenth"
    return table


def items(path: Path = LIST) -> list[Item]:
    """All runs of the list, an item for each seed. Raises InputError where the file is not one.

    Page: book/how_it_is_built.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8"))["run"]
        return [Item(**entry, seed=seed) for entry in entries for seed in entry.pop("seeds")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of runs ({error}).") from error


def left_of(item: Item, folder: Path) -> list[Part]:
    """The folds of an item that are neither in the folder nor in the reference records. Page: book/how_it_is_built."""
    parts = plan(item.run(), folder)
    about = dataclasses.replace(parts[0].blank, origin={}, history={})
    kept = [
        fold["name"]
        for record in reference(item.chapter, model=item.model, seed=item.seed)
        for fold in record.folds
        if dataclasses.replace(record, origin={}, history={}, folds=[]) == about
    ]
    return [part for part in parts if part.fold.name not in kept and not part.path.exists()]


def overview(folder: Path, wanted: Iterable[Item]) -> tuple[pd.DataFrame, list[Part]]:
    """The list, the most valuable minute first, with the minutes that are left; and the folds that are left, in order.

    What cannot run here, for want of a corpus, says so. Page: book/how_it_is_built.
    """
    rows, parts = [], []
    for item in sorted(wanted, key=lambda item: -item.value / item.minutes):
        row = {"chapter": item.chapter, "model": item.model, "corpus": item.corpus, "seed": item.seed}
        try:
            left, status = left_of(item, folder), ""
            status = f"{len(left)} folds, {len(left) * item.minutes:.0f} min" if left else "done"
            parts += left
        except InputError as error:
            status = f"cannot run here: {error}"
        rows.append(row | {"left": status, "why": item.why})
    return pd.DataFrame(rows), parts


def work(parts: Iterable[Part], jobs: int = JOBS, progress: Callable | None = None) -> None:
    """Run some folds at low priority, one thread a job; it may be stopped at any moment. Page: book/how_it_is_built."""
    os.nice(19 - os.nice(0))
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        records_of(list(parts), progress=progress)
