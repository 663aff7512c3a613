"""What is kept of profile `lesson`: the first networks of each chapter, on synthetic voices and on people."""

import json
from pathlib import Path

import lesson
import nbformat
import pytest

from serlib.errors import InputError

CHAPTERS = [path.stem for path in sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))]
WRITES = """
import json, os
from pathlib import Path
from serlib.runs import record
rows = {"utterance_id": [*"uvw"], "speaker": [*"sss"], "label": [0, 0, 1], "predicted": [0, 1, 1]}
other = {"pleasure": {"label": [0, 1, -1], "predicted": [0, 1, 1]}}
fold = {"name": "1", "seconds": 90, "updates": 7, **rows, "dimensions": other}
origin = {"date": "2026-01-01", "environment": {"device": "cpu", "precision": "float32", "threads": 1}}
about = ("net", "papers.x", "tones", "p", ["a", "b"], {"dimension": "energy"}, 0, {})
made = record.Record(*about, origin=origin, folds=[fold])
Path("runs/net").mkdir(parents=True)
Path("runs/net/01-1.json").write_text(json.dumps(vars(made)))
"""


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_learns_in_a_lesson(name):
    """Else whoever presses Run all in a course sees networks at chance: no lesson. `make lesson` measures it anew."""
    kept = json.loads(lesson.LESSONS.read_text("utf-8"))[name]
    assert {each["corpus"].removesuffix(" (mapped)") for each in kept} == {"emodb", "synthetic"}
    for each in kept:
        assert max(each["UAR"].values()) > each["guessing"] + 10, each


def test_a_notebook_runs_up_to_its_first_networks(tmp_path, monkeypatch):
    """Else a lesson would be measured by what a notebook trains last, or take all of its time."""
    cells = [nbformat.v4.new_markdown_cell("# A"), *map(nbformat.v4.new_code_cell, ("a = 1", WRITES, "a / 0"))]
    path = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    [found] = map(lesson.reached, lesson.first_records(path))
    about = {"corpus": "tones", "network": "net", "updates": 7, "minutes": 1.5, "tested": 3}
    assert found == about | {"UAR": {"energy": 75.0, "pleasure": 100.0}, "guessing": 50.0}
    nbformat.write(nbformat.v4.new_notebook(cells=cells[:2]), path)
    with pytest.raises(InputError, match="a.ipynb: no cell trains a network"):
        lesson.first_records(path)


def test_a_lesson_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    """Else the course page would show two networks of one name, or lose the other corpus."""
    monkeypatch.setattr(lesson, "LESSONS", tmp_path / "lessons.json")
    for corpus, uar in (("b", 1), ("a", 2), ("b", 3)):
        lesson.keep(Path("01.ipynb"), [{"corpus": corpus, "UAR": uar}])
    lesson.keep(Path("00.ipynb"), [{"corpus": "a", "UAR": 4}])
    kept = json.loads(lesson.LESSONS.read_text("utf-8"))
    assert kept == {
        "00": [{"corpus": "a", "UAR": 4}],
        "01": [{"corpus": "a", "UAR": 2}, {"corpus": "b", "UAR": 3}],
    }
    assert [*kept] == ["00", "01"]
