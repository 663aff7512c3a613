"""Exercises and their checks: a starter is no answer, a solution is right, a wrong answer is told what is off."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from serlib.course import check
from serlib.course.check import exercises
from serlib.errors import InputError

ROOT = Path(__file__).parents[1]
COMPARED = "nbval-check-output"


def notebook_of(exercise):
    place = exercise.split(".")[0]
    [path] = (ROOT / "notebooks").glob(f"{place if place[0] == 'f' else f'0{place}'}_*.ipynb")
    return path


def last_line(cell):
    output = cell.outputs[-1]
    return (output.get("text") or output["data"]["text/plain"]).strip().splitlines()[-1]


@pytest.mark.parametrize("exercise", exercises())
def test_the_starter_is_no_answer_and_the_solution_is_right(exercise):
    """Else a reader who changed nothing would be told that it is right, or one who copied the solution that it is not.

    Looked at in the committed outputs, which nbval computes again and compares.
    """
    number = exercise.split(".")[1]
    cells = {cell.id: cell for cell in nbformat.read(notebook_of(exercise), as_version=4).cells}
    starter = cells[f"try-{number}"]
    assert "..." in starter.source and f'check("{exercise}"' in starter.source
    assert last_line(starter) == f"{exercise}: no answer yet." and COMPARED in starter.metadata.tags
    solution = cells.get(f"right-{number}", cells[f"solution-{number}"])  # apart where its numbers cannot be compared
    assert solution.source.splitlines()[-1].startswith(f'check("{exercise}", ')
    assert last_line(solution) == f"{exercise}: right." and COMPARED in solution.metadata.tags
    order = [*cells]
    assert order.index(starter.id) + 1 == order.index(f"solution-{number}")


def test_every_starter_has_a_check():
    """Else a cell would ask for a check that is not there, or a check be called by nobody."""
    asked = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        place = path.stem.split("_")[0].lstrip("0")
        ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
        asked |= {f"{place}.{name.removeprefix('try-')}" for name in ids if name.startswith("try-")}
    assert asked == {*exercises()}


def by_the_others(numbers, meant, actors):
    """Gives every row its own label: as if each actor had been trained on."""
    return meant


WRONG = {
    "f1.1": lambda tone, rate: tone - rate / 2,
    "f1.2": lambda low, high: 12 * (high - low) / low,
    "f1.3": {"level (dB)"},
    "f1.4": dict.fromkeys(
        ("pitch (Hz)", "range (semitones)", "level (dB)", "duration (s)", "tilt (dB)", "clearness (dB)"), float("nan")
    ),
    "f2.1": {"number": 41, "emotion": "anger"},
    "f2.2": [[46, 4], [4, 46]],
    "f2.3": lambda ratings, number: pd.concat([ratings, ratings.head(number)]),
    "f2.4": lambda votes: votes.stack().value_counts().index[:2].tolist(),
    "f3.1": lambda right, total: ((right / total).mean(), right.sum() / total.sum()),
    "f3.2": 20,
    "f3.3": lambda labels, heard, speakers: (
        pd.Series(labels == heard).groupby(speakers).mean().nlargest(3).index.tolist()
    ),
    "f4.1": lambda x, begin: x[:, :10],
    "f4.2": lambda x: x / x.std(0),
    "f4.3": by_the_others,
    "1.1": lambda seconds, dft: (dft // 2, 100 * seconds),
    "1.2": lambda labels: (1 / len({*labels}), np.bincount(labels).max() / len(labels)),
    "1.3": lambda x, a, b, c, d: ((x @ (a + c)) * (x @ (b + d))).sum(),
    "1.4": lambda weights, samples: 1 - samples / 32000,
    "1.5": lambda logits: [each.softmax(-1).mean(0).argmax() for each in logits],
    "2.1": lambda sizes: sizes.sum(),
    "2.2": {"states": "all", "weights": "all"},
    "2.3": {"parameters": 705_779, "left": 19, "right": 20},
    "2.4": lambda samples, taps, bias, window, hop: (
        samples.unfold(1, window, hop).unfold(-1, taps.shape[1], 1) @ taps.T + bias
    ),
    "2.5": {"gradient": {"front_end"}, "moved": {"front_end"}},
    "3.1": lambda sizes, chosen: ((sizes * chosen).sum() / sizes.sum(), 0.5),
    "3.2": lambda waveform: waveform - 0.97 * np.roll(waveform, -1),
    "3.3": {"attentions": [[0.5, 0.5], [0.5, 0.5]], "gammas": [1, 1]},
    "3.4": {"summary, states shuffled": "same", "scores, input shuffled": "same"},
    "3.5": lambda project, states, weights: project((weights[..., None] * states).sum(1)),
    "4.1": lambda w, xs, ys, xq, yq, rate: 0.0,
    "4.2": lambda w, xs, ys, xq, yq, rate: xs * (w * xs - ys) + xq * (w * xq - yq),
    "4.3": {"loss": 0.0, "shares": [1, 0, 0, 0]},
    "4.4": lambda *columns: sum(-np.sum(p * np.log2(p)) for c in columns for p in [np.bincount(c) / len(c)]),
    "5.1": lambda frames: int(np.log2(frames)),
    "5.2": lambda frames: 1 - 1 / frames,
    "5.3": dict.fromkeys(("spread", "likeness of neighbouring rows", "change from column to column"), "survives"),
    "5.4": lambda seconds, maps, bytes_each: maps * bytes_each * 100 * seconds,
    "5.5": lambda weights, units, targets: ((units @ weights - targets) ** 2).sum(),
    "4.5": {name: {"w": torch.ones(1)} for name in ("gradients", "before", "after")} | {"loss": 0.0},
}


@pytest.mark.parametrize("exercise", exercises())
def test_a_wrong_answer_is_told_what_is_off(exercise):
    """Else the mistake that is made most often would pass, or be told nothing."""
    said = check(exercise, WRONG[exercise])
    assert not said and repr(said).startswith(f"{exercise}: not yet: ") and "\n" not in repr(said)
    assert len(repr(said)) > len(f"{exercise}: not yet: ") + 20


def test_every_check_is_told_a_wrong_answer():
    assert {*WRONG} == {*exercises()}


@pytest.mark.parametrize("exercise", exercises())
@pytest.mark.parametrize(
    "answer", ["twelve", object(), [[1], [2, 3]], {}, lambda: 1], ids=lambda answer: type(answer).__name__
)
def test_an_answer_of_another_form_is_refused_in_one_line(exercise, answer):
    """Else a reader would get a traceback out of the library, and think that the answer was wrong."""
    try:
        said = check(exercise, answer)
    except InputError as error:
        assert str(error).startswith(f"Exercise {exercise}: ") and "\n" not in str(error)
    else:
        assert not said


@pytest.mark.parametrize("exercise", exercises())
def test_what_is_not_there_yet_is_no_mistake(exercise):
    for nothing in (..., None):
        assert repr(check(exercise, nothing)) == f"{exercise}: no answer yet."


@pytest.mark.parametrize("exercise", ["1.9", "9.1", "f9.1", "", "one", 1.1, None, "../1.1"])
def test_an_exercise_that_is_not_there_is_named(exercise):
    with pytest.raises(InputError, match=r"There is no exercise .* with a check\. There are 1\.1"):
        check(exercise, 1)


def test_the_reader_s_own_mistake_is_shown():
    """Else a slip in the function would look like a fault of the check."""
    with pytest.raises(InputError, match="Exercise f1.1: your function raised ZeroDivisionError"):
        check("f1.1", lambda tone, rate: tone / 0)
    with pytest.raises(InputError, match=r"should be a single number, and has shape \(2,\)"):
        check("f1.1", lambda tone, rate: [tone, rate])
