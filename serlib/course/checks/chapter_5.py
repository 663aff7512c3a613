"""Checks of chapter 5, attention learned from speech recognition."""

import numpy as np
import torch

from serlib.course.check import called, close, names, numbers, parts, seal
from serlib.papers.zhao2021 import receptive_field, transfer_loss


def exercise_1(answer):
    """Against the receptive field of that many layers, and of one fewer. Page: notebooks/05."""
    for frames in (300, 50, 4):
        layers = int(numbers(called(answer, frames), (), "what your function gives"))
        if not 0 < layers < 30:
            return f"for {frames} frames it takes neither {layers} layers nor anything like it."
        here, before = (
            receptive_field(2, [2**n for n in range(count)], convolutions=1) for count in (layers, layers - 1)
        )
        if here < frames:
            return f"{layers} layers hear {here} frames, not yet {frames}."
        if before >= frames:
            return f"{frames} frames are heard with fewer layers."


def exercise_2(answer):
    """Against the distance of two such maps. Page: notebooks/05."""
    for frames in (2, 10, 450):
        even, single = torch.full((1, frames, frames), 1 / frames), torch.eye(frames)[None]
        measured = transfer_loss(even, single, torch.tensor([frames]))
        if not close(numbers(called(answer, frames), (), "what your function gives"), measured):
            return f"of {frames} frames it is off. Add up the differences of a row: one large one, and the rest."


def exercise_3(answer):
    """By digests. Page: notebooks/05."""
    keys = ("spread", "likeness of neighbouring rows", "change from column to column")
    for key, given in zip(keys, parts(answer, keys), strict=True):
        [given] = names(given, {"survives", "does not"}, key)
        if seal(f"5.3 {key}", given) not in ("3ecc290ebbf77cb9", "0672985b59f166b2", "52cf5bf5101fa250"):
            return f"{key}: measure it before and after."


def exercise_4(answer):
    """Against arrays of that size. Page: notebooks/05."""
    for seconds, maps, kind in ((34, 1, np.float16), (34, 32, np.float32), (2, 3, np.float64)):
        frames = 100 * seconds
        whole = np.broadcast_to(np.zeros((), kind), (maps, frames, frames)).nbytes
        given = numbers(called(answer, seconds, maps, np.dtype(kind).itemsize), (), "what your function gives")
        if not close(given, whole):
            return f"{maps} maps of {seconds} s in {np.dtype(kind).name}: another number of bytes."


def exercise_5(answer):
    """Small at the solution, larger all around it, and what it is by hand in a case of one unit. Page: notebooks/05."""
    draws = np.random.default_rng(5)
    units, targets = draws.normal(size=(40, 6)), np.eye(4)[draws.integers(0, 4, 40)]
    best = np.linalg.lstsq(np.vstack([units, 0.1 * np.eye(6)]), np.vstack([targets, np.zeros((6, 4))]), rcond=None)[0]
    least = numbers(called(answer, best, units, targets), (), "what your function gives")
    for size in (1e-3, 1e-1):
        near = (best + draws.normal(0, size, best.shape) for _ in range(30))
        if not all(called(answer, each, units, targets) > least for each in near):
            return (
                "there are weights beside the least-squares solution whose error is not larger: is the penalty in it?"
            )
    one = numbers(
        called(answer, np.full((1, 1), 2.0), np.ones((1, 1)), np.zeros((1, 1))), (), "what your function gives"
    )
    if not close(one, 4.04):
        return (
            "one unit at 1, a weight of 2, a target of 0: its squared error and its penalty add up to something else."
        )
