"""Checks of A first recogniser."""

import numpy as np

from serlib.baselines import functional_names
from serlib.course.check import called, numbers


def exercise_1(answer):
    """The columns that come back are counted in the names. Page: notebooks/f4."""
    for begin in ("F0", "loudness", "F1"):
        x = np.tile(np.arange(88.0), (3, 1))
        given = numbers(called(answer, x, begin), (3, None), "what your function gives")
        kept = [functional_names()[int(column)] for column in given[0]]
        if wrong := [name for name in kept if not name.startswith(begin)]:
            return f"{wrong[0]} does not begin with {begin}."
        if len(kept) < sum(name.startswith(begin) for name in functional_names()):
            return f"more than {len(kept)} names begin with {begin}."


def exercise_2(answer):
    """Of every column the mean is 0 and the deviation 1, over all rows. Page: notebooks/f4."""
    x = np.random.default_rng(2).normal([5, -3, 0], [1, 10, 0.1], (50, 3))
    given = numbers(called(answer, x), (50, 3), "what your function gives")
    if not np.allclose(given.mean(0), 0, atol=1e-6):
        return "the mean of each column, over all rows, should be 0."
    if not np.allclose(given.std(0), 1, atol=1e-2):
        return "the deviation of each column, over all rows, should be 1."


def exercise_3(answer):
    """Four actors: three mean the same by a sign, the fourth the opposite, which only a leak can know.

    Page: notebooks/f4.
    """
    draws = np.random.default_rng(3)
    actors, meant = np.repeat(list("abcd"), 12), np.tile([0, 1], 24)
    sign = np.where(meant == 1, 1.0, -1.0)
    of_all = np.where(actors == "d", -sign, sign) + draws.normal(0, 0.1, 48)
    own = sign[:, None] * (actors[:, None] == np.array(list("abcd")))  # heard of nobody else
    heard = numbers(called(answer, np.column_stack([of_all, own]), meant, actors), (48,), "what your function gives")
    right = heard == meant
    if right[actors == "d"].any():
        return "somebody's odd habits were known: was each actor's machine trained without that actor?"
    if not right[actors != "d"].all():
        return "what can be learned from the other actors was not: is each trained on *all* the others?"
