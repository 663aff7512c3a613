"""The second room: which utterances a paper trains on, and who is tested when.

A selection names utterances (`impro4_hap`, 2280 of IEMOCAP); a protocol selects, labels and deals them into folds. On
IEMOCAP, and on the synthetic corpus that has its counts, a protocol that does not get its counts refuses to run. The
protocols whose names begin with `leaky_` are here to show how much the literature's mistakes are worth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from serlib.errors import InputError
from serlib.folds import Fold, Group, Sides, both_ways, dealt, five_parts, one_each, session_parts, with_next

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
    sessions: tuple[int, ...]
    emotions: tuple[int, ...] = ()


_HAP = {emotion: emotion for emotion in FOUR_EMOTIONS}
_HAP_EXC = _HAP | {"excitement": "happiness"}
SELECTIONS = {
    "impro4_hap": Selection(_HAP, True, (422, 393, 538, 370, 557), (289, 284, 1099, 608)),  # 2280
    "impro4_hapexc": Selection(_HAP_EXC, True, (521, 530, 627, 534, 731), (289, 947, 1099, 608)),  # 2943
    "all4_hap": Selection(_HAP, False, (942, 813, 1000, 793, 942), (1103, 595, 1708, 1084)),  # 4490
    "all4_hapexc": Selection(_HAP_EXC, False, (1085, 1023, 1151, 1031, 1241), (1103, 1636, 1708, 1084)),  # 5531
    "vad_all": Selection({}, False, (1819, 1811, 2136, 2103, 2170)),  # 10 039
}

# Low or high valence and activation, as cross-corpus work maps emotions (Schuller et al. 2010). That excitement goes
# with happiness, and calm with neutral, is ours.
MAPPED = {
    "anger": (0, 1), "fear": (0, 1), "boredom": (0, 0), "disgust": (0, 0), "sadness": (0, 0),
    "excitement": (1, 1), "happiness": (1, 1), "surprise": (1, 1), "calm": (1, 0), "neutral": (1, 0),
}  # fmt: skip


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
    folds: tuple[Fold, ...]
    auxiliary: dict[str, np.ndarray] = field(default_factory=dict)
    dimension: str | None = None

    def counts(self) -> pd.DataFrame:
        """Utterances per speaker (rows) and class (columns)."""
        counts = pd.crosstab(self.table["speaker"], self.labels).reindex(columns=range(len(self.classes)), fill_value=0)
        return counts.set_axis(self.classes, axis=1)

    def sides(self) -> pd.DataFrame:
        """Of each fold: utterances to train, choose and test on, who is tested, and how many are on both sides."""
        speakers, rows = self.table["speaker"], {}
        for fold in self.folds:
            known, tested = ({*speakers.iloc[part]} for part in (fold.train, fold.test))
            sizes = (len(fold.train), len(fold.validation), len(fold.test))
            rows[fold.name] = (*sizes, " ".join(sorted(tested)), len(known & tested))
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
    _assert_counts(chosen, name, expected, found)
    return chosen


def _assert_counts(chosen: pd.DataFrame, what: str, expected: dict, found: dict) -> None:
    """Refuse, expected against found, where a corpus that must have IEMOCAP's counts has others."""
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
    """Below 2, below 3, below 4, and the rest as 0, 1, 2, 3: Cai 2021, section 3.1.

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


def equal_parts(durations: np.ndarray, longest: float = 3.0) -> np.ndarray:
    """Into how many equal parts of at most `longest` seconds utterances are cut: Cai 2021.

    Raises InputError where a duration is missing. Page: book/which_iemocap.
    """
    durations = np.asarray(durations, dtype=float)
    if np.isnan(durations).any():
        raise InputError(f"{np.isnan(durations).sum()} utterances have no duration. Give it, in seconds.")
    return np.ceil(durations / longest - 1e-9).astype(int)


def li2018(table: pd.DataFrame) -> Task:
    """Leave one speaker out over improvised anger, happiness, neutral and sadness (Li 2018, section 3.1).

    On IEMOCAP that is 2280 utterances and ten folds. There is no development set, and the partner of the test speaker,
    recorded in the same session, is in training. Page: notebooks/01.
    """
    chosen = select(table, "impro4_hap")
    return _task("li2018", chosen, _emotions(chosen), FOUR_EMOTIONS, one_each(chosen["speaker"]))


def zhang2019_inferred(table: pd.DataFrame, dimension: str = "activation") -> Task:
    """Three levels of a dimension; trained on sessions 3 to 5, chosen on 2, tested on 1: of IEMOCAP 6409, 1811, 1819.

    Zhang 2019 states other sessions, and sizes that only these have (`zhang2019_stated`). `dimension` is what is
    scored; `auxiliary` holds all, -1 where a row was not rated. Levels of a corpus without ratings are mapped from its
    emotions: low and high, of valence and activation. Where there are no sessions, five groups of speakers stand for
    them. Page: book/which_iemocap.
    """
    return _zhang2019("zhang2019_inferred", table, dimension, test=0, validation=1)


def zhang2019_stated(table: pd.DataFrame, dimension: str = "activation") -> Task:
    """As `zhang2019_inferred`, with the sessions that section 4.1 states: 1 to 3, 4, 5. Page: book/which_iemocap."""
    return _zhang2019("zhang2019_stated", table, dimension, test=4, validation=3)


def cai2021(table: pd.DataFrame) -> Task:
    """Leave one session out; one of its speakers to choose on, the other to test on, both ways (Cai 2021, section 4).

    The utterances are those of `li2018`, cut into equal parts of at most 3 s (`equal_parts`): on IEMOCAP 4432. Four
    bins of valence, activation and dominance are in `auxiliary`, mapped as in `zhang2019_inferred` where there are no
    ratings. The paper's code tests on the men only: the folds of male test speakers. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hap")
    parts = pd.Series(equal_parts(chosen["duration"])).groupby(chosen["emotion"]).sum().to_dict()
    expected = {"in all": 4432, "anger": 585, "happiness": 525, "neutral": 2016, "sadness": 1306}
    _assert_counts(chosen, "Segments of cai2021", expected, {"in all": sum(parts.values())} | parts)
    levels = _levels(chosen, four_bins)
    return _task("cai2021", chosen, _emotions(chosen), FOUR_EMOTIONS, both_ways(chosen), levels)


