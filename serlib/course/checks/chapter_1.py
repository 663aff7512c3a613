"""Checks of chapter 1, attention pooling."""

import numpy as np
import torch

from serlib.audio import RATE
from serlib.course.check import called, close, numbers
from serlib.features import spectrogram


def exercise_1(answer):
    """Against what the library's spectrogram has. Page: notebooks/01."""
    for seconds, dft in ((2, 1600), (3, 800), (1, 3200)):
        given = numbers(called(answer, seconds, dft), (2,), "what your function gives")
        off = given != spectrogram(np.zeros((1, seconds * RATE)), dft=dft).shape[1:]
        if off.any():
            return f"of {seconds} s and a DFT of {dft} the number of {'bins' if off[0] else 'frames'} is off."


def exercise_2(answer):
    """On labels of which the shares are known. Page: notebooks/01."""
    for sizes in ((5, 3, 2), (1, 1, 6, 2), (2, 8)):
        labels = np.random.default_rng(2).permutation(np.repeat(range(len(sizes)), sizes))
        accuracy, recall = numbers(called(answer, labels), (2,), "what your function gives")
        if not close(accuracy * 10, max(sizes)):
            return f"classes of {sizes} utterances: the accuracy is off. It is a share, from 0 to 1."
        if not close(recall * len(sizes), 1):
            return f"classes of {sizes} utterances: the UAR is off. How many of each class are found?"


def exercise_3(answer):
    """Against the score of the whole matrix. Page: notebooks/01."""
    draws = torch.Generator().manual_seed(3)
    x = torch.randn(7, 5, dtype=torch.float64, generator=draws)
    a, b, c, d = torch.randn(4, 5, dtype=torch.float64, generator=draws)
    given = numbers(called(answer, x, a, b, c, d), (), "what your function gives")
    if not close(given, torch.trace(x.T @ x @ (torch.outer(a, b) + torch.outer(c, d)).T)):
        return "the two poolings do not add up to the score of the whole matrix."


def exercise_4(answer):
    """On maps whose weight lies at known places. Page: notebooks/01."""
    even = torch.full((1, 100, 50), 1 / 5000)
    for milliseconds in (400, 1000, 1960):
        given = numbers(called(answer, even, milliseconds * RATE // 1000), (), "what your function gives")
        if not close(given, 1 - milliseconds / 2000):
            return f"of an even map, and a sound of {milliseconds} ms, another share lies behind the end."
    single = torch.zeros(1, 100, 50)
    single[0, 99, 9] = 1
    if not close(called(answer, single, RATE * 4 // 10), 0):
        return "a place in the last column that has sound does not lie behind the end."


def exercise_5(answer):
    """On three segments of which probabilities and scores think otherwise. Page: notebooks/01."""
    logits = [torch.tensor([[12.0, 0, 0, 0], [0, 5, 0, 0], [0, 5, 0, 0]]), torch.tensor([[0.0, 0, 3, 0]])]
    given = numbers(called(answer, logits), (2,), "what your function gives")
    if given[1] != 2:
        return "an utterance of a single segment is that segment's class; give a class number for each utterance."
    if given[0] != 0:
        return "that is the class by the mean of the probabilities, not of the scores."
