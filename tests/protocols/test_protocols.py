"""The protocols: the papers' counts, nobody on both sides, and a refusal where that cannot be.

The figures of IEMOCAP were counted in the release and typed here; none is taken from the module.
"""

import functools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib import protocols
from serlib.audio import equal_parts
from serlib.corpora import check_table
from serlib.errors import InputError
from serlib.protocols import (
    FOUR_EMOTIONS,
    PROTOCOLS,
    cai2020,
    common_levels,
    common_loso,
    common_speakers,
    jalal2020,
    jalal2020_retrained,
    leaky_jalal2020_chosen_on_test,
    li2018,
    zhao2021,
)

properties = settings(max_examples=40, deadline=None, database=None, derandomize=True)
ZHANG2019 = INFERRED, STATED = (protocols.zhang2019_inferred, protocols.zhang2019_stated)
JALAL2020 = (jalal2020, jalal2020_retrained)
CLEAN = (li2018, *ZHANG2019, cai2020, *JALAL2020, zhao2021, common_loso, common_speakers, common_levels)
BOTH_WAYS, ONE_FOLD, CHOOSES_NOT = (cai2020, zhao2021), (*ZHANG2019, *JALAL2020), (li2018, jalal2020_retrained)
LEAVES_SESSIONS_OUT = (*ONE_FOLD, *BOTH_WAYS, common_loso, common_levels)
OF_LEVELS = (*ZHANG2019, common_levels)

# Improvised utterances of IEMOCAP's speakers, counted in the release, in the order of EMOTIONS.
EMOTIONS = ("neutral", "happiness", "excitement", "sadness", "anger")
# fmt: off
IEMOCAP = {
    "Ses01_F": (119, 18, 54, 43, 37), "Ses01_M": (104, 15, 45, 61, 25),
    "Ses02_F": (90, 25, 88, 63, 7), "Ses02_M": (127, 29, 49, 37, 15),
    "Ses03_F": (95, 39, 41, 108, 22), "Ses03_M": (103, 21, 48, 82, 68),
    "Ses04_F": (51, 10, 119, 41, 47), "Ses04_M": (123, 21, 45, 40, 37),
    "Ses05_F": (151, 56, 68, 73, 18), "Ses05_M": (136, 50, 106, 60, 13),
}
# Parts of at most 3 s of those that are neutral, happy, sad and angry.
PARTS = {
    "Ses01_F": (182, 32, 114, 69), "Ses01_M": (171, 27, 119, 52),
    "Ses02_F": (194, 45, 121, 17), "Ses02_M": (293, 56, 106, 34),
    "Ses03_F": (158, 60, 209, 45), "Ses03_M": (192, 44, 145, 115),
    "Ses04_F": (86, 19, 105, 112), "Ses04_M": (219, 57, 113, 72),
    "Ses05_F": (256, 79, 126, 42), "Ses05_M": (265, 106, 148, 27),
}
# fmt: on
# Of each session all that is improvised, all that is scripted, and of both together those of EMOTIONS.
SESSIONS = {
    "Ses01": (759, 1060, 384, 135, 143, 194, 229),
    "Ses02": (788, 1023, 362, 117, 210, 197, 137),
    "Ses03": (1044, 1092, 320, 135, 151, 305, 240),
    "Ses04": (1060, 1043, 258, 65, 238, 143, 327),
    "Ses05": (1133, 1037, 384, 143, 299, 245, 170),
}
# Low, middle and high of each session.
LEVELS = {
    "valence": [(527, 932, 360), (497, 920, 394), (741, 1057, 338), (697, 1026, 380), (761, 934, 475)],
    "activation": [(328, 1211, 280), (161, 1350, 300), (208, 1565, 363), (183, 1538, 382), (232, 1571, 367)],
    "dominance": [(341, 1138, 340), (134, 1215, 462), (213, 1374, 549), (112, 1363, 628), (241, 1394, 535)],
}
# What a selection holds: in all, of the five sessions, and of anger, happiness, neutral and sadness.
FIGURES = {
    "impro4_hap": (2280, (422, 393, 538, 370, 557), (289, 284, 1099, 608)),
    "impro4_hapexc": (2943, (521, 530, 627, 534, 731), (289, 947, 1099, 608)),
    "all4_hap": (4490, (942, 813, 1000, 793, 942), (1103, 595, 1708, 1084)),
    "all4_hapexc": (5531, (1085, 1023, 1151, 1031, 1241), (1103, 1636, 1708, 1084)),
    "vad_all": (10039, (1819, 1811, 2136, 2103, 2170), ()),
}
SELECTED = {zhao2021: "impro4_hapexc"} | dict.fromkeys(OF_LEVELS, "vad_all")
SELECTED |= dict.fromkeys((*JALAL2020, leaky_jalal2020_chosen_on_test), "all4_hapexc")


def each(some):
    return pytest.mark.parametrize("protocol", some, ids=lambda protocol: protocol.__name__)