def jalal2020(table: pd.DataFrame) -> Task:
    """Tested on session 5: of IEMOCAP 1241, against 4290 in the four others (Jalal 2020, section 4.1).

    Excitement counts as happiness, scripted speech is in. The paper names no development set; it is session 4 here.
    Where there are no sessions, five groups of speakers stand for them. Page: book/which_iemocap.
    """
    chosen = select(table, "all4_hapexc")
    *_, (_, fourth), (name, fifth) = five_parts(chosen, "jalal2020")
    return _task("jalal2020", chosen, _emotions(chosen), FOUR_EMOTIONS, [(name, fifth, fourth)])


def jalal2020_retrained(table: pd.DataFrame) -> Task:
    """As `jalal2020`, but trained on all four sessions, 4290 of IEMOCAP, with none to choose on.

    How long, and with which learning rates, must then be known before. Page: notebooks/03.
    """
    chosen = select(table, "all4_hapexc")
    *_, fifth = five_parts(chosen, "jalal2020_retrained")
    return _task("jalal2020_retrained", chosen, _emotions(chosen), FOUR_EMOTIONS, [fifth])


def zhao2021(table: pd.DataFrame) -> Task:
    """As `cai2021`, whole utterances, with excitement as happiness: 2943 of IEMOCAP (Zhao 2021, section 3.1).

    The paper does not say which of a session's two speakers is tested, so both are. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hapexc")
    return _task("zhao2021", chosen, _emotions(chosen), FOUR_EMOTIONS, both_ways(chosen))


def common_loso(table: pd.DataFrame, folds: int = 5) -> Task:
    """Leave one session out over the utterances of `li2018`: nobody tested has a partner in training.

    Each fold tests one session, chooses on the next one and trains on the rest, so there must be three. Where a corpus
    has no sessions, or one, or a speaker is in several, the speakers, in sorted order, are dealt into `folds` groups,
    and a group stands for a session. Page: notebooks/01.
    """
    chosen = select(table, "impro4_hap")
    return _task("common_loso", chosen, _emotions(chosen), FOUR_EMOTIONS, with_next(session_parts(chosen, folds)))


def common_speakers(table: pd.DataFrame, folds: int = 10) -> Task:
    """As `common_loso`, with at most `folds` groups of speakers whatever the sessions. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = with_next(dealt(chosen["speaker"], folds))
    return _task("common_speakers", chosen, _emotions(chosen), FOUR_EMOTIONS, sides)


