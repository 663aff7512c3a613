"""Who is tested when: speakers and sessions dealt into groups, and groups into the sides of folds.

A group is a name with row numbers of a task's table, in order. What is left to train on is worked out when a fold is
asked for, so that forty thousand speakers are no more than their rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from serlib.errors import InputError

Group = tuple[str, np.ndarray]  # its name, its rows
Sides = list[tuple[str, np.ndarray, np.ndarray]]  # of each fold: its name, the rows to test, the rows to choose on
_NONE = np.zeros(0, dtype=np.intp)


@dataclass(frozen=True)
class Fold:
    """Row numbers of a task's table to train, choose (where a protocol does) and test on.

    `normalise` are the rows whose statistics may scale the features: those to train on, except where it leaks.
    Page: notebooks/01.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    normalise: np.ndarray


@dataclass(frozen=True)
class Folds(Sequence):
    """The folds of a task of so many `utterances`, each made when it is asked for; a slice is the folds of a part.

    Page: book/which_iemocap.
    """

    utterances: int
    sides: list[Group] | Sides

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, at: int | slice) -> "Fold | Folds":
        if isinstance(at, slice):
            return Folds(self.utterances, self.sides[at])
        name, test, *validation = self.sides[at]
        choose = validation[0] if validation else _NONE
        train = np.delete(np.arange(self.utterances), np.union1d(test, choose))
        return Fold(name, train, choose, test, normalise=train)


def sides_of(folds: Sequence[Fold], utterances: int) -> Iterator[tuple]:
    """Of each fold of so many `utterances` its name, the rows to test, to choose on, not to train on, not to normalise.

    Folds that were dealt give no more than these, so that forty thousand of them are soon looked through.
    Page: book/which_iemocap.
    """
    if isinstance(folds, Folds):
        for name, test, *choose in folds.sides:
            away = np.unique(np.concatenate([test, *choose]))
            yield name, test, *(choose or [_NONE]), away, away
    else:
        for fold in folds:
            away = [np.setdiff1d(np.arange(utterances), rows) for rows in (fold.train, fold.normalise)]
            yield fold.name, fold.test, fold.validation, *away


def one_each(units: pd.Series) -> list[Group]:
    """A group for each unit (speaker, session), in sorted order. Page: book/which_iemocap."""
    return dealt(units, units.nunique())


def dealt(units: pd.Series, number: int) -> list[Group]:
    """At most `number` groups of units (speakers, sessions), dealt in sorted order. Page: book/which_iemocap."""
    codes, names = pd.factorize(units, sort=True)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    parts = np.array_split(np.arange(len(names)), max(1, number))
    groups = [(part[0], part[-1] + 1) for part in parts if len(part)]
    return [("+".join(map(str, names[a:b])), np.sort(order[bounds[a] : bounds[b]])) for a, b in groups]


def has_sessions(chosen: pd.DataFrame) -> bool:
    """Whether leaving sessions out leaves speakers out: all have one of several, and nobody is in two.

    Page: book/which_iemocap.
    """
    sessions = chosen.groupby("speaker")["session"].nunique()
    return chosen["session"].notna().all() and sessions.le(1).all() and chosen["session"].nunique() > 1


def session_parts(chosen: pd.DataFrame, folds: int) -> list[Group]:
    """All sessions, or `folds` groups of speakers where there are none. Page: book/which_iemocap."""
    return one_each(chosen["session"]) if has_sessions(chosen) else dealt(chosen["speaker"], folds)


def five_parts(chosen: pd.DataFrame, protocol: str) -> list[Group]:
    """The five sessions, or what stands for them: groups of sessions where there are more, else of speakers.

    Raises InputError, in the name of `protocol`, where there are fewer. Page: book/which_iemocap.
    """
    groups = dealt(chosen["session" if has_sessions(chosen) else "speaker"], 5)
    if len(groups) < 5:
        raise InputError(f"{protocol} needs five sessions, or five speakers without sessions, and found {len(groups)}.")
    return groups


def both_ways(chosen: pd.DataFrame) -> Sides:
    """Of each session, or group of speakers, one half to test and one to choose on; then the other way round.

    Raises InputError where a session has one speaker only. Page: book/which_iemocap.
    """
    speakers, folds = chosen["speaker"], []
    alone = chosen.groupby("session")["speaker"].nunique().eq(1).all()  # then a session is a speaker by another name
    pairs = dealt(speakers, min(5, speakers.nunique() // 2))
    for name, rows in one_each(chosen["session"]) if has_sessions(chosen) and not alone else pairs:
        here = speakers.iloc[rows]
        parts = np.array_split(sorted(here.unique()), 2)
        halves = [("+".join(map(str, part)), rows[here.isin(part)]) for part in parts]
        if not halves[1][0]:
            raise InputError(f"Of each session one speaker is tested and one chosen on, and {name} has one only.")
        folds += with_next(halves)
    return folds


def with_next(groups: list[Group]) -> Sides:
    """Each group in turn to test, the next one to choose on. Page: book/which_iemocap."""
    return [(*group, following[1]) for group, following in zip(groups, groups[1:] + groups[:1], strict=True)]