def corpus(rows, name="test"):
    """A corpus table of (speaker, session, scenario, emotion, how many)."""
    columns = ["speaker", "session", "scenario", "emotion", "count"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    table = table.loc[table.index.repeat(table.pop("count").astype(int))].reset_index(drop=True)
    ids = [f"u{number}" for number in range(len(table))]
    table = check_table(table.assign(utterance_id=ids, path=ids, duration=2.0), name)
    table.attrs["corpus"] = name
    return table


def simple(speakers=4, sessions=False, scenario=None, emotions=FOUR_EMOTIONS):
    rows = [
        (f"s{n:02d}", f"day{n // 2}" if sessions else None, scenario, e, 2) for n in range(speakers) for e in emotions
    ]
    return corpus(rows)


def rated(table, *ratings):
    """The table with these ratings in all three dimensions, one row after the other, again and again."""
    values = np.resize(np.array(ratings, dtype=float), len(table))
    return table.assign(valence=values, activation=values, dominance=values)


@functools.cache
def iemocap():
    """A table with IEMOCAP's counts; who wears the markers changes from dialogue to dialogue, as it does there."""
    rows = []
    for session, (improvised, scripted, *pool) in SESSIONS.items():
        pair = f"{session}_F", f"{session}_M"
        spoken = np.sum([IEMOCAP[speaker] for speaker in pair], axis=0)
        rows += [(s, session, "improvised", e, n) for s in pair for e, n in zip(EMOTIONS, IEMOCAP[s], strict=True)]
        more = [("scripted", emotion, count) for emotion, count in zip(EMOTIONS, pool - spoken, strict=True)]
        more += [("improvised", "frustration", improvised - sum(spoken))]
        more += [("scripted", "frustration", scripted - sum(pool - spoken))]
        rows += [(s, session, *what, (count + n) // 2) for *what, count in more for n, s in enumerate(pair)]
    table = corpus(rows, "iemocap").sample(frac=1, random_state=0).reset_index(drop=True)
    number = table.groupby(["session", "scenario"]).cumcount()
    dialogue = (number // 60 % 2).map({0: "F", 1: "M"}) + "_" + table["scenario"].str[:5] + (number // 60).astype(str)
    table["utterance_id"] = table["session"] + dialogue + "_" + table["speaker"].str[-1] + number.astype(str)
    for (speaker, emotion), group in table[table["scenario"] == "improvised"].groupby(["speaker", "emotion"]):
        if emotion in (order := ("neutral", "happiness", "sadness", "anger")):
            parts, longer = divmod(PARTS[speaker][order.index(emotion)], len(group))
            table.loc[group.index, "duration"] = 3.0 * (parts + (np.arange(len(group)) < longer))
    for dimension, levels in LEVELS.items():
        for session, counts in zip(SESSIONS, levels, strict=True):
            table.loc[table["session"] == session, dimension] = np.repeat([2.0, 3.0, 4.0], counts)
    return check_table(table, "iemocap")


def first(scenario, emotion, session="Ses03"):
    """The number of the first such row of IEMOCAP."""
    return iemocap().query("scenario == @scenario and emotion == @emotion and session == @session").index[0]


def changed(row, name="iemocap", **columns):
    """IEMOCAP with other values in one row, or without the row."""
    table = iemocap().copy()
    table.loc[row, list(columns)] = list(columns.values())
    table = table if columns else table.drop(index=row).reset_index(drop=True)
    table.attrs["corpus"] = name
    return table


def sizes(task, part):
    return [len(getattr(fold, part)) for fold in task.folds]


def by_class(task, part):
    """How many rows of each class the first fold has in a part."""
    return np.bincount(task.labels[getattr(task.folds[0], part)]).tolist()


def by_ids(task):
    """A task without its row numbers: the label of each utterance, and each fold's parts."""
    ids = task.table["utterance_id"].to_numpy()
    folds = {fold.name: [{*ids[part]} for part in (fold.train, fold.validation, fold.test)] for fold in task.folds}
    return dict(zip(ids, task.labels, strict=True)), folds


def check(protocol, task):
    """What every protocol promises that does not leak."""
    speaker, session, everyone = task.table["speaker"], task.table["session"], [*range(len(task.table))]
    dialogue = task.table["utterance_id"].str.rpartition("_")[0]
    has_sessions = session.notna().all() and session.groupby(speaker).nunique().max() == 1 and session.nunique() > 1
    units = [speaker]
    if has_sessions and protocol in LEAVES_SESSIONS_OUT:
        units += [session, dialogue] if dialogue.ne("").all() else [session]
    for fold in task.folds:
        assert sorted([*fold.train, *fold.validation, *fold.test]) == everyone
        assert len(fold.train) and len(fold.test) and bool(len(fold.validation)) == (protocol not in CHOOSES_NOT)
        for unit in units:
            train, validation, test = ({*unit.iloc[part]} for part in (fold.train, fold.validation, fold.test))
            assert not train & (validation | test)
            assert not validation & test or (protocol in BOTH_WAYS and unit is not speaker)
        assert {*task.labels[fold.train]} - {-1} == {*range(len(task.classes))} >= {*task.labels} - {-1}
        np.testing.assert_array_equal(fold.normalise, fold.train)
    names = [fold.name for fold in task.folds]
    assert len({*names}) == len(names) and (len(names) == 1) == (protocol in ONE_FOLD)
    assert protocol in ONE_FOLD or sorted(row for fold in task.folds for row in fold.test) == everyone
    assert task.protocol == protocol.__name__ and task.table.index.equals(pd.RangeIndex(len(everyone)))
    assert all(len(labels) == len(everyone) for labels in (task.labels, *task.auxiliary.values()))
    assert (task.dimension is not None) == (protocol in OF_LEVELS)
    assert task.dimension is None or task.labels.tolist() == task.auxiliary[task.dimension].tolist()
    for name in () if task.corpus.endswith("(mapped)") else task.auxiliary:
        np.testing.assert_array_equal(task.auxiliary[name] == -1, task.table[name].isna())
    if task.classes == FOUR_EMOTIONS:
        heard = task.table["emotion"].replace("excitement", "happiness").tolist()
        assert [task.classes[label] for label in task.labels] == heard


# IEMOCAP


@pytest.mark.parametrize("name", FIGURES)
def test_selections_on_iemocap(name):
    """Else a chapter would be about other utterances than its paper."""
    chosen = protocols.select(iemocap(), name)
    assert len(chosen) == FIGURES[name][0] and chosen.attrs["corpus"] == "iemocap"
    assert {*chosen["scenario"]} == ({"improvised"} if "impro" in name else {"improvised", "scripted"})
    assert ("excitement" in {*chosen["emotion"]}) == (name not in ("impro4_hap", "all4_hap"))


def test_li2018_on_iemocap():
    """Else the first chapter would be about other utterances than the paper's 2280, or other folds."""
    task = li2018(iemocap())
    check(li2018, task)
    assert len(task.table) == 2280 and task.classes == ("anger", "happiness", "neutral", "sadness")
    assert [fold.name for fold in task.folds] == list(IEMOCAP)
    assert sizes(task, "test") == [217, 205, 185, 208, 264, 274, 149, 221, 298, 259]
    counts = task.counts()
    assert counts.sum().to_dict() == {"anger": 289, "happiness": 284, "neutral": 1099, "sadness": 608}
    assert counts.loc["Ses02_F"].tolist() == [7, 25, 90, 63]
    assert (task.protocol, task.corpus) == ("li2018", "iemocap")
    np.testing.assert_array_equal(np.array(FOUR_EMOTIONS)[task.labels], task.table["emotion"])


@pytest.mark.parametrize(
    ("protocol", "names", "tested"),
    [
        (common_loso, SESSIONS, [217 + 205, 185 + 208, 264 + 274, 149 + 221, 298 + 259]),
        (common_speakers, IEMOCAP, [217, 205, 185, 208, 264, 274, 149, 221, 298, 259]),
    ],
)
def test_common_protocols_on_iemocap(protocol, names, tested):
    """Else the partner of a tested speaker could be in training, or the common protocols have other counts."""
    task = protocol(iemocap())
    check(protocol, task)
    assert [fold.name for fold in task.folds] == list(names)
    assert sizes(task, "test") == tested and sizes(task, "validation") == [*tested[1:], tested[0]]


@pytest.mark.parametrize(
    ("protocol", "dimension", "train", "validation", "test"),
    [
        (INFERRED, "activation", [623, 4674, 1112], [161, 1350, 300], [328, 1211, 280]),
        (INFERRED, "valence", [2199, 3017, 1193], [497, 920, 394], [527, 932, 360]),
        (INFERRED, "dominance", [566, 4131, 1712], [134, 1215, 462], [341, 1138, 340]),
        (STATED, "activation", [697, 4126, 943], [183, 1538, 382], [232, 1571, 367]),
        (STATED, "valence", [1765, 2909, 1092], [697, 1026, 380], [761, 934, 475]),
        (STATED, "dominance", [688, 3727, 1351], [112, 1363, 628], [241, 1394, 535]),
    ],
)
def test_zhang2019_on_iemocap(protocol, dimension, train, validation, test):
    """Else the sessions would be others, or a dimension's levels another's."""
    task = protocol(iemocap(), dimension)
    check(protocol, task)
    found = [sizes(task, part)[0] for part in ("train", "validation", "test")]
    assert found == ([6409, 1811, 1819] if protocol is INFERRED else [5766, 2103, 2170])
    assert [by_class(task, part) for part in ("train", "validation", "test")] == [train, validation, test]
    assert (task.corpus, task.classes) == ("iemocap", ("low", "middle", "high"))
    assert list(task.auxiliary) == ["valence", "activation", "dominance"]
    np.testing.assert_array_equal(task.labels, task.auxiliary[dimension])
    np.testing.assert_array_equal(protocol(iemocap()).labels, task.auxiliary["activation"])  # the default


@pytest.mark.parametrize("dimension", LEVELS)
def test_common_levels_on_iemocap(dimension):
    """Else what all systems are compared on would be other utterances, levels or folds than it says."""
    task = common_levels(iemocap(), dimension)
    check(common_levels, task)
    assert [fold.name for fold in task.folds] == list(SESSIONS) and list(task.auxiliary) == list(LEVELS)
    assert [tuple(np.bincount(task.labels[fold.test])) for fold in task.folds] == LEVELS[dimension]
    assert sizes(task, "test") == [1819, 1811, 2136, 2103, 2170]
    assert sizes(task, "validation") == [1811, 2136, 2103, 2170, 1819]
    assert (task.dimension, task.classes) == (dimension, ("low", "middle", "high"))
    assert common_levels(iemocap()).dimension == INFERRED(iemocap()).dimension == "activation"


def test_cai2020_on_iemocap():
    """Else the segments would not be the paper's 4432, or the men not those that its code tests on."""
    task = cai2020(iemocap())
    check(cai2020, task)
    parts = equal_parts(task.table["duration"])
    assert np.bincount(task.labels, parts).tolist() == [585, 525, 2016, 1306] and parts.sum() == 4432
    assert [fold.name for fold in task.folds] == list(IEMOCAP)
    women, men = sizes(task, "test")[0::2], sizes(task, "test")[1::2]
    assert men == [205, 208, 274, 221, 259] and sum(men) == 1167
    assert sizes(task, "validation")[1::2] == women == [217, 185, 264, 149, 298]
    assert list(task.auxiliary) == ["valence", "activation", "dominance"] and task.corpus == "iemocap"
    for dimension, bins in task.auxiliary.items():
        np.testing.assert_array_equal(bins, task.table[dimension] - 1)  # its ratings, 2, 3 and 4, begin a bin each


def test_jalal2020_on_iemocap():
    """Else training would not hold the paper's 4290, or the development set be part of the test."""
    task = jalal2020(iemocap())
    check(jalal2020, task)
    (fold,) = task.folds
    assert fold.name == "Ses05" and {*task.table["session"].iloc[fold.validation]} == {"Ses04"}
    assert len(fold.train) + len(fold.validation) == 4290 and (len(fold.validation), len(fold.test)) == (1031, 1241)
    assert np.add(by_class(task, "train"), by_class(task, "validation")).tolist() == [933, 1194, 1324, 839]
    assert by_class(task, "test") == [170, 442, 384, 245]
    assert (task.classes, task.auxiliary) == (("anger", "happiness", "neutral", "sadness"), {})


def test_jalal2020_retrained_on_iemocap():
    """Else the final training would not hold the paper's 4290, or the tested be others than those chosen for."""
    task, chosen = jalal2020_retrained(iemocap()), jalal2020(iemocap())
    check(jalal2020_retrained, task)
    (fold,), (other,) = task.folds, chosen.folds
    assert [sizes(task, part) for part in ("train", "validation", "test")] == [[4290], [0], [1241]]
    assert fold.name == "Ses05" and by_class(task, "train") == [933, 1194, 1324, 839]
    assert {*task.table["session"].iloc[fold.train]} == {"Ses01", "Ses02", "Ses03", "Ses04"}
    assert sorted([*other.train, *other.validation]) == fold.train.tolist()
    assert by_ids(task)[0] == by_ids(chosen)[0] and fold.test.tolist() == other.test.tolist()


def test_zhao2021_on_iemocap():
    """Else excitement would be left out, or one speaker of a session never be tested."""
    task = zhao2021(iemocap())
    check(zhao2021, task)
    assert len(task.table) == 2943 and [fold.name for fold in task.folds] == list(IEMOCAP)
    assert sizes(task, "test") == [271, 250, 273, 257, 305, 322, 268, 266, 366, 365]
    left_out = np.add(sizes(task, "test"), sizes(task, "validation")).tolist()
    assert left_out == [521, 521, 530, 530, 627, 627, 534, 534, 731, 731]
    assert task.counts().sum().to_dict() == {"anger": 289, "happiness": 947, "neutral": 1099, "sadness": 608}


@pytest.mark.parametrize("corpus_name", ["iemocap", "synthetic:full"])
@pytest.mark.parametrize(
    ("scenario", "emotion", "label", "free"),
    [
        ("improvised", "neutral", "neutral", []),
        ("improvised", "excitement", "happiness", ["impro4_hap", "all4_hap"]),
        ("scripted", "anger", "anger", ["impro4_hap", "impro4_hapexc"]),
        ("scripted", "frustration", None, ["impro4_hap", "impro4_hapexc", "all4_hap", "all4_hapexc"]),
    ],
)
def test_a_lost_row_is_refused(scenario, emotion, label, free, corpus_name):
    """Else a copy with a missing label file would give scores beside the paper's that mean something else."""
    table = changed(first(scenario, emotion), corpus_name)
    part = changed(first(scenario, emotion), "part of iemocap")
    for name in FIGURES:
        in_all, of_sessions, of_classes = FIGURES[name]
        if name in free:
            assert len(protocols.select(table, name)) == in_all
            continue
        counts = {"in all": in_all, "Ses03": of_sessions[2]}
        counts |= {label: of_classes[FOUR_EMOTIONS.index(label)]} if of_classes else {}
        text = "; ".join(f"{key}: expected {count}, found {count - 1}" for key, count in counts.items())
        with pytest.raises(InputError, match=f"^{name} on {corpus_name}: {text}. Files are missing .*compare"):
            protocols.select(table, name)
        assert len(protocols.select(part, name)) == in_all - 1
    for protocol in PROTOCOLS:
        name = SELECTED.get(protocol, "impro4_hap")
        assert protocol(part).corpus == "part of iemocap"
        if name in free:
            assert len(protocol(table).table) == FIGURES[name][0]
            continue
        with pytest.raises(InputError, match=f"^{name} on {corpus_name}: in all: expected {FIGURES[name][0]}, found"):
            protocol(table)


@pytest.mark.parametrize("name", FIGURES)
def test_a_wrong_session_or_label_is_refused(name):
    """Else a session could be counted for another, or an emotion for another, while the sum is right."""
    _, of_sessions, of_classes = FIGURES[name]
    cases = [("session", dict(zip(SESSIONS, of_sessions, strict=True)))]
    cases += [("emotion", dict(zip(FOUR_EMOTIONS, of_classes, strict=True)))] if of_classes else []
    for column, counts in cases:
        for old, new in zip(counts, [*counts][1:] + [*counts][:1], strict=True):
            row = first("improvised", *(("sadness", old) if column == "session" else (old,)))
            with pytest.raises(InputError) as caught:
                protocols.select(changed(row, **{column: new}), name)
            for label, more in ((old, -1), (new, 1)):
                assert f"{label}: expected {counts[label]}, found {counts[label] + more}" in str(caught.value)
            assert str(caught.value).count("expected") == 2


def test_a_duration_that_changes_the_segments_is_refused():
    """Else cai2020 would run with other segments than the 4432 of the paper's footnote."""
    row = first("improvised", "neutral")
    table = changed(row, duration=iemocap()["duration"][row] + 0.01)  # from exactly 3, 6, ... s to a part more
    text = "Segments of cai2020 on iemocap: in all: expected 4432, found 4433; neutral: expected 2016, found 2017."
    with pytest.raises(InputError, match=re.escape(text)):
        cai2020(table)
    assert len(li2018(table).table) == 2280
    table.attrs["corpus"] = "part of iemocap"
    assert len(cai2020(table).table) == 2280


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        *((protocol, "vad_all on iemocap: in all: expected 10039, found 0") for protocol in OF_LEVELS),
        (cai2020, "Ratings are missing, of 2280 utterances"),
    ],
)
def test_iemocap_without_ratings_is_refused(protocol, message):
    """Else a copy that lost its ratings would be trained on levels that nobody gave it, with counts of its own."""
    with pytest.raises(InputError, match=message):
        protocol(rated(iemocap(), np.nan))


# Any corpus


@st.composite
def corpora(draw, kinds=("no sessions", "pairs", "one each", "some missing")):
    """1 to 16 speakers in shuffled order, each with some of each class and other emotions, rated or not."""
    kind, speakers = draw(st.sampled_from(kinds)), draw(st.integers(1, 16))
    scenarios = draw(st.sampled_from([(None,), ("improvised", "scripted")]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    days = {"no sessions": [None] * speakers, "one each": [f"day{n}" for n in range(speakers)]}
    days = days.get(kind, [f"day{n // 2 % max(1, speakers // 2)}" for n in range(speakers)])
    rows = [
        (f"s{number}", day, scenario, emotion, rng.integers(emotion in FOUR_EMOTIONS, 4))
        for number, day in zip(rng.permutation(speakers), days, strict=True)
        for emotion in (*FOUR_EMOTIONS, "excitement", "boredom", "frustration")
        for scenario in scenarios
    ]
    table = corpus(rows).sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    if kind in ("pairs", "one each"):
        numbers = [f"_impro{n % 3}_{n}" for n in range(len(table))]
        table["utterance_id"] = table["session"] + numbers
    if kind == "several":  # everybody may come on each of three days
        table["session"] = pd.Series(rng.integers(0, 3, len(table))).astype("string")
    if kind == "some missing":
        table.loc[rng.random(len(table)) < 0.2, "session"] = pd.NA
    if draw(st.booleans()):
        ratings = rng.integers(4, 21, (len(table), 3)) / 4
        ratings[rng.random(ratings.shape) < draw(st.sampled_from([0, 0.2]))] = np.nan
        table[["valence", "activation", "dominance"]] = ratings
    table["duration"] = rng.uniform(0.3, 10, len(table))
    table.attrs = {"corpus": "test", "may be refused": speakers < 10 or kind == "one each"}
    return table


@each(CLEAN)
@properties
@given(st.one_of(corpora(), corpora(["several"])), st.integers(0, 2**31))
def test_nobody_is_on_both_sides(protocol, table, seed):
    """Else somebody would be trained and tested or chosen on, tested twice or never, or as the order of rows has it."""
    shuffled = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    try:
        task = protocol(table)
    except InputError as error:
        assert table.attrs["may be refused"]
        with pytest.raises(InputError, match=f"^{re.escape(str(error))}$"):
            protocol(shuffled)
    else:
        check(protocol, task)
        assert by_ids(protocol(shuffled)) == by_ids(task)


@each([common_loso, common_speakers])
@properties
@given(corpora(("no sessions", "pairs", "one each")), st.integers(1, 7))
def test_common_protocols_have_the_folds_asked_for(protocol, table, folds):
    """Else the folds would not be the sessions, or not as many as was said."""
    sessions = table["session"].notna().all() and table["session"].nunique() > 1
    unit = "session" if protocol is common_loso and sessions else "speaker"
    groups = table["session"].nunique() if unit == "session" else min(folds, table["speaker"].nunique())
    if groups < 3:
        with pytest.raises(InputError, match="needs more speakers or sessions"):
            protocol(table, folds)
        return
    task = protocol(table, folds)
    check(protocol, task)
    assert len(task.folds) == groups
    assert all({*task.table[unit].iloc[fold.test]} == {*fold.name.split("+")} for fold in task.folds)


some_emotion = st.sampled_from([None, *FOUR_EMOTIONS, "excitement", "fear", "Ärger"])
some_scenario = st.sampled_from([None, "improvised", "scripted"])
utterance = st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, "1", "2"]), some_scenario, some_emotion)
some_rating = st.sampled_from([np.nan, 0.1, 2.0, 3.0, 4.0, 70.0])


@each(PROTOCOLS)
@properties
@given(
    st.lists(utterance, max_size=3) | st.lists(utterance, max_size=12),
    st.lists(some_rating, min_size=1, max_size=3),
    st.sets(st.sampled_from(["session", "emotion", "scenario", "valence", "activation"])),
)
def test_a_poor_corpus_is_refused_or_right(protocol, utterances, ratings, absent):
    """Else an empty, tiny or half-labelled corpus would end in an error that says nothing to its owner."""
    rows = [(*row, 1) for row in utterances] or [("a", None, None, None, 1)]
    table = rated(corpus(rows), *ratings).iloc[: len(utterances)]  # no rows, too, which check_table would refuse
    table = table.assign(**{column: table[column].mask(table[column].notna()) for column in absent})
    if protocol is protocols.leaky_marker_as_speaker:
        table["utterance_id"] = ("Ses01F_impro01_" + table["utterance_id"]).astype("string")
    try:
        task = protocol(table)
    except InputError:
        return
    assert len(task.sides()) == len(task.folds) and len(task.counts()) == task.table["speaker"].nunique()
    if protocol in CLEAN:
        check(protocol, task)


def test_only_improvised_speech_is_taken():
    """Else scripted lines, the same for every speaker, would give the emotion away by their words."""
    table = pd.concat([simple(scenario="improvised"), simple(scenario="scripted")], ignore_index=True)
    for protocol in (li2018, cai2020, zhao2021, common_loso, common_speakers):
        task = protocol(table)
        assert {*task.table["scenario"]} == {"improvised"} and len(task.table) == 32
        assert len(protocol(simple(scenario=None)).table) == 32  # a corpus that does not say is taken whole


def test_other_emotions_are_left_out():
    """Else a fifth emotion would become a class, or an utterance without a label get one."""
    table = simple()
    table.loc[[0, 5], "emotion"] = ["boredom", pd.NA]
    task = li2018(table)
    assert {*task.table["utterance_id"]} == {*table["utterance_id"]} - {"u0", "u5"}
    assert task.table.index.equals(pd.RangeIndex(30)) and {*task.labels} == {0, 1, 2, 3}


def test_rows_with_some_ratings():
    """Else a rating would be lost for want of another, or a level be invented where nobody gave a rating."""
    table = rated(simple(10), 1, 3, 5, 3, 2)
    table.loc[7, "dominance"] = table.loc[8, "activation"] = np.nan
    table.loc[9, ["valence", "activation", "dominance"]] = np.nan
    for protocol in OF_LEVELS:
        task = protocol(table)
        check(protocol, task)
        assert {*table["utterance_id"]} - {*task.table["utterance_id"]} == {"u9"} and task.corpus == "test"
        lost = {name: task.table["utterance_id"][levels < 0].tolist() for name, levels in task.auxiliary.items()}
        assert lost == {"valence": [], "activation": ["u8"], "dominance": ["u7"]}
        assert task.counts().to_numpy().sum() == len(task.table) - 1
    task = cai2020(table)
    assert task.labels.min() == 0 and [levels.min() for levels in task.auxiliary.values()] == [-1] * 3


@pytest.mark.parametrize("corpus_name", ["iemocap", "synthetic:full"])
def test_iemocap_with_a_lost_rating_is_refused(corpus_name):
    """Else a copy with a damaged label file would be trained on fewer levels than the paper had, and say nothing."""
    row = first("improvised", "neutral")
    for protocol, utterances in (*((protocol, 10039) for protocol in OF_LEVELS), (cai2020, 2280)):
        message = f"Ratings are missing, of {utterances} utterances: {{'dominance': 1}}"
        with pytest.raises(InputError, match=re.escape(message)):
            protocol(changed(row, corpus_name, dominance=np.nan))
        assert protocol(changed(row, "part of iemocap", dominance=np.nan)).auxiliary["dominance"].min() == -1


def test_a_dimension_that_nobody_rated():
    """Else a model would be scored on labels that are all missing, or the ratings that there are be left unused."""
    table = rated(simple(10), 1, 3, 5, 3, 2).assign(dominance=np.nan)
    for protocol in OF_LEVELS:
        task = protocol(table, "valence")
        check(protocol, task)
        assert list(task.auxiliary) == ["valence", "activation"] and task.corpus == "test"
        assert task.classes == ("low", "middle", "high") and task.dimension == "valence"
        with pytest.raises(InputError, match="scores one of valence, activation on this corpus, not 'dominance'"):
            protocol(table, "dominance")


@each(OF_LEVELS)
def test_a_level_that_only_the_tested_have(protocol):
    """Else rows without a label would count as a class, and a level that training lacks be tested."""
    table = rated(simple(10), 1, 3, 5, 3, 2)
    others = ~table["speaker"].isin(["s08", "s09"] if protocol is STATED else ["s00", "s01"])
    table.loc[others & (table["activation"] == 5), "activation"] = np.nan
    with pytest.raises(InputError, match=r"training part of fold '[s0-9+]+' holds no high"):
        protocol(table)
    check(protocol, protocol(table, "valence"))


@pytest.mark.parametrize("sessions", [True, False])
@pytest.mark.parametrize(("speakers", "folds"), [(7, 3), (12, 5), (12, 12)])
def test_common_levels_has_the_folds_of_common_loso(speakers, folds, sessions):
    """Else emotions and dimensions would be compared on other speakers."""
    table = rated(simple(speakers, sessions), 1, 3, 5, 3, 2)
    assert by_ids(common_levels(table, folds=folds))[1] == by_ids(common_loso(table, folds))[1]


def test_groups_that_stand_for_sessions():
    """Else a corpus without sessions could not be used, or its groups would depend on chance."""
    assert [fold.name for fold in common_loso(simple(7), 3).folds] == ["s00+s01+s02", "s03+s04", "s05+s06"]
    assert [fold.name for fold in zhao2021(simple(5)).folds] == ["s00+s01", "s02", "s03", "s04"]
    days = [(f"s{n}", f"day{day}", None, e, 2) for n in range(6) for day in (n % 3, (n + 1) % 3) for e in FOUR_EMOTIONS]
    assert [fold.name for fold in common_loso(corpus(days)).folds] == ["s0+s1", "s2", "s3", "s4", "s5"]


@pytest.mark.parametrize("sessions", [True, False])
@pytest.mark.parametrize(
    ("protocol", "test", "validation"),
    [
        (INFERRED, {"s00", "s01", "s02"}, {"s03", "s04"}),
        (STATED, {"s09", "s10"}, {"s07", "s08"}),
        (jalal2020, {"s09", "s10"}, {"s07", "s08"}),
        (jalal2020_retrained, {"s09", "s10"}, set()),
        (leaky_jalal2020_chosen_on_test, {"s09", "s10"}, {"s09", "s10"}),
    ],
)
def test_five_groups(protocol, test, validation, sessions):
    """Else another corpus than IEMOCAP would be tested and chosen on other parts than the chapter says."""
    table = simple(11)
    table["session"] = (table["speaker"].str[1:].astype(int) - 1).clip(0).floordiv(2).map("day{}".format)
    table = table if sessions else table.assign(session=pd.NA)
    task = protocol(table)
    (fold,) = task.folds
    assert {*task.table["speaker"].iloc[fold.test]} == test
    assert {*task.table["speaker"].iloc[fold.validation]} == validation
    assert {*task.table["speaker"].iloc[fold.train]} == {*table["speaker"]} - test - validation


# Leaks


def test_every_protocol_is_clean_or_leaky():
    """Else a protocol could be added that no test here looks at, or a leak go by a clean name."""
    leaky = [protocol for protocol in PROTOCOLS if protocol.__name__.startswith("leaky_")]
    assert (*CLEAN, *leaky) == PROTOCOLS and len(leaky) == 5
    assert all(protocol(iemocap()).protocol == protocol.__name__ for protocol in PROTOCOLS)


def test_random_utterances_leak():
    """Else the page that shows what a known speaker is worth would show nothing."""
    task = protocols.leaky_random_utterances(iemocap())
    assert len(task.folds) == 5 and (task.sides()["speakers on both sides"] == 10).all()
    assert sorted(np.concatenate([fold.test for fold in task.folds])) == list(range(2280))
    assert sizes(task, "test") == sizes(task, "validation") == [456] * 5
    assert by_ids(protocols.leaky_random_utterances(iemocap())) == by_ids(task)
    assert by_ids(protocols.leaky_random_utterances(iemocap(), seed=1)) != by_ids(task)


def test_best_epoch_on_test_leaks():
    """Else the page that shows what a look at the test is worth would show nothing, or another mistake as well."""
    task, honest = protocols.leaky_best_epoch_on_test(iemocap()), common_loso(iemocap())
    for fold, other in zip(task.folds, honest.folds, strict=True):
        np.testing.assert_array_equal(fold.validation, fold.test)
        np.testing.assert_array_equal(fold.test, other.test)
        assert sorted([*fold.train, *fold.test]) == list(range(2280))
    assert (task.sides()["speakers on both sides"] == 0).all()


@properties
@given(corpora())
def test_jalal2020_chosen_on_test_leaks(table):
    """Else the chapter that shows what a look at the test is worth would show another mistake, or less training."""
    try:
        honest = jalal2020_retrained(table)
    except InputError as error:
        with pytest.raises(InputError) as caught:
            leaky_jalal2020_chosen_on_test(table)
        assert str(caught.value) == str(error).replace("jalal2020_retrained", "leaky_jalal2020_chosen_on_test")
        return
    task = leaky_jalal2020_chosen_on_test(table)
    ((fold,), (other,)) = task.folds, honest.folds
    assert task.table.equals(honest.table) and task.labels.tolist() == honest.labels.tolist()
    np.testing.assert_array_equal(fold.validation, fold.test)
    for part in ("train", "test", "normalise"):
        np.testing.assert_array_equal(getattr(fold, part), getattr(other, part))
    assert fold.name == other.name and (task.sides()["speakers on both sides"] == 0).all()


def test_marker_as_speaker_leaks():
    """Else the page on two toolkits' mistake would not show it: half of the utterances are the partner's."""
    task = protocols.leaky_marker_as_speaker(iemocap())
    assert [fold.name for fold in task.folds] == [name.replace("_", "") for name in IEMOCAP]
    assert (task.sides()["speakers on both sides"] == 2).all()
    ids, letter = task.table["utterance_id"], task.table["speaker"].str[-1]
    assert all(ids.iloc[fold.test].str.startswith(fold.name).all() for fold in task.folds)
    assert (ids.str.rpartition("_")[2].str[0] == letter).all() and 0.45 < (ids.str[5] != letter).mean() < 0.55
    with pytest.raises(InputError, match="leaky_marker_as_speaker reads IEMOCAP's utterance ids"):
        protocols.leaky_marker_as_speaker(simple())


def test_normalised_over_everything_leaks():
    """Else the page that shows what the test's statistics are worth would show nothing, or another mistake as well."""
    task, honest = protocols.leaky_normalised_over_everything(iemocap()), common_loso(iemocap())
    assert by_ids(task) == by_ids(honest)
    assert all({*fold.test} < {*fold.normalise} == {*range(2280)} for fold in task.folds)


# Levels and parts


def test_three_levels_and_four_bins():
    """Else a rating on an edge, as many are, would fall on the other side than in the paper."""
    ratings = np.array([0.5, 1.99, 2.0, 2.01, 2.5, 2.99, 3.0, 3.5, 3.99, 4.0, 5.5])
    assert protocols.three_levels(ratings).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2]
    assert protocols.four_bins(ratings).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3]
    assert protocols.three_levels(pd.Series([2.0, 4.0])).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("ratings", "message"),
    [([0, 0.2, 1], "0 to 1"), ([0, 100, 55], "0 to 100"), ([0.49, 3], "0.49 to 3"), ([3, 5.51], "3 to 5.51")],
)
def test_another_scale_is_refused(ratings, message):
    """Else ratings from 0 to 1 would all be low, and nobody know why a model learns nothing."""
    for discretise in (protocols.three_levels, protocols.four_bins):
        with pytest.raises(InputError, match=f"scale from 1 to 5; these go from {message}. Rescale"):
            discretise(np.array(ratings))
        with pytest.raises(InputError, match="1 of 2 utterances have no rating on the scale from 1 to 5"):
            discretise(np.array([3, np.nan]))
    for protocol in (*OF_LEVELS, cai2020):
        with pytest.raises(InputError, match=f"scale from 1 to 5; these go from {message}"):
            protocol(rated(simple(10), *ratings))


