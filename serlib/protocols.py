"""The second room: which utterances a paper trains on, and who is tested when."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from serlib.errors import InputError

#: The four classes of most SER papers, in the order of their confusion matrices.
FOUR_EMOTIONS = ("anger", "happiness", "neutral", "sadness")


@dataclass(frozen=True)
class Fold:
    """One round of a cross-validation: row numbers of the task's table to train, choose and test on.

    `validation` is empty where a protocol has no development set.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Task:
    """What a model is trained for: the selected rows, a class number for each, the class names and the folds.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """

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
    speakers, or a fold would train without one of the classes.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    chosen, labels = _select(table, "li2018", expected={"iemocap": 2280})
    groups = [(speaker, (speaker,)) for speaker in sorted(chosen["speaker"].unique())]
    return _task("li2018", table, chosen, labels, groups)


def common_loso(table: pd.DataFrame, folds: int = 5) -> Task:
    """The same utterances, leaving one *session* out: nobody tested has a partner in training. For every corpus.

    Each fold tests one session, chooses on the next one and trains on the rest. Where a corpus has no sessions, its
    speakers, in sorted order, are dealt into `folds` groups, and a group stands for a session.

    Raises InputError as `li2018` does.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    chosen, labels = _select(table, "common_loso", expected={"iemocap": 2280})
    nested = chosen.groupby("speaker")["session"].nunique().le(1).all()
    if chosen["session"].notna().all() and nested:
        by_session = chosen.groupby("session")["speaker"].unique()
        groups = [(session, tuple(speakers)) for session, speakers in by_session.items()]
    else:
        parts = np.array_split(sorted(chosen["speaker"].unique()), folds)
        groups = [("+".join(part), tuple(part)) for part in parts if len(part)]
    return _task("common_loso", table, chosen, labels, groups, with_validation=True)


def _select(table: pd.DataFrame, protocol: str, expected: dict[str, int]) -> tuple[pd.DataFrame, np.ndarray]:
    """The improvised utterances of the four emotions, and their class numbers."""
    corpus = table.attrs.get("corpus", "this corpus")
    improvised = (table["scenario"] == "improvised") | table["scenario"].isna()
    chosen = table[improvised & table["emotion"].isin(FOUR_EMOTIONS)].reset_index(drop=True)
    if corpus in expected and len(chosen) != expected[corpus]:
        found = chosen["emotion"].value_counts().to_dict()
        raise InputError(
            f"Protocol {protocol} takes {expected[corpus]} utterances of {corpus} and found {len(chosen)}: {found}. "
            "A label file is missing or was changed; compare your copy with the release."
        )
    return chosen, chosen["emotion"].map(FOUR_EMOTIONS.index).to_numpy(dtype=np.int64)


def _task(
    protocol: str,
    table: pd.DataFrame,
    chosen: pd.DataFrame,
    labels: np.ndarray,
    groups: Sequence[tuple[str, tuple[str, ...]]],
    with_validation: bool = False,
) -> Task:
    """Test each group of speakers in turn; raise where that cannot work."""
    corpus = table.attrs.get("corpus", "this corpus")
    if len(groups) < (3 if with_validation else 2):
        raise InputError(f"Protocol {protocol} needs more speakers or sessions than {corpus} has ({len(groups)}).")
    folds = []
    for number, (name, speakers) in enumerate(groups):
        is_test = chosen["speaker"].isin(speakers).to_numpy()
        is_validation = np.zeros_like(is_test)
        if with_validation:
            is_validation = chosen["speaker"].isin(groups[(number + 1) % len(groups)][1]).to_numpy()
        train = np.flatnonzero(~is_test & ~is_validation)
        absent = set(range(len(FOUR_EMOTIONS))) - set(labels[train])
        if absent:
            names = ", ".join(FOUR_EMOTIONS[label] for label in sorted(absent))
            raise InputError(
                f"Protocol {protocol} on {corpus}: the training part of fold {name!r} holds no {names}. "
                "Add utterances of it, or use a corpus in which several speakers express it."
            )
        folds.append(Fold(str(name), train, np.flatnonzero(is_validation), np.flatnonzero(is_test)))
    return Task(protocol, corpus, chosen, labels, FOUR_EMOTIONS, tuple(folds))
