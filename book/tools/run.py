"""Execute notebooks in place, for committing them: `python book/tools/run.py notebooks/01_x.ipynb ...`.

A notebook that raises, or writes to stderr (a warning, a progress bar), is left as it was. Words of the glossary are
linked where they are first used. What would differ between two machines that agree (times of execution, the Python
version) is not stored in a notebook. `book/seconds.json` has what each section took, in seconds of a processor core:
other jobs change these little.
"""

import json
import re
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import psutil
from _ext import glossary
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
SECONDS = Path(__file__).resolve().parents[1] / "seconds.json"
KEPT_CELL_METADATA = ("tags", "mystnb", "colab")
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # how JupyterLab and Colab fold a solution's code


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep of a notebook's metadata only what the book means."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        kept = {k: cell.metadata[k] for k in KEPT_CELL_METADATA if k in cell.metadata}
        folded = FOLDED if "hide-cell" in kept.get("tags", []) else {}
        if cell.source.startswith("# @title"):  # Colab shows the fields instead
            folded = {"cellView": "form"}
        cell.metadata = nbformat.from_dict(kept | folded)
    return notebook


def sections(notebook: nbformat.NotebookNode) -> list[str]:
    """Of each cell, the section that it stands in."""
    found, section = [], "before the first heading"
    for cell in notebook.cells:
        headings = re.findall(r"^## (.+)$", cell.source, flags=re.M) if cell.cell_type == "markdown" else []
        section = [section, *headings][-1]
        found.append(section)
    return found


def spent(client: NotebookClient) -> float:
    """How many seconds of a processor core the kernel has had, with its finished children."""
    return sum(psutil.Process(client.km.provisioner.pid).cpu_times()[:4])


def keep(path: Path, seconds: list[float], notebook: nbformat.NotebookNode) -> None:
    """Write into `book/seconds.json` what each section of a notebook took."""
    kept = json.loads(SECONDS.read_text("utf-8")) if SECONDS.exists() else {}
    own = dict.fromkeys(sections(notebook), 0.0)
    for section, took in zip(sections(notebook), seconds, strict=True):
        own[section] += took
    kept[path.stem] = {section: round(took) for section, took in own.items()}
    SECONDS.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n", "utf-8")


def run(path: Path) -> None:
    """Execute one notebook and write it back.

    Raises CellExecutionError if a cell raises, ValueError if one writes to stderr; then nothing is written.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    seconds = [0.0] * len(notebook.cells)

    def note(cell_index, sign, **_):
        seconds[cell_index] += sign * spent(client)

    client.on_cell_execute = partial(note, sign=-1)
    client.on_cell_executed = partial(note, sign=1)
    client.execute()
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise ValueError(f"{path}: cell {number} wrote to stderr:\n{output.text}")
    glossary.link_cells(notebook)
    nbformat.validate(normalise(notebook))
    nbformat.write(notebook, path)
    keep(path, seconds, notebook)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Name the notebooks to run.")
    for name in sys.argv[1:]:
        started = time.monotonic()
        try:
            run(Path(name))
        except (CellExecutionError, ValueError) as error:
            sys.exit(f"{name} was left as it was: {error}")
        print(f"{name}: run in {time.monotonic() - started:.0f} s")