def test_levels_mapped_from_emotions():
    """Else emotions would stand on the wrong side of valence or activation, or a reader take them for ratings."""
    mapped = {  # valence, activation
        **{"anger": (0, 1), "fear": (0, 1), "boredom": (0, 0), "disgust": (0, 0), "sadness": (0, 0)},
        **{"excitement": (1, 1), "happiness": (1, 1), "surprise": (1, 1), "calm": (1, 0), "neutral": (1, 0)},
    }
    table = simple(5, emotions=(*mapped, "frustration"))
    tasks = [(cai2020(table), 40), *((protocol(table), 100) for protocol in OF_LEVELS)]
    for task, rows in tasks:
        assert task.corpus == "test (mapped)" and list(task.auxiliary) == ["valence", "activation"]
        expected = np.array([mapped[emotion] for emotion in task.table["emotion"]])
        assert len(expected) == rows
        np.testing.assert_array_equal(np.transpose([*task.auxiliary.values()]), expected)
    assert tasks[0][0].classes == FOUR_EMOTIONS and jalal2020(table).corpus == "test"
    for protocol in OF_LEVELS:
        for dimension in ("valence", "activation"):
            task = protocol(table, dimension)
            check(protocol, task)
            assert task.classes == ("low", "high")
            np.testing.assert_array_equal(task.labels, task.auxiliary[dimension])
        with pytest.raises(InputError, match="one of valence, activation on this corpus, not 'dominance'"):
            protocol(table, "dominance")
        with pytest.raises(InputError, match="one of valence, activation, dominance on this corpus, not 'arousal'"):
            protocol(rated(table, 1, 3, 5), "arousal")


