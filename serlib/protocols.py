"""The second room: which utterances a paper trains on, and who is tested when."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from serlib.errors import InputError

FOUR_EMOTIONS = ("anger", "happiness", "neutral", "sadness")  # the classes of most SER papers, in their order


@dataclass(frozen=True)
class Fold:
    """Row numbers of a task's table to train, choose (where a protocol does) and test on. Page: notebooks/01."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Task:
    """What a model is trained for: selected rows, a class number for each, class names, folds. Page: notebooks/01."""

    protocol: str
    corpus: str
    table: pd.DataFrame
    labels: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]

    def counts(self) -> pd.DataFrame:
        """Utterances per speaker (rows) and class (columns)."""
        counts = pd.crosstab(self.table["speaker"], self.table["emotion"])
        return counts.reindex(columns=self.classes, fill_value=0).rename_axis(columns=None)


def li2018(table: pd.DataFrame) -> Task:
    """Leave one speaker out over improvised anger, happiness, neutral and sadness (Li 2018, section 3.1).

    On IEMOCAP that is 2280 utterances and ten folds. There is no development set. A corpus that does not say what was
    improvised is taken whole. Raises InputError when IEMOCAP does not give its count, there are fewer than two
    speakers, or a fold would train without one of the classes. Page: notebooks/01.
    """
    chosen = _select(table, "li2018")
    groups = [(speaker, (speaker,)) for speaker in sorted(chosen["speaker"].unique())]
    return _task("li2018", chosen, groups)


def common_loso(table: pd.DataFrame, folds: int = 5) -> Task:
    """The same utterances, leaving one *session* out: nobody tested has a partner in training. For every corpus.

    Each fold tests one session, chooses on the next one and trains on the rest. Where a corpus has no sessions, or a
    speaker is in several, the speakers, in sorted order, are dealt into `folds` groups, and a group stands for a
    session. Raises InputError as `li2018` does, and for fewer than three sessions or groups. Page: notebooks/01.
    """
    chosen = _select(table, "common_loso")
    nested = chosen.groupby("speaker")["session"].nunique().le(1).all()
    if chosen["session"].notna().all() and nested:
        by_session = chosen.groupby("session")["speaker"].unique()
        groups = [(session, tuple(speakers)) for session, speakers in by_session.items()]
    else:
        parts = np.array_split(sorted(chosen["speaker"].unique()), folds)
        groups = [("+".join(part), tuple(part)) for part in parts if len(part)]
    return _task("common_loso", chosen, groups, with_validation=True)


def _select(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The improvised utterances of the four emotions; of IEMOCAP, 2280."""
    improvised = (table["scenario"] == "improvised") | table["scenario"].isna()
    chosen = table[improvised & table["emotion"].isin(FOUR_EMOTIONS)].reset_index(drop=True)
    if table.attrs.get("corpus") == "iemocap" and len(chosen) != 2280:
        found = f"found {len(chosen)}: {chosen['emotion'].value_counts().to_dict()}"
        remedy = "A label file is missing or was changed; compare your copy with the release."
        raise InputError(f"Protocol {protocol} takes 2280 utterances of iemocap and {found}. {remedy}")
    return chosen


def _task(protocol: str, chosen: pd.DataFrame, groups: list[tuple[str, tuple]], with_validation: bool = False) -> Task:
    """Test each group of speakers in turn; raise where that cannot work."""
    corpus = chosen.attrs.get("corpus", "this corpus")
    labels = chosen["emotion"].map(FOUR_EMOTIONS.index).to_numpy(dtype=np.int64)
    if len(groups) < (3 if with_validation else 2):
        raise InputError(f"Protocol {protocol} needs more speakers or sessions than {corpus} has ({len(groups)}).")
    folds = []
    for number, (name, speakers) in enumerate(groups):
        is_test = chosen["speaker"].isin(speakers).to_numpy()
        choosers = groups[(number + 1) % len(groups)][1] if with_validation else ()
        is_validation = chosen["speaker"].isin(choosers).to_numpy()
        train = np.flatnonzero(~is_test & ~is_validation)
        if absent := set(range(len(FOUR_EMOTIONS))) - set(labels[train]):
            names = ", ".join(FOUR_EMOTIONS[label] for label in sorted(absent))
            where = f"Protocol {protocol} on {corpus}: the training part of fold {name!r} holds no {names}."
            raise InputError(f"{where} Add utterances of it, or use a corpus in which several speakers express it.")
        folds.append(Fold(str(name), train, np.flatnonzero(is_validation), np.flatnonzero(is_test)))
    return Task(protocol, corpus, chosen, labels, FOUR_EMOTIONS, tuple(folds))
