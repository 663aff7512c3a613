"""`make reference`: the runs that are worth having, as one list: what, why, how long; run by what a minute brings.

What is complete becomes a record in serlib/reference: of each model and seed, one of all its folds.
"""

import argparse
import dataclasses
import functools
import importlib
import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import joblib
import pandas as pd

from serlib import corpora, protocols
from serlib.__main__ import PAPERS, carry_out, positive, say
from serlib.cache import located, write_atomically
from serlib.errors import InputError
from serlib.runs.make import Part, Run, network_run, plan, records_of
from serlib.runs.record import REFERENCE, Record, joined, read_record

LIST = Path(__file__).with_suffix(".toml")
JOBS = 2  # of one thread each: small networks gain little from a second


@dataclasses.dataclass(frozen=True)
class Item:
    """One network on one corpus, with one seed: its value, 1 to 10, and minutes of one core, for all its folds.

    `tenth` takes every tenth utterance of the corpus, `folds` the first few; `part` is the folder within that of the
    runs, and within `serlib/reference`, by default that of the chapter.
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
    part: str | None = None
    options: dict = dataclasses.field(default_factory=dict)

    def run(self) -> Run:
        """The run, as its chapter makes it."""
        paper = importlib.import_module(f"serlib.papers.{self.chapter}")
        task = getattr(protocols, self.protocol)(table_of(self.corpus, self.tenth), **self.options)
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in self.schedule.items()}
        return network_run(paper.CHAPTER, task, self.model, paper.Schedule(**fields), self.seed, self.folds)


@functools.cache
def table_of(corpus: str, tenth: bool) -> pd.DataFrame:
    """A corpus, or every tenth of its utterances."""
    table = corpora.load(corpus)
    if tenth:
        name, table = table.attrs["corpus"], table.iloc[::10].reset_index(drop=True)
        table.attrs["corpus"] = f"{name}, every tenth"
    return table


def items(path: Path = LIST) -> list[Item]:
    """All runs of the list, an item for each model and seed. Raises InputError where the file is not one."""
    try:
        entries = tomllib.loads(path.read_text("utf-8"))["run"]
        triples = [(entry, entry.pop("models"), entry.pop("seeds")) for entry in entries]
        return [Item(**entry, model=m, seed=s) for entry, models, seeds in triples for m in models for s in seeds]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of runs ({error}).") from error


def left_of(item: Item, folder: Path) -> tuple[list[Part], float]:
    """The folds of an item that are neither in the folder nor in the reference records, and the share that they are."""
    parts = plan(item.run(), folder / (item.part or item.chapter))
    kept = kept_of(parts[0].blank)
    left = [part for part in parts if part.fold.name not in kept and not part.path.exists()]
    return left, len(left) / len(parts)


def kept_of(blank: Record) -> dict[str, Record]:
    """The folds of a run that the reference records hold, each as a record, by name.

    A record that was made of other sound holds none of it; early ones do not know.
    """
    about, known = dataclasses.replace(blank, origin={}, history={}, folds=[]), (None, blank.origin["data"])
    return {
        fold["name"]: dataclasses.replace(record, folds=[fold])
        for record in _references()
        if dataclasses.replace(record, origin={}, history={}, folds=[]) == about
        for fold in record.folds
        if fold.get("origin", record.origin).get("data") in known
    }


def finished(item: Item, folder: Path) -> tuple[Record, str] | None:
    """The record of all folds of an item, from the folder and from the reference records, and the name of its file.

    None while one is left, where the folder has none, and where the corpus is not here.
    """
    try:
        parts = plan(item.run(), folder / (item.part or item.chapter))
    except InputError:  # the list has said why
        return None
    found = kept_of(parts[0].blank)
    here = {part.fold.name: read_record(part.path) for part in parts if part.path.exists()}
    found |= here
    if not here or any(part.fold.name not in found for part in parts):
        return None
    home = parts[0].place.parent
    return joined([found[part.fold.name] for part in parts], home), home.name


@functools.cache
def _references() -> list[Record]:
    return [read_record(path) for path in sorted(REFERENCE.glob("*/**/*.json"))]


def overview(folder: Path, wanted: Iterable[Item]) -> tuple[pd.DataFrame, list[Part]]:
    """The list, the most valuable minute first, with the minutes that are left; and the folds that are left, in order.

    What cannot run here, for want of a corpus, says so.
    """
    rows, parts = [], []
    for item in sorted(wanted, key=lambda item: -item.value / item.minutes):
        row = {"chapter": item.chapter, "model": item.model, "corpus": item.corpus, "seed": item.seed}
        try:
            left, share = left_of(item, folder)
            status = f"{len(left)} folds, {share * item.minutes:.0f} min" if left else "done"
            parts += left
        except InputError as error:
            status = f"cannot run here: {error}"
        rows.append(row | {"left": status, "why": item.why})
    return pd.DataFrame(rows), parts


def work(parts: Iterable[Part], jobs: int = JOBS, progress: Callable | None = None) -> None:
    """Run some folds at low priority, one thread a job; it may be stopped at any moment."""
    if hasattr(os, "nice"):  # all but Windows
        os.nice(19 - os.nice(0))
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        records_of(list(parts), progress=progress)


def keep(record: Record, part: str, stem: str) -> None:
    """Write a record into the package."""
    with write_atomically(REFERENCE / part / f"{stem}.json") as file:
        file.write(json.dumps(dataclasses.asdict(record)).encode())
    print(f"kept {part}/{stem}")


def main(chapter: str | None, folder: Path, jobs: int | None, show: bool) -> int:
    """Show the list, work it off, keep what is finished."""
    wanted, where = [item for item in items() if chapter in (None, item.chapter)], located(folder)
    table, left = overview(where, wanted)
    say(table.to_string(index=False))
    if not show:
        work(left, jobs or JOBS, say)
        for item in wanted:
            if whole := finished(item, where):
                record, stem = whole
                keep(record, item.part or item.chapter, stem)
    return 0


def arguments(line: Sequence[str] | None = None) -> dict:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chapter", choices=PAPERS, help="only its runs")
    parser.add_argument("--jobs", type=positive, help="of one thread each; by default two")
    parser.add_argument("--show", action="store_true", help="show the list, and run nothing")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="of the runs; by default runs")
    return vars(parser.parse_args(line))


if __name__ == "__main__":
    sys.exit(carry_out(main, **arguments()))