# What a task shows of itself


def test_counts_and_sides():
    """Else the tables that a chapter shows of its task would say something else than the task is."""
    task = li2018(simple(3).drop(index=[0, 8, 9]))  # s00 with one utterance in anger, s01 with none
    expected = pd.DataFrame([[1, 2, 2, 2], [0, 2, 2, 2], [2, 2, 2, 2]], ["s00", "s01", "s02"], FOUR_EMOTIONS)
    pd.testing.assert_frame_equal(task.counts(), expected, check_names=False, check_index_type=False)
    columns = ["trained on", "chosen on", "tested on", "test speakers", "speakers on both sides"]
    rows = [[14, 0, 7, "s00", 0], [15, 0, 6, "s01", 0], [13, 0, 8, "s02", 0]]
    pd.testing.assert_frame_equal(task.sides(), pd.DataFrame(rows, ["s00", "s01", "s02"], columns))
    sides = common_loso(simple(6, sessions=True).drop(index=0)).sides()
    rows = [[16, 16, 15, "s00 s01", 0], [15, 16, 16, "s02 s03", 0], [16, 15, 16, "s04 s05", 0]]
    pd.testing.assert_frame_equal(sides, pd.DataFrame(rows, ["day0", "day1", "day2"], columns))


# Refusals


@each(CLEAN)
def test_nobody_can_be_left_out(protocol):
    """Else a corpus on which nobody can be left out, or nothing told apart, would give a score."""
    with pytest.raises(InputError, match=r"needs (more speakers|five sessions)|has one only"):
        protocol(simple(1))
    with pytest.raises(InputError, match="holds no"):
        protocol(simple(10, emotions=["neutral"]))
    for labels in (["Ärger", "Freude"], [None]):  # another language, or none
        with pytest.raises(InputError, match=rf"{protocol.__name__} (finds nothing to take|needs five sessions)"):
            protocol(simple(10, emotions=labels))


