"""The protocols: the counts of the papers, nobody on both sides, and a refusal where that cannot be."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib.corpora import check_table
from serlib.errors import InputError
from serlib.protocols import FOUR_EMOTIONS, Task, common_loso, li2018

# Improvised utterances of IEMOCAP's speakers, counted in the release: neutral, happiness, excitement, sadness, anger.
IEMOCAP = {
    "Ses01_F": (119, 18, 54, 43, 37),
    "Ses01_M": (104, 15, 45, 61, 25),
    "Ses02_F": (90, 25, 88, 63, 7),
    "Ses02_M": (127, 29, 49, 37, 15),
    "Ses03_F": (95, 39, 41, 108, 22),
    "Ses03_M": (103, 21, 48, 82, 68),
    "Ses04_F": (51, 10, 119, 41, 47),
    "Ses04_M": (123, 21, 45, 40, 37),
    "Ses05_F": (151, 56, 68, 73, 18),
    "Ses05_M": (136, 50, 106, 60, 13),
}


def corpus(rows, name="test"):
    """A corpus table of (speaker, session, scenario, emotion, how many)."""
    columns = ["speaker", "session", "scenario", "emotion", "count"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    table = table.loc[table.index.repeat(table.pop("count").astype(int))].reset_index(drop=True)
    ids = [f"u{number}" for number in range(len(table))]
    table = check_table(table.assign(utterance_id=ids, path=ids), name)
    table.attrs["corpus"] = name
    return table


def iemocap():
    emotions = ("neutral", "happiness", "excitement", "sadness", "anger")
    rows = [
        (speaker, speaker[:5], scenario, emotion, count)
        for speaker, counts in IEMOCAP.items()
        for scenario in ("improvised", "scripted")
        for emotion, count in zip(emotions, counts, strict=True)
    ]
    return corpus(rows, "iemocap")


def simple(speakers=4, sessions=False, scenario=None):
    return corpus(
        [
            (f"s{n:02d}", f"session{n // 2}" if sessions else None, scenario, emotion, 2)
            for n in range(speakers)
            for emotion in FOUR_EMOTIONS
        ]
    )


def test_li2018_on_iemocap():
    """Else the first chapter would be about other utterances than the paper's 2280, or other folds."""
    task = li2018(iemocap())
    assert len(task.table) == 2280 and task.classes == ("anger", "happiness", "neutral", "sadness")
    assert [fold.name for fold in task.folds] == list(IEMOCAP)
    assert [len(fold.test) for fold in task.folds] == [217, 205, 185, 208, 264, 274, 149, 221, 298, 259]
    assert all(len(fold.train) + len(fold.test) == 2280 and len(fold.validation) == 0 for fold in task.folds)
    counts = task.counts()
    assert counts.sum().to_dict() == {"anger": 289, "happiness": 284, "neutral": 1099, "sadness": 608}
    assert counts.loc["Ses02_F"].tolist() == [7, 25, 90, 63]
    assert (task.protocol, task.corpus) == ("li2018", "iemocap")
    np.testing.assert_array_equal(np.array(FOUR_EMOTIONS)[task.labels], task.table["emotion"])


def test_common_loso_on_iemocap():
    """Else the partner of a tested speaker could be in training, or the common protocol have other counts."""
    task = common_loso(iemocap())
    assert [fold.name for fold in task.folds] == [f"Ses0{number}" for number in range(1, 6)]
    tested = [217 + 205, 185 + 208, 264 + 274, 149 + 221, 298 + 259]
    assert [len(fold.test) for fold in task.folds] == tested
    assert [len(fold.validation) for fold in task.folds] == [*tested[1:], tested[0]]
    assert [len(fold.train) for fold in task.folds] == [
        2280 - a - b for a, b in zip(tested, [*tested[1:], tested[0]], strict=True)
    ]


@pytest.mark.parametrize("protocol", [li2018, common_loso])
def test_a_wrong_count_is_refused(protocol):
    """Else a copy with a missing label file would give scores beside the paper's that mean something else."""
    table = iemocap()
    lost = table.drop(index=table.index[table["scenario"] == "improvised"][0]).reset_index(drop=True)
    lost.attrs = table.attrs
    with pytest.raises(InputError, match=r"2280 utterances of iemocap and found 2279: .*'neutral': 1098.*compare"):
        protocol(lost)


def test_only_improvised_speech_is_taken():
    """Else scripted lines, the same for every speaker, would give the emotion away by their words."""
    table = pd.concat([simple(scenario="improvised"), simple(scenario="scripted")], ignore_index=True)
    assert set(li2018(table).table["scenario"]) == {"improvised"} and len(li2018(table).table) == 32
    assert len(li2018(simple(scenario=None)).table) == 32  # a corpus that does not say is taken whole