def common_levels(table: pd.DataFrame, dimension: str = "activation", folds: int = 5) -> Task:
    """The utterances and levels of `zhang2019_inferred` in the folds of `common_loso`. Page: book/which_iemocap."""
    return _levels_task("common_levels", table, dimension, lambda chosen: with_next(session_parts(chosen, folds)))


def leaky_random_utterances(table: pd.DataFrame, folds: int = 5, seed: int = 0) -> Task:
    """As `common_loso`, but utterances are dealt at random: every test speaker is known. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    part = pd.Series(np.random.default_rng(seed).permutation(np.arange(len(chosen)) % max(1, folds)))
    return _task("leaky_random_utterances", chosen, _emotions(chosen), FOUR_EMOTIONS, with_next(one_each(part)))


def leaky_best_epoch_on_test(table: pd.DataFrame, folds: int = 5) -> Task:
    """As `common_loso`, but the epoch is chosen on the session that is tested. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = [(name, rows, rows) for name, rows in session_parts(chosen, folds)]
    return _task("leaky_best_epoch_on_test", chosen, _emotions(chosen), FOUR_EMOTIONS, sides)


def leaky_jalal2020_chosen_on_test(table: pd.DataFrame) -> Task:
    """As `jalal2020_retrained`, but learning rate and epoch are chosen on the session that is tested.

    It is what Jalal 2020 may have done: its learning rate waits for a plateau of something, and it names two parts.
    Page: notebooks/03.
    """
    chosen = select(table, "all4_hapexc")
    *_, (name, fifth) = five_parts(chosen, "leaky_jalal2020_chosen_on_test")
    return _task("leaky_jalal2020_chosen_on_test", chosen, _emotions(chosen), FOUR_EMOTIONS, [(name, fifth, fifth)])


def leaky_marker_as_speaker(table: pd.DataFrame) -> Task:
    """As `li2018`, but the letter after the session in an id is taken for the speaker.

    It says who wore the motion-capture markers; about half of the utterances are the other speaker's. For corpora in
    IEMOCAP's layout. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hap")
    marker = chosen["utterance_id"].str.extract(r"^(Ses\d\d[FM])", expand=False)
    if marker.isna().any():
        raise InputError("leaky_marker_as_speaker reads IEMOCAP's utterance ids (Ses01F_...), and these are others.")
    return _task("leaky_marker_as_speaker", chosen, _emotions(chosen), FOUR_EMOTIONS, one_each(marker))


def leaky_normalised_over_everything(table: pd.DataFrame, folds: int = 5) -> Task:
    """As `common_loso`, but features are scaled by statistics that include the test. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = with_next(session_parts(chosen, folds))
    task = _task("leaky_normalised_over_everything", chosen, _emotions(chosen), FOUR_EMOTIONS, sides)
    everything = np.arange(len(chosen))
    return replace(task, folds=tuple(replace(fold, normalise=everything) for fold in task.folds))


PROTOCOLS = (
    *(li2018, zhang2019_inferred, zhang2019_stated, cai2021, jalal2020, jalal2020_retrained, zhao2021),
    *(common_loso, common_speakers, common_levels),
    *(leaky_random_utterances, leaky_best_epoch_on_test, leaky_jalal2020_chosen_on_test, leaky_marker_as_speaker),
    leaky_normalised_over_everything,
)


