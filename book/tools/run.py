"""Execute notebooks in place, for committing them: `python book/tools/run.py notebooks/01_x.ipynb ...`.

A notebook that raises, or writes to stderr (a warning, a progress bar), is left as it was. What would differ
between two machines that agree (times of execution, the Python version) is not stored.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
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
    client.execute()
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise ValueError(f"{path}: cell {number} wrote to stderr:\n{output.text}")
    nbformat.validate(normalise(notebook))
    nbformat.write(notebook, path)


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
