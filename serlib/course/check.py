"""Feedback on exercises: `check("1.2", answer)`. What it looks at lies in serlib/course/checks, a module a chapter."""

import hashlib
import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from serlib.course import checks
from serlib.errors import InputError


@dataclass(frozen=True)
class Feedback:
    """What is said of an answer; true where it is right. Page: book/course."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


class NoAnswer(Exception):
    """The answer, or what its function gives, is still `...` or None. Page: book/how_it_is_built."""


def check(exercise: str, answer: Any) -> Feedback:
    """Say whether the answer to an exercise is right, or what is off.

    `exercise` is "1.2" for the second of chapter 1, "f1.2" of the first foundation. The answer is what its starter cell
    asks for, mostly a function. Raises InputError where there is no such exercise, the answer has another type or
    shape, or its function raises. Page: book/course.
    """
    look = _check_of(exercise)
    try:
        if answer is None or answer is ...:
            raise NoAnswer
        off = look(answer)
    except NoAnswer:
        return Feedback(False, f"{exercise}: no answer yet.")
    except InputError as error:
        raise InputError(f"Exercise {exercise}: {error}") from error.__cause__
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise InputError(f"Exercise {exercise}: the answer has another form than asked for ({error}).") from error
    return Feedback(not off, f"{exercise}: {f'not yet: {off}' if off else 'right.'}")


def exercises() -> list[str]:
    """The exercises that have a check. Page: book/how_it_is_built."""
    found = []
    for module in sorted(each.name for each in pkgutil.iter_modules(checks.__path__)):
        place = ("f" if module.startswith("foundation") else "") + module.split("_")[1]
        names = vars(importlib.import_module(f"{checks.__name__}.{module}"))
        found += [f"{place}.{name.split('_')[1]}" for name in names if name.startswith("exercise_")]
    return found


def _check_of(exercise: str) -> Callable[[Any], str | None]:
    if exercise not in exercises():
        raise InputError(f"There is no exercise {exercise!r} with a check. There are {', '.join(exercises())}.")
    foundation, chapter, number = re.fullmatch(r"(f?)(\d+)\.(\d+)", exercise).groups()
    module = f"{checks.__name__}.{'foundation' if foundation else 'chapter'}_{chapter}"
    return getattr(importlib.import_module(module), f"exercise_{number}")


def called(answer: Any, *inputs: Any) -> Any:
    """What a reader's function gives for some inputs.

    Raises NoAnswer where that is nothing, InputError where it is no function, or raises. Page: book/how_it_is_built.
    """
    if not callable(answer):
        raise InputError(
            f"the answer is a function, not a {type(answer).__name__}; its starter cell has the first line."
        )
    try:
        given = answer(*inputs)
    except Exception as error:
        raise InputError(f"your function raised {type(error).__name__}: {error}") from error
    if given is None or given is ...:
        raise NoAnswer
    return given


def numbers(given: Any, shape: tuple[int | None, ...] = (), what: str = "the answer") -> np.ndarray:
    """Numbers, arrays or tensors as an array of a shape, in which None is any size.

    Raises InputError where they are none, or of another shape. Page: book/how_it_is_built.
    """
    try:
        array = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} should be made of numbers, not a {type(given).__name__}.") from error
    if len(array.shape) != len(shape) or any(b not in (a, None) for a, b in zip(array.shape, shape, strict=True)):
        wanted = f"of shape {tuple('any' if b is None else b for b in shape)}" if shape else "a single number"
        raise InputError(f"{what} should be {wanted}, and has shape {array.shape}.".replace("'any'", "any"))
    return array


def names(given: Any, allowed: set[str], what: str = "the answer") -> set[str]:
    """A set of names, each one of those that are allowed. Raises InputError. Page: book/how_it_is_built."""
    given = {given} if isinstance(given, str) else given
    if not isinstance(given, set | frozenset | list | tuple) or not all(each in [*allowed] for each in given):
        raise InputError(f"{what} should be made of the names {', '.join(sorted(allowed))}.")
    return {*given}


def parts(given: Any, keys: tuple[str, ...]) -> list[Any]:
    """The values of a dictionary with just these keys. Raises InputError, or NoAnswer for one that is `...`.

    Page: book/how_it_is_built.
    """
    if not isinstance(given, dict) or given.keys() != {*keys}:
        raise InputError(f"the answer is a dictionary with the keys {', '.join(keys)}.")
    if any(given[key] is None or given[key] is ... for key in keys):
        raise NoAnswer
    return [given[key] for key in keys]


def close(one: Any, other: Any) -> bool:
    """Whether numbers agree to a thousandth. Page: book/how_it_is_built."""
    return bool(np.allclose(one, other, rtol=1e-3, atol=1e-6))


def seal(exercise: str, answer: Any) -> str:
    """A digest by which an answer is known and cannot be read; of a set in any order. Page: book/how_it_is_built."""
    answer = sorted(answer) if isinstance(answer, set) else answer
    return hashlib.sha256(f"Hearing Emotion {exercise}: {answer}".encode()).hexdigest()[:16]
