"""Quizzes: each chapter has one, every option says why, and exactly one is right; a broken one stops the build."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def quiz():
    spec = importlib.util.spec_from_file_location("quiz", ROOT / "book" / "tools" / "_ext" / "quiz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_asks_five_questions(quiz, chapter):
    """Else a reader could not tell whether a chapter was understood."""
    questions = quiz.questions_in((quiz.QUIZZES / f"{chapter}.yml").read_text("utf-8"), chapter)
    assert len(questions) == 5 and len({each["question"] for each in questions}) == 5
    for each in questions:
        texts, reasons = zip(*((option["text"], option["why"]) for option in each["options"]), strict=True)
        assert len({*texts}) == len(texts) >= 3 and len({*reasons}) == len(texts)


def test_every_quiz_is_some_page_s(quiz):
    """Else a quiz would be written, tested, and seen by nobody."""
    assert {path.stem for path in quiz.QUIZZES.iterdir()} <= {*CHAPTERS}


def test_the_right_option_has_no_place_of_its_own(quiz):
    """Else whoever always takes the first, or the second, would pass."""
    places = []
    for path in quiz.QUIZZES.iterdir():
        for each in quiz.questions_in(path.read_text("utf-8"), path):
            places.append([option.get("right") for option in each["options"]].index("true"))
    assert max(places.count(place) for place in range(3)) <= len(places) / 2


OPTION = "{text: a, why: b, right: true}, {text: No, why: d}"
BROKEN = {
    "not YAML": "- question: [",
    "no list": "question: a",
    "nothing": "",
    "no options": "- question: a",
    "a field too many": f"- {{question: a, options: [{OPTION}], hint: b}}",
    "two are right": f"- {{question: a, options: [{OPTION}, {{text: e, why: f, right: true}}]}}",
    "none is right": "- {question: a, options: [{text: a, why: b}, {text: c, why: d}]}",
    "right is not true": f"- {{question: a, options: [{OPTION}, {{text: e, why: f, right: no}}]}}",
    "one option": "- {question: a, options: [{text: a, why: b, right: true}]}",
    "no reason": f"- {{question: a, options: [{OPTION}, {{text: e}}]}}",
    "an empty reason": f"- {{question: a, options: [{OPTION}, {{text: e, why: ''}}]}}",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_quiz_is_named(quiz, case):
    """Else a reader would be told that two answers are right, or none, or not why."""
    with pytest.raises(ValueError, match=r"page, line 3(, question 1)?: "):
        quiz.questions_in(BROKEN[case], "page, line 3")
    [whole] = quiz.questions_in(f"- {{question: a, options: [{OPTION}]}}", "page, line 3")
    assert [option["text"] for option in whole["options"]] == ["a", "No"]


def test_a_notebook_gets_its_quiz_in_the_book_only(quiz, tmp_path, monkeypatch):
    """Else Colab would show the directive as it is written, or the book no quiz."""
    monkeypatch.setattr(quiz, "QUIZZES", tmp_path)
    (tmp_path / "one.yml").write_text("- question: a")
    noted, paths = [], {"notebooks/one": "one.ipynb", "notebooks/two": "two.ipynb", "book/one": "one.md"}
    env = SimpleNamespace(doc2path=paths.get, note_dependency=lambda path: noted.append(Path(path).name))
    for page in paths:
        source = [json.dumps({"cells": []})]
        quiz.append_quiz(SimpleNamespace(env=env), page, source)
        cells = json.loads(source[0])["cells"]
        assert len(cells) == (page == "notebooks/one")
    assert noted == ["one.yml"]
