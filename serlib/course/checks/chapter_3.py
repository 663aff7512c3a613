"""Checks of chapter 3, attention over attention."""

import numpy as np
import torch
from scipy.signal import lfilter

from serlib.course.check import called, close, names, numbers, parts, seal
from serlib.papers.jalal2020 import spread


def exercise_1(answer):
    """Answers drawn at random, each class against the rest, counted. Page: notebooks/03."""
    sizes = np.array([170, 442, 384, 245])
    labels = np.repeat(range(4), sizes * 400)
    for chosen in ([0.25] * 4, [0, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]):
        heard = np.random.default_rng(1).choice(4, len(labels), p=chosen)
        ua, wa = numbers(called(answer, sizes, np.array(chosen)), (2,), "what your function gives")
        is_it, said = ((each[:, None] == range(4)) for each in (labels, heard))
        both = [
            (said == is_it).mean(),
            np.mean([(said[is_it[:, k], k].mean() + (~said[~is_it[:, k], k]).mean()) / 2 for k in range(4)]),
        ]
        for name, given, counted in zip(("UA", "WA"), (ua, wa), both, strict=True):
            if abs(given - counted) > 0.005:
                return f"the classes answered with probabilities {chosen}: {name} is off. It is a share, from 0 to 1."


def exercise_2(answer):
    """Against the same filter of scipy. Page: notebooks/03."""
    waveform = np.random.default_rng(2).normal(size=400)
    given = numbers(called(answer, waveform), (400,), "what your function gives")
    if not close(given[1:], lfilter([1, -0.97], [1], waveform)[1:]):
        return "from each sample, 0.97 times the one before is to be taken away."


def exercise_3(answer):
    """An example is looked at: attentions, gammas, and the two spreads. Page: notebooks/03."""
    attentions, gammas = parts(answer, ("attentions", "gammas"))
    attentions = numbers(attentions, (None, None), "attentions")
    gammas = numbers(gammas, (len(attentions),), "gammas")
    if len(attentions) < 2 or (attentions < 0).any() or not close(attentions.sum(1), 1):
        return "attentions: two rows or more, none of their weights negative, each row adding up to 1."
    if not (gammas > 0).all():
        return "gammas have to be positive."
    mixture, alone = spread(gammas @ attentions), np.mean([spread(row) for row in attentions])
    if mixture >= alone - 1e-9:
        return f"the mixture has a spread of {mixture:.3f}, the attentions {alone:.3f} on average: not smaller."


def exercise_4(answer):
    """By digests. Page: notebooks/03."""
    keys = ("summary, states shuffled", "scores, input shuffled")
    for key, given in zip(keys, parts(answer, keys), strict=True):
        [given] = names(given, {"same", "other"}, key)
        if seal(f"3.4 {key}", given) not in ("36c6e6b17d7db899", "1fabb25e9ad87046"):
            return f"{key}: try it. Which part of the network knows of an order?"


def exercise_5(answer):
    """Against the projection of every frame. Page: notebooks/03."""
    torch.manual_seed(5)
    project, states, weights = torch.nn.Linear(6, 3), torch.randn(1, 9, 6), torch.rand(1, 9)
    projections = []
    project.register_forward_hook(lambda layer, given, made: projections.append(made[..., 0].numel()))
    with torch.no_grad():
        given = numbers(called(answer, project, states, weights), (1, 3), "what your function gives")
        asked = list(projections)
        every = project(weights[..., None] * states).mean(1)
    if not close(given, every):
        return "it is not the mean over frames of their projections. Where does 1 / T go, and what of b?"
    if sum(asked) > 1:
        return "the value is right; now project once, and not every frame."
