"""The papers' protocols, and the common ones, under which all papers can be compared."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from serlib.audio import equal_parts
from serlib.errors import InputError
from serlib.protocols.folds import Sides, both_ways, dealt, five_parts, one_each, session_parts, with_next
from serlib.protocols.tasks import (
    FOUR_EMOTIONS,
    MAPPED,
    Task,
    assert_counts,
    emotions_of,
    four_bins,
    is_rated,
    levels_of,
    make_task,
    select,
    three_levels,
)


def li2018(table: pd.DataFrame) -> Task:
    """Leave one speaker out over improvised anger, happiness, neutral and sadness (Li 2018, section 3.1).

    On IEMOCAP that is 2280 utterances and ten folds. There is no development set, and the partner of the test speaker,
    recorded in the same session, is in training. Page: notebooks/01.
    """
    chosen = select(table, "impro4_hap")
    return make_task("li2018", chosen, emotions_of(chosen), FOUR_EMOTIONS, one_each(chosen["speaker"]))


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


def cai2020(table: pd.DataFrame) -> Task:
    """Leave one session out; one of its speakers to choose on, the other to test on, both ways (Cai 2020, section 3.1).

    The utterances are those of `li2018`, cut into equal parts of at most 3 s (`equal_parts`): on IEMOCAP 4432. Four
    bins of valence, activation and dominance are in `auxiliary`, mapped as in `zhang2019_inferred` where there are no
    ratings. The paper's code tests on the men only: the folds of male test speakers. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hap")
    parts = pd.Series(equal_parts(chosen["duration"])).groupby(chosen["emotion"]).sum().to_dict()
    expected = {"in all": 4432, "anger": 585, "happiness": 525, "neutral": 2016, "sadness": 1306}
    assert_counts(chosen, "Segments of cai2020", expected, {"in all": sum(parts.values())} | parts)
    levels = levels_of(chosen, four_bins)
    return make_task("cai2020", chosen, emotions_of(chosen), FOUR_EMOTIONS, both_ways(chosen), levels)


def jalal2020(table: pd.DataFrame) -> Task:
    """Tested on session 5: of IEMOCAP 1241, against 4290 in the four others (Jalal 2020, section 4.1).

    Excitement counts as happiness, scripted speech is in. The paper names no development set; it is session 4 here.
    Where there are no sessions, five groups of speakers stand for them. Page: book/which_iemocap.
    """
    chosen = select(table, "all4_hapexc")
    *_, (_, fourth), (name, fifth) = five_parts(chosen, "jalal2020")
    return make_task("jalal2020", chosen, emotions_of(chosen), FOUR_EMOTIONS, [(name, fifth, fourth)])


def jalal2020_retrained(table: pd.DataFrame) -> Task:
    """As `jalal2020`, but trained on all four sessions, 4290 of IEMOCAP, with none to choose on.

    How long, and with which learning rates, must then be known before. Page: notebooks/03.
    """
    chosen = select(table, "all4_hapexc")
    *_, fifth = five_parts(chosen, "jalal2020_retrained")
    return make_task("jalal2020_retrained", chosen, emotions_of(chosen), FOUR_EMOTIONS, [fifth])


def zhao2021(table: pd.DataFrame) -> Task:
    """As `cai2020`, whole utterances, with excitement as happiness: 2943 of IEMOCAP (Zhao 2021, section 3.1).

    The paper does not say which of a session's two speakers is tested, so both are. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hapexc")
    return make_task("zhao2021", chosen, emotions_of(chosen), FOUR_EMOTIONS, both_ways(chosen))


def common_loso(table: pd.DataFrame, folds: int = 5) -> Task:
    """Leave one session out over the utterances of `li2018`: nobody tested has a partner in training.

    Each fold tests one session, chooses on the next one and trains on the rest, so there must be three. Where a corpus
    has no sessions, or one, or a speaker is in several, the speakers, in sorted order, are dealt into `folds` groups,
    and a group stands for a session. Page: notebooks/01.
    """
    chosen = select(table, "impro4_hap")
    return make_task("common_loso", chosen, emotions_of(chosen), FOUR_EMOTIONS, with_next(session_parts(chosen, folds)))


def common_speakers(table: pd.DataFrame, folds: int = 10) -> Task:
    """As `common_loso`, with at most `folds` groups of speakers whatever the sessions. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = with_next(dealt(chosen["speaker"], folds))
    return make_task("common_speakers", chosen, emotions_of(chosen), FOUR_EMOTIONS, sides)


def common_levels(table: pd.DataFrame, dimension: str = "activation", folds: int = 5) -> Task:
    """The utterances and levels of `zhang2019_inferred` in the folds of `common_loso`. Page: book/which_iemocap."""
    return _levels_task("common_levels", table, dimension, lambda chosen: with_next(session_parts(chosen, folds)))


def _zhang2019(protocol: str, table: pd.DataFrame, dimension: str, test: int, validation: int) -> Task:
    """Of the five sessions one to test and one to choose on."""

    def sides(chosen: pd.DataFrame) -> Sides:
        groups = five_parts(chosen, protocol)
        return [(*groups[test], groups[validation][1])]

    return _levels_task(protocol, table, dimension, sides)


def _levels_task(protocol: str, table: pd.DataFrame, dimension: str, sides: Callable[[pd.DataFrame], Sides]) -> Task:
    """Three levels of a dimension over all rows with a rating; two, mapped from emotions, where there are none."""
    rated = is_rated(table)
    chosen = select(table, "vad_all") if rated else table[table["emotion"].isin(MAPPED)].reset_index(drop=True)
    levels = levels_of(chosen, three_levels)
    if dimension not in levels:
        raise InputError(f"{protocol} scores one of {', '.join(levels)} on this corpus, not {dimension!r}.")
    classes = ("low", "middle", "high") if rated else ("low", "high")
    task = make_task(protocol, chosen, levels[dimension], classes, sides(chosen), levels)
    return replace(task, dimension=dimension)
