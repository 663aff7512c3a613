"""Who is tested when: groups share nobody and leave nobody out, and a fold's sides are what they are called."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib.errors import InputError
from serlib.protocols.folds import (
    Folds,
    both_ways,
    dealt,
    five_parts,
    has_sessions,
    one_each,
    session_parts,
    sides_of,
    with_next,
)
from serlib.protocols.tasks import Task

properties = settings(max_examples=60, deadline=None, database=None, derandomize=True)
some_units = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=30).map(pd.Series)


def rows(*pairs):
    """A table of (speaker, session)."""
    return pd.DataFrame(pairs, columns=["speaker", "session"], dtype="string")


def pairs(number):
    """So many sessions of two speakers, two rows each."""
    return rows(*[(f"s{2 * n + who}", f"day{n}") for n in range(number) for who in (0, 1) for _ in range(2)])


def assert_partition(groups, units):
    """Each row is in one group, and no unit is in two."""
    assert sorted(row for _, rows in groups for row in rows) == [*range(len(units))]
    assert all(rows.tolist() == sorted(rows) for _, rows in groups)
    names = [{*units.iloc[rows]} for _, rows in groups]
    assert sum(map(len, names)) == units.nunique()
    assert [name.split("+") for name, _ in groups] == [sorted(group) for group in names]


@properties
@given(some_units, st.integers(0, 12))
def test_groups_share_nobody_and_leave_nobody_out(units, number):
    """Else somebody would be trained and tested on, or tested never; or groups be of very different sizes."""
    groups = dealt(units, number)
    assert_partition(groups, units)
    assert len(groups) == min(max(1, number), units.nunique())
    sizes = [units.iloc[rows].nunique() for _, rows in groups]
    assert max(sizes) - min(sizes) <= 1
    each = one_each(units)
    assert_partition(each, units)
    assert [name for name, _ in each] == sorted({*units})


@properties
@given(some_units, st.integers(2, 12))
def test_with_next(units, number):
    """Else a group would be tested twice or never, or be chosen on while it is tested."""
    groups = dealt(units, number)
    sides = with_next(groups)
    assert [name for name, *_ in sides] == [name for name, _ in groups]
    for (_, test, choose), (_, mask), (_, following) in zip(sides, groups, groups[1:] + groups[:1], strict=True):
        assert test is mask and choose is following
        assert len(groups) == 1 or not {*test} & {*choose}


@properties
@given(some_units, st.integers(2, 12), st.booleans())
def test_folds_are_made_when_they_are_asked_for(units, number, chosen_on):
    """Else a fold would depend on how it is asked for, or train on what it tests or is chosen on."""
    groups = dealt(units, number)
    folds = Folds(len(units), with_next(groups) if chosen_on else groups)
    assert len(folds) == len(groups) and [fold.name for fold in folds] == [name for name, _ in groups]
    for number, fold in enumerate(folds):
        held = {*fold.test} | {*fold.validation}
        assert {*fold.train} == {*range(len(units))} - held and fold.train.tolist() == sorted(fold.train)
        assert bool(len(fold.validation)) == chosen_on and fold.normalise is fold.train
        assert folds[number].test is fold.test and folds[: number + 1][-1].name == fold.name
    assert [fold.name for fold in folds[::-1]] == [name for name, _ in groups][::-1]
    with pytest.raises(IndexError):
        folds[len(groups)]
    for dealt_out, made in zip(sides_of(folds, len(units)), sides_of([*folds], len(units)), strict=True):
        assert dealt_out[0] == made[0] and all(map(np.array_equal, dealt_out[1:], made[1:]))


@pytest.mark.parametrize("speakers", [500, 1000])
def test_many_folds_are_looked_through(speakers, monkeypatch):
    """Else forty thousand speakers would take the square of their rows: what is looked at grows with the speakers."""
    units = pd.Series([f"s{number:05}" for number in range(speakers)])
    folds = Folds(speakers, with_next(one_each(units)))
    task = Task("p", "c", pd.DataFrame({"speaker": units}), np.zeros(speakers, int), ("one",), folds)
    monkeypatch.setattr(Folds, "__getitem__", lambda *_: pytest.fail("a fold was made, with all of its rows"))
    assert sum(len(rows) for _, *sides in sides_of(folds, speakers) for rows in sides) == 6 * speakers
    sides = task.sides()
    assert (sides[["trained on", "chosen on", "tested on"]] == [speakers - 2, 1, 1]).all(axis=None)
    assert [*sides["test speakers"]] == [*units] and not sides["speakers on both sides"].any()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (pairs(3), True),
        (pairs(1), False),  # one session cannot be left out
        (rows(("a", None), ("b", None)), False),
        (rows(("a", "1"), ("b", "2"), ("c", None)), False),
        (rows(("a", "1"), ("a", "2"), ("b", "2")), False),  # who is in two is on both sides
        (rows(("a", "1"), ("b", "2")), True),
    ],
)
def test_has_sessions(table, expected):
    """Else to leave out a session would leave a speaker of it in training."""
    assert has_sessions(table) == expected
    names = {name for name, _ in session_parts(table, 9)}
    assert names == {*table["session" if expected else "speaker"]}


@properties
@given(st.integers(1, 12), st.booleans())
def test_five_parts(number, sessions):
    """Else the fixed partitions of two papers would have other than five parts, or split a session."""
    table = pairs(number) if sessions else pairs(number).assign(session=pd.NA)
    unit = "session" if sessions and number > 1 else "speaker"
    if table[unit].nunique() < 5:
        with pytest.raises(InputError, match=f"^paper needs five sessions, .*found {table[unit].nunique()}"):
            five_parts(table, "paper")
        return
    groups = five_parts(table, "paper")
    assert len(groups) == 5
    assert_partition(groups, table[unit])


@properties
@given(st.integers(2, 8), st.booleans())
def test_both_ways(number, sessions):
    """Else one speaker of a session would never be tested, or a partner be trained on."""
    table = pairs(number) if sessions else pairs(number).assign(session=pd.NA)
    sides = both_ways(table)
    assert sorted(row for _, test, _ in sides for row in test) == [*range(len(table))]
    for (name, test, choose), (_, other_test, other_choose) in zip(sides[::2], sides[1::2], strict=True):
        assert test is other_choose and choose is other_test and not {*test} & {*choose}
        assert not {*table["speaker"][test]} & {*table["speaker"][choose]}
        assert name.split("+") == sorted({*table["speaker"][test]})
        if sessions:
            assert table["session"][[*test, *choose]].nunique() == 1
    with pytest.raises(InputError, match="one speaker is tested and one chosen on, and day9 has one only"):
        both_ways(pd.concat([pairs(2), rows(("s9", "day9"))], ignore_index=True))
