"""A notebook alone, in an empty folder: its own first cell fetches the library, as in Colab."""

import os
from pathlib import Path

import colab
import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

import serlib

ROOT = Path(__file__).resolve().parents[1]
ALONE = ROOT / "notebooks" / "f2_what_is_an_emotion_label.ipynb"  # the quickest


def beside(folder):
    """Settings that install into a folder of its own: the environment of the tests stays as it is."""
    (folder / "installed").mkdir()
    settings = {"PIP_TARGET": str(folder / "installed"), "PYTHONPATH": str(folder / "installed")}
    settings |= {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # no network
    return settings


def test_a_notebook_runs_alone(tmp_path):
    """Else it would lean on the repository around it: a file that the wheel lacks, a setting of make, another page."""
    cells = nbformat.read(ALONE, as_version=4)
    cells.cells.append(nbformat.v4.new_code_cell("serlib.__file__"))
    nbformat.write(cells, tmp_path / "alone.ipynb")
    executed = colab.run(tmp_path / "alone.ipynb", tmp_path / "c", colab.offer(tmp_path), **beside(tmp_path))
    assert str(tmp_path / "installed") in executed.cells[-1].outputs[0].data["text/plain"], "not the library it fetched"
    assert executed.cells[2].outputs[0].text.startswith(f"serlib {serlib.__version__} ")
    assert os.listdir(tmp_path / "c" / "content") == ["alone.ipynb"], "it left something behind"


def test_a_library_that_cannot_be_fetched_is_explained(tmp_path):
    """Else a reader would see pip's traceback, and not what to do."""
    with pytest.raises(CellExecutionError) as caught:
        colab.run(ALONE, tmp_path / "c", colab.offer(tmp_path, tag="v0.0.1"), **beside(tmp_path))
    said = str(caught.value)
    assert "SystemExit" in said and "Run this cell again." in said and f"@v{serlib.__version__}" in said