@each(CLEAN)
def test_sessions_that_tell_nobody_apart(protocol):
    """Else a column that says the same of everybody, or repeats the speaker, would make a sound corpus unfit."""
    plain = simple(10)
    pd.testing.assert_frame_equal(protocol(plain.assign(session="day")).sides(), protocol(plain).sides())
    check(protocol, protocol(plain.assign(session=plain["speaker"])))


def test_a_table_without_its_name():
    """Else a merge would take IEMOCAP's name from a table, and with it the counts that it must have."""
    table = iemocap()
    merged = table.iloc[:2000].merge(pd.DataFrame({"speaker": table["speaker"].unique(), "age": 30}), on="speaker")
    assert "corpus" not in merged.attrs
    with pytest.raises(InputError, match="lost its name"):
        li2018(merged)


@pytest.mark.parametrize("folds", [0, 1, 2])
@each([common_loso, common_speakers, protocols.leaky_normalised_over_everything])
def test_too_few_folds(protocol, folds):
    """Else nothing would be left to train on, or the message name another protocol."""
    with pytest.raises(
        InputError, match=f"^{protocol.__name__} needs more speakers or sessions than test has: 7 speakers"
    ):
        protocol(simple(7), folds)


@each([*ONE_FOLD, leaky_jalal2020_chosen_on_test])
@pytest.mark.parametrize(("speakers", "sessions"), [(8, True), (4, False)])
def test_fewer_than_five(protocol, speakers, sessions):
    """Else the test of a fixed partition would be in its training part, or an index out of range."""
    with pytest.raises(InputError, match=rf"^{protocol.__name__} needs five sessions, or five speakers .*found 4\."):
        protocol(simple(speakers, sessions))


