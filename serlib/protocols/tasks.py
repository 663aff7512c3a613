"""What a paper trains on: the utterances that a selection names, their labels, and the folds they are dealt into."""

import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from serlib.corpora.leaks import on_both_sides
from serlib.errors import InputError
from serlib.protocols.folds import Fold, Folds, Group, Sides, sides_of

FOUR_EMOTIONS = ("anger", "happiness", "neutral", "sadness")  # the classes of most SER papers, in their order
DIMENSIONS = ("valence", "activation", "dominance")
ASSERTED = ("iemocap", "synthetic:full")  # corpora on which the counts below must be met


@dataclass(frozen=True)
class Selection:
    """Which utterances of a corpus take part.

    `classes` gives for each emotion its class; without any, every utterance with a rating takes part. `sessions` and
    `emotions` are what IEMOCAP gives: utterances of its five sessions, and of the four classes.
    Page: book/which_iemocap.
    """

    classes: dict[str, str]
    improvised: bool
    sessions: Sequence[int]
    emotions: Sequence[int] = ()


_OF = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
SELECTIONS = {name: Selection(**of) for name, of in _OF["selections"].items()}
MAPPED = _OF["mapped"]  # low or high valence and activation, of an emotion


@dataclass(frozen=True)
class Task:
    """What a model is trained for: selected rows, a class number for each, class names, folds.

    `auxiliary` holds further labels of the same rows, `(rows,)` each: levels of valence, activation and dominance, -1
    where a row was not rated. A task that scores a `dimension` has its levels, and its -1, as labels. The name of a
    corpus whose levels were mapped from emotions, not rated, ends in `(mapped)`. Page: notebooks/01.
    """

    protocol: str
    corpus: str
    table: pd.DataFrame
    labels: np.ndarray
    classes: tuple[str, ...]
    folds: Sequence[Fold]
    auxiliary: dict[str, np.ndarray] = field(default_factory=dict)
    dimension: str | None = None

    def counts(self) -> pd.DataFrame:
        """Utterances per speaker (rows) and class (columns)."""
        counts = pd.crosstab(self.table["speaker"], self.labels).reindex(columns=range(len(self.classes)), fill_value=0)
        return counts.set_axis(self.classes, axis=1)

    def sides(self) -> pd.DataFrame:
        """Of each fold: utterances to train, choose and test on, who is tested, and how many are on both sides."""
        codes, names = pd.factorize(self.table["speaker"], sort=True)
        said, rows = np.bincount(codes), {}
        for name, test, choose, away, _ in sides_of(self.folds, len(codes)):
            tested, there = np.unique(codes[test]), pd.Series(codes[away]).value_counts()
            both = [speaker for speaker in tested if said[speaker] > there.get(speaker, 0)]  # some of theirs is left
            sizes = (len(codes) - len(away), len(choose), len(test))
            rows[name] = (*sizes, " ".join(names[tested]), len(both))
        columns = ("trained on", "chosen on", "tested on", "test speakers", "speakers on both sides")
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def select(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a corpus table that the selection `name` of `SELECTIONS` takes.

    A corpus that does not say what was improvised is taken whole. Raises InputError, with expected against found per
    session and class, when IEMOCAP does not give its counts. Page: book/which_iemocap.
    """
    if "corpus" not in table.attrs and table["utterance_id"].str.match(r"Ses0\d[FM]_(impro|script)").any():
        raise InputError(
            "This table has lost its name, as merging does. Set table.attrs['corpus'], 'iemocap' if it is."
        )
    selection = SELECTIONS[name]
    rated = table[[*DIMENSIONS]].notna().any(axis=1)
    takes_part = table["emotion"].isin(selection.classes) if selection.classes else rated
    if selection.improvised:
        takes_part &= (table["scenario"] == "improvised") | table["scenario"].isna()
    chosen = table[takes_part].reset_index(drop=True)
    expected = {"in all": sum(selection.sessions)}
    expected |= {f"Ses0{number}": count for number, count in enumerate(selection.sessions, 1)}
    found = {"in all": len(chosen)} | chosen["session"].value_counts().to_dict()
    if selection.classes:
        expected |= zip(FOUR_EMOTIONS, selection.emotions, strict=True)
        found |= chosen["emotion"].map(selection.classes).value_counts().to_dict()
    assert_counts(chosen, name, expected, found)
    return chosen


def assert_counts(chosen: pd.DataFrame, what: str, expected: dict, found: dict) -> None:
    """Raise InputError, expected against found, where a corpus that must have IEMOCAP's counts has others.

    Page: book/which_iemocap.
    """
    wrong = {key: count for key, count in expected.items() if count != found.get(key, 0)}
    if wrong and chosen.attrs.get("corpus") in ASSERTED:
        counts = "; ".join(f"{key}: expected {count}, found {found.get(key, 0)}" for key, count in wrong.items())
        remedy = "Files are missing or were changed: compare your copy with the release."
        part = "To use a part of it on purpose, rename it first: table.attrs['corpus'] = 'part of iemocap'."
        raise InputError(f"{what} on {chosen.attrs['corpus']}: {counts}. {remedy} {part}")


def three_levels(ratings: np.ndarray) -> np.ndarray:
    """Low (up to 2), middle and high (from 4) as 0, 1, 2: Zhang 2019, section 4.1.

    Raises InputError as `four_bins` does. Page: book/which_iemocap.
    """
    ratings = _rated(ratings)
    return np.where(ratings <= 2, 0, np.where(ratings >= 4, 2, 1))


def four_bins(ratings: np.ndarray) -> np.ndarray:
    """Below 2, below 3, below 4, and the rest as 0, 1, 2, 3: Cai 2020, section 3.1.

    Raises InputError for ratings that are not on IEMOCAP's scale, nominally 1 to 5 (0.5 and 5.5 occur), and for NaN.
    Page: book/which_iemocap.
    """
    return np.digitize(_rated(ratings), [2, 3, 4])


def _rated(ratings: np.ndarray) -> np.ndarray:
    ratings = np.asarray(ratings, dtype=float)
    if missing := np.isnan(ratings).sum():
        raise InputError(f"{missing} of {len(ratings)} utterances have no rating on the scale from 1 to 5.")
    if not ((ratings >= 0.5) & (ratings <= 5.5)).all():
        low, high = np.min(ratings), np.max(ratings)
        raise InputError(f"Ratings must be on a scale from 1 to 5; these go from {low:g} to {high:g}. Rescale them.")
    return ratings


def is_rated(table: pd.DataFrame) -> bool:
    """Whether levels come from ratings, not from emotions. Page: book/which_iemocap."""
    return table.attrs.get("corpus") in ASSERTED or table[[*DIMENSIONS]].notna().any(axis=None)


def emotions_of(chosen: pd.DataFrame) -> np.ndarray:
    """The class of each row, `(rows,)`: its place in FOUR_EMOTIONS. Page: book/which_iemocap."""
    return chosen["emotion"].map(SELECTIONS["all4_hapexc"].classes).map(FOUR_EMOTIONS.index).to_numpy(dtype=np.int64)


def levels_of(chosen: pd.DataFrame, discretise: Callable) -> dict[str, np.ndarray]:
    """Levels of the dimensions that have ratings, -1 where a row has none; where no row has any, of two, mapped.

    Raises InputError where IEMOCAP lacks a rating. Page: book/which_iemocap.
    """
    ratings = chosen[[*DIMENSIONS]]
    missing = {name: count for name, count in ratings.isna().sum().items() if count}
    if missing and chosen.attrs.get("corpus") in ASSERTED:
        remedy = "Compare the label files of your copy with the release."
        raise InputError(f"Ratings are missing, of {len(chosen)} utterances: {missing}. {remedy}")
    if not is_rated(chosen):
        pairs = np.array([MAPPED[emotion] for emotion in chosen["emotion"]], dtype=np.int64).reshape(-1, 2)
        return dict(zip(DIMENSIONS, pairs.T, strict=False))
    levels = {}
    for name in DIMENSIONS:
        if (rated := ratings[name].notna().to_numpy()).any():
            levels[name] = np.full(len(chosen), -1)
            levels[name][rated] = discretise(ratings[name][rated])
    return levels


def refuse_leaks(protocol: str, chosen: pd.DataFrame, recording: pd.Series) -> None:
    """Raise InputError where one person or `recording` stands under two speakers, but for what is there to leak.

    Page: book/which_iemocap.
    """
    if not protocol.startswith("leaky_") and (leak := on_both_sides(chosen, recording)):
        corpus = chosen.attrs.get("corpus", "this corpus")
        raise InputError(f"{protocol} on {corpus}: {leak}; `python -m serlib corpus check` names all.")


def make_task(protocol: str, chosen: pd.DataFrame, labels, classes, sides: list[Group] | Sides, auxiliary=None) -> Task:
    """Test on a side, choose on another where there is one, train on the rest.

    Raises InputError where nothing is left to train on, a class is not there to be learnt, or one person or recording
    stands under two speakers (but for protocols that are there to leak). Page: book/which_iemocap.
    """
    corpus, whole = chosen.attrs.get("corpus", "this corpus"), True
    refuse_leaks(protocol, chosen, chosen["path"].map(os.path.normpath))
    there = np.bincount(labels[labels >= 0], minlength=len(classes))
    for name, *parts in sides:
        taken = np.unique(np.concatenate(parts))
        if not (whole := len(taken) < len(chosen)):
            break
        absent = np.flatnonzero(there == np.bincount(labels[taken][labels[taken] >= 0], minlength=len(there)))
        if len(absent):
            names = ", ".join(classes[label] for label in absent)
            where = f"{protocol} on {corpus}: the training part of fold {name!r} holds no {names}."
            raise InputError(f"{where} Add utterances of it, or use a corpus in which several speakers express it.")
    if chosen.empty:
        raise InputError(f"{protocol} finds nothing to take in {corpus}: no utterance of {', '.join(classes)}.")
    if not whole:
        has = f"{chosen['speaker'].nunique()} speakers, to be tested in {len(sides)} group(s)"
        raise InputError(f"{protocol} needs more speakers or sessions than {corpus} has: {has}.")
    if auxiliary and not is_rated(chosen):
        corpus = f"{corpus} (mapped)"
    return Task(protocol, corpus, chosen, labels, classes, Folds(len(chosen), sides), auxiliary or {})
