"""Checks of Scores, folds, and how sure."""

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

from serlib import metrics
from serlib.course.check import called, close, numbers
from serlib.errors import InputError


def exercise_1(answer):
    """Against the library's scores, utterance by utterance. Page: notebooks/f3."""
    for right, total in (([900, 0], [900, 100]), ([700, 70], [900, 100]), ([3, 5, 1], [4, 9, 7])):
        labels = np.repeat(range(len(total)), total)
        heard = np.concatenate(
            [[k] * r + [(k + 1) % len(total)] * (n - r) for k, (r, n) in enumerate(zip(right, total, strict=True))]
        )
        inputs = np.array(right), np.array(total)
        accuracy, uar = numbers(called(answer, *inputs), (2,), "what your function gives")
        if not close(accuracy, metrics.overall_accuracy(labels, heard)):
            return f"the accuracy is off for {right} right of {total}."
        if not close(uar, metrics.uar(labels, heard)):
            return f"the accuracy is right; the UAR is off for {right} right of {total}."


def exercise_2(answer):
    """The test itself, at the answer and just before. Page: notebooks/f3."""
    number = int(numbers(answer))
    if number % 5 or not 0 < number < 1000:
        raise InputError("the answer is a multiple of five, so that four in five is a whole number.")
    here, before = (_p_of(n) for n in (number, number - 5))
    if here >= 0.05:
        return f"of {number} that differ, four in five still give p = {here:.2f}."
    if before < 0.05:
        return "fewer are enough: try five less, and look at p."


def _p_of(number):
    wins = number * 4 // 5
    return mcnemar([[0, wins], [number - wins, 0]], exact=True).pvalue if number else 1


def exercise_3(answer):
    """Seven speakers, each of whom is heard worse than the one before, shuffled. Page: notebooks/f3."""
    draws = np.random.default_rng(3)
    order = draws.permutation([f"{n:02}" for n in range(7)])
    right = np.concatenate([np.arange(20) < 18 - 2 * place for place in range(7)])
    speakers, mixed = np.repeat(order, 20), draws.permutation(140)
    labels = draws.integers(0, 4, 140)
    heard = np.where(right, labels, (labels + 1) % 4)
    given = called(answer, labels[mixed], heard[mixed], speakers[mixed])
    if not isinstance(given, list | tuple | np.ndarray) or len(given) != 3:
        raise InputError("your function gives a list of three speakers.")
    if {*given} == {*order[:3]}:
        return "these are the three that are heard best."
    if [*given] != [*order[:3:-1]]:
        return "these are not the three with the smallest share of right answers, worst first."
