"""A lone notebook: what the wheel carries, and what the set-up cell does in Colab."""

import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import address
import nbformat
import pytest

import serlib

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_wheel_carries_all_that_a_lone_notebook_needs(tmp_path):
    """Else the notebook would not find its records, weights or the synthetic corpus' recipe in Colab."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "serlib", source / "serlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("serlib-*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "serlib"
    there = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.is_file()}
    assert inside == {name for name in there if "__pycache__" not in name}
    assert {"serlib/corpora/synthetic.toml", "serlib/papers/li2018.py"} <= inside
    assert sum(name.startswith("serlib/reference/") for name in inside) > 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("in_colab", [True, False])
def test_the_setup_cell_installs_the_library_only_in_colab(path, in_colab, monkeypatch, capsys):
    """Else a lone notebook in Colab would lack serlib, or a reader's own environment would be changed."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    installed = []
    works = types.SimpleNamespace(returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: installed.append(command) or works)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(cells[0], {})
    assert capsys.readouterr().out == ""
    if in_colab:
        (command,) = installed
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        assert command[-1] == f"serlib[open] @ git+{address.address(ROOT)}@v{serlib.__version__}"
        assert not any("torch" in word for word in command), "Colab keeps its own torch"
    else:
        assert installed == []
