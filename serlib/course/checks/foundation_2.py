"""Checks of What is an emotion label?"""

import numpy as np
import pandas as pd

from serlib.course.check import called, names, numbers, parts, seal
from serlib.errors import InputError
from serlib.metrics import krippendorff_alpha

EMOTIONS = {"anger", "anxiety", "boredom", "disgust", "happiness", "neutral", "sadness"}


def exercise_1(answer):
    """By digests. Page: notebooks/f2."""
    number, emotion = parts(answer, ("number", "emotion"))
    number = int(numbers(number, (), "the number"))
    if seal("f2.1", number) != "ec0085cc52797791":
        return "the number is another. Those with exactly 60 do not fall short."
    if [seal("f2.1", name) for name in names(emotion, EMOTIONS, "the emotion")] != ["c6ac858ca5a9cea1"]:
        return "the number is right, the emotion is not."


def exercise_2(answer):
    """A hundred calls, 92 alike, and kappa from its definition. Page: notebooks/f2."""
    counts = numbers(answer, (2, 2), "the table")
    if (counts < 0).any() or counts.sum() != 100 or counts.trace() != 92:
        return "the table should hold 100 calls, 92 of them on the diagonal."
    chance = counts.sum(0) @ counts.sum(1) / 100**2
    if (0.92 - chance) >= 0.3 * (1 - chance):
        return f"that table has a kappa of {(0.92 - chance) / (1 - chance):.2f}: make chance agree more often."


def exercise_3(answer):
    """Rows were added that hold one vote each, and alpha stays. Page: notebooks/f2."""
    before = pd.DataFrame({"Anna": list("AAHNSN"), "Ben": list("AHHNSS")})
    after = called(answer, before.copy(), 4)
    if not isinstance(after, pd.DataFrame) or {*after.columns} != {*before.columns}:
        raise InputError("your function gives a table with the same raters.")
    if len(after) != 10 or sorted(after.notna().sum(axis=1)) != [1] * 4 + [2] * 6:
        return "asked for four utterances with a single vote, it should add four rows with one word each."
    if not np.isclose(krippendorff_alpha(before), krippendorff_alpha(after)):
        return "alpha has changed: were the six utterances left as they were?"


def exercise_4(answer):
    """On votes of which it is known which words were mixed most often. Page: notebooks/f2."""
    words = np.random.default_rng(4).permutation(["red", "green", "blue"])
    rows = [[0, 1, 1]] * 5 + [[2, 0, 0]] * 4 + [[1, 2, 2]] * 3 + [[0, 1, 2]] + [[2, 2, 2]] * 9
    votes = pd.DataFrame([[words[i] for i in row] for row in rows], columns=["one", "two", "three"])
    given = names(called(answer, votes), {*words}, "what your function gives")
    if len(given) != 2:
        return "your function should give two words."
    if given != {*words[:2]}:
        return "an utterance counts once for two words, however many raters chose either; equal words do not count."
