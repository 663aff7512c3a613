"""Checks of chapter 2, end to end, three tasks at once."""

import numpy as np
import torch
from scipy.stats import hmean
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from serlib.course.check import called, close, names, numbers, parts, seal

PARTS = {"front_end", "gru", "attention.0", "attention.1", "classify.0", "classify.1"}


def exercise_1(answer):
    """By the harmonic mean of the classes' sizes. Page: notebooks/02."""
    for sizes in ((328, 1211, 280), (527, 932, 360), (200, 200, 200)):
        if not close(numbers(called(answer, np.array(sizes))), 3 * hmean(sizes)):
            return f"classes of {sizes} utterances are worth another number; equal ones are worth all of them."


def exercise_2(answer):
    """By digests. Page: notebooks/02."""
    for part, given in zip(("states", "weights"), parts(answer, ("states", "weights")), strict=True):
        [given] = names(given, {"none", "all", "from the change on", "up to the change"}, part)
        if seal(f"2.2 {part}", given) not in ("4ab85ad0f58343de", "84ff57a8cf536799"):
            return f"not these {part}. Compare both runs, window by window."


def exercise_3(answer):
    """By digests. Page: notebooks/02."""
    parameters, left, right = parts(answer, ("parameters", "left", "right"))
    if seal("2.3", int(numbers(parameters))) != "f56d0642d3ad2e45":
        return "another number of parameters: only the first filter's taps are fewer."
    if seal("2.3", (int(numbers(left)), int(numbers(right)))) != "4ed332d63e4c3d42":
        return "the parameters are right, the zeros are not: 640 samples should give 640 values, one more on the right."


def exercise_4(answer):
    """Against every window by itself, and with fewer multiplications. Page: notebooks/02."""
    draws = torch.Generator().manual_seed(4)
    noise, taps, bias = (torch.randn(*shape, generator=draws) for shape in ((1, 2000), (8, 40), (8,)))
    windows = noise.unfold(1, 640, 160)
    scaled = (windows - windows.mean(-1, keepdim=True)) / windows.std(-1, keepdim=True)
    with FlopCounterMode(display=False) as apart:
        separate = linear(scaled.unfold(-1, 40, 1), taps, bias)
    with FlopCounterMode(display=False) as once:
        given = called(answer, noise, taps, bias, 640, 160)
    given = numbers(given, tuple(separate.shape), "what your function gives")
    if not np.allclose(given, separate, atol=1e-4):
        return "it is not what the convolution gives for each standardised window (`std` with n - 1, as torch has it)."
    if once.get_total_flops() > 0.6 * apart.get_total_flops():
        return "the numbers are right, but the convolution still runs over every window."


def exercise_5(answer):
    """By digests. Page: notebooks/02."""
    gradient, moved = (names(given, PARTS) for given in parts(answer, ("gradient", "moved")))
    if seal("2.5", gradient) != "dcd6398eb5ef1444":
        return "other parts get a gradient from the loss."
    if seal("2.5", moved) != "54f626adf2590557":
        return "the gradients are right; other parts move. What does weight decay do where the loss says nothing?"
