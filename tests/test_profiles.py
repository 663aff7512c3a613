"""How much of a corpus a profile takes: evenly, the same every time, and never a part that is taken for the whole."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serlib
from serlib import corpora, protocols
from serlib.errors import InputError
from serlib.profiles import one_of, profile, spread_evenly, thinned

CELLS = st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 3)), min_size=1, max_size=120)


def large(speakers=8, takes=30):
    """A table of `takes` utterances of every speaker and emotion; no sound is needed to choose among them."""
    pairs = [(s, e) for s in range(speakers) for e in protocols.FOUR_EMOTIONS for _ in range(takes)]
    rows = {"utterance_id": [f"u{n}" for n in range(len(pairs))], "path": [f"u{n}.wav" for n in range(len(pairs))]}
    rows |= {"duration": 2.0, "speaker": [f"s{s}" for s, _ in pairs], "emotion": [e for _, e in pairs]}
    table = corpora.check_table(pd.DataFrame(rows), "large")
    table.attrs["corpus"] = "large"
    return table


@given(cells=CELLS, most=st.integers(0, 150))
@settings(deadline=None)
def test_a_part_is_spread_evenly(cells, most):
    """Else a speaker or an emotion would be heard more often than another although there is enough of both."""
    speakers, labels = pd.Series([f"s{s}" for s, _ in cells]), np.array([label for _, label in cells])
    rows = spread_evenly(speakers, labels, most)
    assert len(rows) == min(most, len(cells)) and np.all(np.diff(rows) > 0)
    assert np.array_equal(rows, spread_evenly(speakers, labels, most)), "another part at the next call"
    whole = pd.Series(cells).value_counts()
    taken = pd.Series([cells[row] for row in rows], dtype=object).value_counts().reindex(whole.index, fill_value=0)
    not_all = taken[taken < whole]
    assert not_all.empty or taken.max() - not_all.min() <= 1


@given(speakers=st.integers(1, 40), most=st.integers(1, 200))
@settings(deadline=None)
def test_the_last_round_is_dealt_over_the_classes(speakers, most):
    """Else a corpus of many speakers would lose a class, and no fold could be learnt."""
    pairs = [(s, label) for s in range(speakers) for label in range(4) for _ in range(3)]
    labels = np.array([label for _, label in pairs])
    counts = np.bincount(labels[spread_evenly(pd.Series([s for s, _ in pairs]), labels, most)], minlength=4)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("name", "most"), [("quick", 240), ("lesson", 600)])
def test_a_large_corpus_is_thinned_and_says_so(name, most, monkeypatch, capsys):
    """Else a first run on a large corpus would take the afternoon, or a part would pass for the whole."""
    monkeypatch.setenv("SERLIB_PROFILE", name)
    table = large()
    part = serlib.thinned(table, protocols.li2018)
    assert (len(part), part.attrs["corpus"], table.attrs["corpus"]) == (most, "part of large", "large")
    assert set(protocols.li2018(part).counts().to_numpy().ravel()) <= {most // 32, most // 32 + 1}
    assert f"{most} of 960 utterances of large" in capsys.readouterr().out
    assert part["utterance_id"].isin(table["utterance_id"]).all() and part["utterance_id"].is_unique


@pytest.mark.parametrize(("name", "takes"), [("quick", 7), ("lesson", 18), ("paper", 30)])
def test_what_the_profile_has_time_for_is_taken_as_it_is(name, takes, monkeypatch, capsys):
    """Else the paper's own counts could not be met, and the numbers of a small corpus would rest on a part of it."""
    monkeypatch.setenv("SERLIB_PROFILE", name)
    table = large(takes=takes)
    assert thinned(table, protocols.li2018) is table and capsys.readouterr().out == ""


def test_only_what_the_protocol_takes_counts():
    """Else a corpus of many emotions would be left with too few of the four that a chapter tells apart."""
    table = large(takes=2)
    fears = [table.assign(emotion="fear", utterance_id=table["utterance_id"] + letter) for letter in "abcde"]
    more = pd.concat([table, *fears], ignore_index=True)
    more.attrs["corpus"] = "many emotions"
    assert len(more) > 240 and thinned(more, protocols.li2018) is more


def test_the_counts_of_iemocap_are_asked_of_the_whole():
    """Else a copy that lacks files would be accepted in quick, and refused after a night in paper."""
    table = large()
    table.attrs["corpus"] = "iemocap"
    with pytest.raises(InputError, match="expected 2280"):
        thinned(table, protocols.li2018)


def test_profile(monkeypatch):
    """Else a reader's first run would take a day, or a run for the paper stop after a minute."""
    assert profile(1, 10, 50) == 1
    monkeypatch.setenv("SERLIB_PROFILE", "")
    assert profile(1, 10, 50) == 1
    for name, value in {"paper": 50, "lesson": 10, "quick": 1}.items():
        monkeypatch.setenv("SERLIB_PROFILE", name)
        assert serlib.profile(1, 10, 50) == profile(1, 10, 50) == value


def test_an_unknown_profile(monkeypatch):
    """Else a typing error would silently run the quick one."""
    monkeypatch.setenv("SERLIB_PROFILE", "papper")
    with pytest.raises(InputError, match="SERLIB_PROFILE=papper: set it to quick, lesson or paper"):
        profile(1, 10, 50)
    assert one_of("SERLIB_NOTHING", "one", "two") is None
