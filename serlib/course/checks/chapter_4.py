"""Checks of chapter 4, learning to adapt."""

import numpy as np
import torch
from sklearn.metrics import mutual_info_score

from serlib.course.check import called, close, numbers, parts
from serlib.errors import InputError
from serlib.papers.cai2020 import meta_gradients, practise

CASES = ((0.5, 0.1, (2.0, 3.0), (1.5, 1.0)), (-1.0, 0.05, (1.0, 0.5), (3.0, -2.0)))  # w, rate, support, query


def _half_square(weights, x, y):
    return ((weights["w"] * x - y) ** 2 / 2).sum()


def _tensors(w, rate, support, query):
    start = {"w": torch.tensor(w, dtype=torch.float64)}
    return start, *([torch.tensor(v, dtype=torch.float64) for v in pair] for pair in (support, query)), rate


def exercise_1(answer):
    """Against the gradient that torch finds through both steps. Page: notebooks/04."""
    for w, rate, support, query in CASES:
        start, own, asked, rate = _tensors(w, rate, support, query)
        [found] = meta_gradients("maml", _half_square, start, own, asked, rate, 2)
        [short] = meta_gradients("fomaml", _half_square, start, own, asked, rate, 2)
        given = numbers(called(answer, w, *support, *query, rate), (), "what your function gives")
        if close(given, short["w"]):
            return "that is FOMAML's gradient: the factors are missing."
        if not close(given, found["w"]):
            return f"for w = {w}, support {support}, query {query} and a rate of {rate} it is off."


def exercise_2(answer):
    """Against the two steps, taken. Page: notebooks/04."""
    for w, rate, first, second in CASES:
        start, one, two, rate = _tensors(w, rate, first, second)
        there = practise(_half_square, practise(_half_square, start, one, rate, 1), two, rate, 1)
        given = numbers(called(answer, w, *first, *second, rate), (), "what your function gives")
        moved = (start["w"] - there["w"]).item() / rate
        if not close(given, moved):
            return f"for w = {w} and a rate of {rate}, the way taken over the rate is off by {abs(given - moved):.2g}."


def exercise_3(answer):
    """No other answer has a smaller loss, and the loss is that answer's. Page: notebooks/04."""
    loss, shares = parts(answer, ("loss", "shares"))
    loss, shares = numbers(loss, (), "the loss"), numbers(shares, (4,), "shares")
    if not np.isclose(shares.sum(), 1, atol=0.02) or (shares < 0).any():
        raise InputError("shares: a probability for each of the four bins.")
    others = np.random.default_rng(3).dirichlet(np.full(4, 0.3), 10_000).clip(1e-12)
    least = -np.log(others[:, [0, 3]]).mean(1).min()
    own = -np.log(shares[[0, 3]].clip(1e-12)).mean()
    if own > least + 0.01:
        return f"with bins 0 and 3 your shares have a loss of {own:.2f}; there are better ones."
    if abs(loss - own) > 0.01:
        return f"the shares are right; their mean loss, in nats, is not {loss:.2f}."


def exercise_4(answer):
    """Eight equal classes are three bits; what two columns share is their mutual information. Page: notebooks/04."""
    if not close(called(answer, np.arange(800) % 8), 3):
        return "eight classes, each as frequent, should have 3 bits."
    draws = np.random.default_rng(4)
    one = draws.integers(0, 4, 500)
    two = (one + draws.integers(0, 2, 500)) % 4
    alone, joint = called(answer, one) + called(answer, two), called(answer, one, two)
    if not close(alone - numbers(joint), mutual_info_score(one, two) / np.log(2)):
        return "one column is right; of two, count how often each *pair* occurs."


def exercise_5(answer):
    """The loss, the gradients and the weights that came of levels which are all -1. Page: notebooks/04."""
    loss, gradients, before, after = parts(answer, ("loss", "gradients", "before", "after"))
    if not all(isinstance(each, dict) and each for each in (gradients, before, after)):
        raise InputError("gradients, before and after are dictionaries of tensors, by the names of the weights.")
    if not gradients.keys() == before.keys() == after.keys():
        raise InputError("gradients, before and after should have the same names.")
    if not np.isfinite(numbers(loss)) or not all(torch.isfinite(each).all() for each in gradients.values()):
        return "the loss or a gradient is not finite."
    if numbers(loss) != 0 or any(each.any() for each in gradients.values()):
        return "somebody was rated: are all levels -1?"
    if after is before or not all(torch.equal(after[name], before[name]) for name in before):
        return "take a step of `descend` from the old weights, and keep both."