def _zhang2019(protocol: str, table: pd.DataFrame, dimension: str, test: int, validation: int) -> Task:
    """Of the five sessions one to test and one to choose on."""

    def sides(chosen: pd.DataFrame) -> Sides:
        groups = five_parts(chosen, protocol)
        return [(*groups[test], groups[validation][1])]

    return _levels_task(protocol, table, dimension, sides)


def _levels_task(protocol: str, table: pd.DataFrame, dimension: str, sides: Callable[[pd.DataFrame], Sides]) -> Task:
    """Three levels of a dimension over all rows with a rating; two, mapped from emotions, where there are none."""
    rated = _is_rated(table)
    chosen = select(table, "vad_all") if rated else table[table["emotion"].isin(MAPPED)].reset_index(drop=True)
    levels = _levels(chosen, three_levels)
    if dimension not in levels:
        raise InputError(f"{protocol} scores one of {', '.join(levels)} on this corpus, not {dimension!r}.")
    classes = ("low", "middle", "high") if rated else ("low", "high")
    task = _task(protocol, chosen, levels[dimension], classes, sides(chosen), levels)
    return replace(task, dimension=dimension)


def _is_rated(table: pd.DataFrame) -> bool:
    """Whether levels come from ratings, not from emotions."""
    return table.attrs.get("corpus") in ASSERTED or table[[*DIMENSIONS]].notna().any(axis=None)


def _emotions(chosen: pd.DataFrame) -> np.ndarray:
    """The class of each row, `(rows,)`: its place in FOUR_EMOTIONS."""
    return chosen["emotion"].map(_HAP_EXC).map(FOUR_EMOTIONS.index).to_numpy(dtype=np.int64)


def _levels(chosen: pd.DataFrame, discretise: Callable) -> dict[str, np.ndarray]:
    """Levels of the dimensions that have ratings, -1 where a row has none; where no row has any, of two, mapped."""
    ratings = chosen[[*DIMENSIONS]]
    missing = {name: count for name, count in ratings.isna().sum().items() if count}
    if missing and chosen.attrs.get("corpus") in ASSERTED:
        remedy = "Compare the label files of your copy with the release."
        raise InputError(f"Ratings are missing, of {len(chosen)} utterances: {missing}. {remedy}")
    if not _is_rated(chosen):
        pairs = np.array([MAPPED[emotion] for emotion in chosen["emotion"]], dtype=np.int64).reshape(-1, 2)
        return dict(zip(DIMENSIONS, pairs.T, strict=False))
    levels = {}
    for name in DIMENSIONS:
        if (rated := ratings[name].notna().to_numpy()).any():
            levels[name] = np.full(len(chosen), -1)
            levels[name][rated] = discretise(ratings[name][rated])
    return levels


def _task(protocol: str, chosen: pd.DataFrame, labels, classes, sides: list[Group] | Sides, auxiliary=None) -> Task:
    """Test on a side, choose on another where there is one, train on the rest; raise where that cannot work."""
    corpus, folds = chosen.attrs.get("corpus", "this corpus"), []
    for name, test, *validation in sides:
        choose = validation[0] if validation else np.zeros_like(test)
        train = np.flatnonzero(~test & ~choose)
        if not len(train):
            break
        if absent := set(range(len(classes))) - set(labels[train]):
            names = ", ".join(classes[label] for label in sorted(absent))
            where = f"{protocol} on {corpus}: the training part of fold {name!r} holds no {names}."
            raise InputError(f"{where} Add utterances of it, or use a corpus in which several speakers express it.")
        folds.append(Fold(name, train, np.flatnonzero(choose), np.flatnonzero(test), normalise=train))
    if chosen.empty:
        raise InputError(f"{protocol} finds nothing to take in {corpus}: no utterance of {', '.join(classes)}.")
    if len(folds) < len(sides):
        has = f"{chosen['speaker'].nunique()} speakers, to be tested in {len(sides)} group(s)"
        raise InputError(f"{protocol} needs more speakers or sessions than {corpus} has: {has}.")
    if auxiliary and not _is_rated(chosen):
        corpus = f"{corpus} (mapped)"
    return Task(protocol, corpus, chosen, labels, classes, tuple(folds), auxiliary or {})
