"""Phonemes of a text, against what a dictionary of the language says."""

import pytest

from serlib.corpora.phonemes import phonemes


def test_words_of_two_languages():
    """Else a recogniser would learn to write English phones for German words, or stress marks, or language switches."""
    assert phonemes("Der Lappen liegt auf dem Eisschrank.", "de") == [
        *("d", "E", "r", "|", "l", "a", "p", "@", "n", "|", "l", "i:", "k", "t", "|", "aU", "f", "|"),
        *("d", "e:", "m", "|", "aI", "s", "C", "r", "a", "N", "k"),
    ]
    assert phonemes("curtains") == ["k", "3:", "t", "@", "n", "z"]


def test_what_is_no_word_is_not_said():
    """Else a transcript of nothing but marks would become phones, or an apostrophe cut a word in two."""
    assert phonemes("") == phonemes("... 12 --") == []
    assert phonemes("it's") == phonemes("It\u2019s!") == ["I", "t", "s"]


def test_an_unknown_voice_is_named():
    """Else a language that espeak-ng lacks would be spoken as another one."""
    with pytest.raises(ValueError, match="no voice 'xx-none'"):
        phonemes("word", "xx-none")
