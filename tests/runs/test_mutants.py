"""Which changes of the code the fingerprints notice: the table that `make mutants` prints."""

import mutants
import pytest


@pytest.fixture(autouse=True)
def warm(small_corpus, monkeypatch):
    monkeypatch.setenv("SERLIB_CACHE", str(small_corpus))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize("mutant", mutants.REAL, ids=lambda mutant: mutant.what)
def test_a_real_change_raises_the_alarm(mutant):
    """Else records would pass for today's code that it would not make."""
    status, line = mutants.noticed(mutant)
    assert status == mutants.ALARM
    assert line.startswith(f"{mutant.asked[0]}: ") and "was" in line


def test_what_computes_the_same_stays_silent():
    """Else nobody would rename, comment or move anything for fear of daggers."""
    asked = ("network zhang2019 OS+RNNs", "network jalal2020 CNN_LSTM", "network li2018 Conv1_10x2", "protocol li2018")
    assert mutants.silent(asked) == (mutants.SILENCE, "")


def test_a_change_that_finds_no_place_is_named(tmp_path):
    """Else a mutant of code that is no longer there would pass for noticed, or silent."""
    package = mutants.copy_of(mutants.ROOT / "serlib", tmp_path)
    with pytest.raises(ValueError, match="a filter: audio.py does not hold 'no such line'"):
        mutants.change(package, mutants.Mutant("a filter", "audio.py", "no such line", "", ()))