def test_other_emotions_are_left_out():
    """Else a fifth emotion would become a class, or an utterance without a label get one."""
    table = simple()
    table.loc[[0, 5], "emotion"] = ["boredom", pd.NA]
    task = li2018(table)
    assert set(task.table["utterance_id"]) == set(table["utterance_id"]) - {"u0", "u5"}
    assert task.table.index.equals(pd.RangeIndex(30)) and set(task.labels) == {0, 1, 2, 3}


@st.composite
def tables(draw, sessions):
    """2 to 30 speakers in shuffled order, each with some of each class, other emotions and scripted speech."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    speakers = draw(st.integers(2, 30))
    rows = [
        (f"s{n}", f"day{n // 2}" if sessions else None, scenario, emotion, rng.integers(least, 4))
        for n in rng.permutation(speakers)
        for emotion, least in [*((emotion, 1) for emotion in FOUR_EMOTIONS), ("fear", 0)]
        for scenario in ("improvised", "scripted", None)
    ]
    table = corpus(rows)
    return table.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)


def check(task: Task):
    """What every protocol promises."""
    speakers = task.table["speaker"].to_numpy()
    for fold in task.folds:
        parts = [fold.train, fold.validation, fold.test]
        assert len(fold.test) and sorted(np.concatenate(parts)) == list(range(len(speakers)))
        train, validation, test = (set(speakers[part]) for part in parts)
        assert not train & test and not train & validation and not validation & test
        assert set(task.labels[fold.train]) == set(range(len(task.classes)))
    assert sorted(np.concatenate([fold.test for fold in task.folds])) == list(range(len(speakers)))
    assert len({fold.name for fold in task.folds}) == len(task.folds)


properties = settings(max_examples=40, deadline=None, database=None, derandomize=True)


@properties
@given(st.booleans().flatmap(tables))
def test_li2018_on_any_corpus(table):
    """Else somebody would be trained and tested on, tested twice, or never."""
    task = li2018(table)
    check(task)
    assert len(task.folds) == table["speaker"].nunique()
    assert all(len(fold.validation) == 0 for fold in task.folds)


@properties
@given(st.booleans().flatmap(tables), st.integers(3, 7))
def test_common_loso_on_any_corpus(table, folds):
    """Else somebody would be trained and tested or chosen on, tested twice, or never."""
    has_sessions = table["session"].notna().all()
    groups = table["session"].nunique() if has_sessions else min(folds, table["speaker"].nunique())
    if groups < 3:
        with pytest.raises(InputError, match="needs more speakers or sessions"):
            common_loso(table, folds)
        return
    task = common_loso(table, folds)
    check(task)
    assert len(task.folds) == groups and all(len(fold.validation) for fold in task.folds)
    if has_sessions:
        assert all(set(task.table["session"].iloc[fold.test]) == {fold.name} for fold in task.folds)


def test_speakers_who_come_to_several_sessions():
    """Else a speaker recorded on two days would be tested twice, and in one fold be validated and tested on."""
    rows = [(f"s{n}", f"day{day}", None, e, 2) for n in range(6) for day in (n % 3, (n + 1) % 3) for e in FOUR_EMOTIONS]
    try:
        task = common_loso(corpus(rows))
    except InputError as error:
        assert "session" in str(error)
    else:
        check(task)


def test_one_speaker_only():
    """Else a corpus on which nobody can be left out would give a score."""
    with pytest.raises(InputError, match=r"li2018 needs more speakers.*test has \(1\)"):
        li2018(simple(1))
    with pytest.raises(InputError, match=r"common_loso needs more speakers.*test has \(2\)"):
        common_loso(simple(2))


def test_no_utterance_of_the_four_emotions():
    """Else a corpus in another language of labels would break far from here."""
    with pytest.raises(InputError, match="needs more speakers"):
        li2018(corpus([("s0", None, None, "Ärger", 3), ("s1", None, None, "Freude", 3)]))


@pytest.mark.parametrize(("protocol", "fold"), [(li2018, "s02"), (common_loso, "s01")])
def test_a_training_part_that_lacks_a_class(protocol, fold):
    """Else a model would be tested on an emotion that it never heard."""
    table = simple(5)
    table = table[(table["emotion"] != "sadness") | (table["speaker"] == "s02")].reset_index(drop=True)
    table.attrs["corpus"] = "test"
    with pytest.raises(InputError, match=f"on test: the training part of fold '{fold}' holds no sadness. Add"):
        protocol(table)
