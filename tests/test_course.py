"""The course: a chapter that anybody begins runs before a line is changed, and nothing of theirs is overwritten."""

import importlib.util
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbdev.export import nb_export

from serlib import course
from serlib.__main__ import main
from serlib.errors import InputError

ROOT = Path(__file__).parents[1]


def module_of(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_a_new_chapter_runs_and_exports_the_contract(tmp_path, monkeypatch, capsys):
    """Else a capstone would begin with a repair."""
    monkeypatch.chdir(tmp_path)
    assert main(["chapter", "latif2020"]) == 0
    assert capsys.readouterr().out.split() == ["latif2020.ipynb", "latif2020.yml"]
    text = Path("latif2020.ipynb").read_text("utf-8")
    assert "CHAPTER.yml" not in text and "default_exp latif2020" in text and "# latif2020:" in text
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=300, startup_timeout=300, kernel_name="python3").execute()  # raises as a cell does
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert not [output for each in outputs.values() for output in each if output.get("name") == "stderr"]
    shown = outputs["this-run"][-1]["data"]["text/plain"]
    assert "this run: synthetic" in shown and "linear" in shown and "eGeMAPS" in shown
    nb_export(tmp_path / "latif2020.ipynb", lib_path=tmp_path)
    made = module_of(tmp_path / "latif2020.py", "latif2020")
    assert tuple(made.CHAPTER) == ("latif2020", made.make_model, made.train, made.answers)
    assert callable(made.recompute) and callable(made.results_table) and made.Schedule().most_updates is None
    assert [verdict.files() for verdict in made.VERDICTS] == [[]]


def test_its_quiz_is_one():
    """Else the book would stop at the quiz of a new chapter."""
    quiz = module_of(ROOT / "book" / "tools" / "_ext" / "quiz.py", "quiz")
    path = ROOT / "serlib" / "course" / "chapter.yml"
    assert len(quiz.questions_in(path.read_text("utf-8"), path)) == 5


@pytest.mark.parametrize("name", ["2020latif", "my-chapter", "class", "../up", "", "Größe", "li2018"])
def test_a_name_that_cannot_be_is_refused(name, tmp_path):
    """Else a module would be written that cannot be imported, or over one of the book's."""
    with pytest.raises(InputError, match="taken" if name == "li2018" else "cannot be a chapter's name"):
        course.make_chapter(name, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    """Else the work of a week would be gone."""
    (tmp_path / "mine.yml").write_text("my questions")
    monkeypatch.chdir(tmp_path)
    assert main(["chapter", "mine"]) == 1
    assert "mine.yml is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yml"] and Path("mine.yml").read_text() == "my questions"
    with pytest.raises(InputError, match="no such folder"):
        course.make_chapter("mine", tmp_path / "nowhere")