@each(BOTH_WAYS)
def test_a_session_with_one_speaker(protocol):
    """Else somebody would be tested on the data that chose the epoch."""
    with pytest.raises(InputError, match="one speaker is tested and one chosen on, and day2 has one only"):
        protocol(simple(5, sessions=True))


@pytest.mark.parametrize(("protocol", "fold"), [(li2018, "s02"), (common_loso, "s01"), (zhao2021, r"s00\+s01")])
def test_a_training_part_that_lacks_a_class(protocol, fold):
    """Else a model would be tested on an emotion that it never heard."""
    table = simple(5)
    table = table[(table["emotion"] != "sadness") | (table["speaker"] == "s02")]
    with pytest.raises(InputError, match=f"on test: the training part of fold '{fold}' holds no sadness. Add"):
        protocol(table)


@each([jalal2020_retrained, leaky_jalal2020_chosen_on_test])
def test_a_class_that_only_session_four_has(protocol):
    """Else a corpus would be refused for want of what it has: this training part holds session 4."""
    table = simple(5)
    table = table[(table["emotion"] != "sadness") | table["speaker"].isin(["s03", "s04"])]
    with pytest.raises(InputError, match="jalal2020 on test: the training part of fold 's04' holds no sadness"):
        jalal2020(table)
    assert by_class(protocol(table), "train") == [8, 8, 8, 2]


def test_segments_need_durations():
    """Else utterances would be cut into parts whose number nobody knows."""
    with pytest.raises(InputError, match="32 utterances have no duration"):
        cai2020(simple().assign(duration=np.nan))
