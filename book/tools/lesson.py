"""Train in profile `lesson`: `python book/tools/lesson.py notebooks/01_x.ipynb ...`.

Each notebook runs in an empty folder, on the corpus that `SERLIB_CORPUS` names, up to the cell that trains its first
networks. What these reached goes into `book/lessons.json`, which the course page shows: one fold and one seed, so an
example. How many epochs fit is a matter of the machine, and of what else it has to do.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from serlib import runs
from serlib.errors import InputError

LESSONS = Path(__file__).resolve().parents[1] / "lessons.json"


def first_records(path: Path) -> list[runs.Record]:
    """Run a notebook's cells until one of them leaves records; these, in the order in which they were made.

    Raises InputError where none does, CellExecutionError where one raises.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources)
        with client.setup_kernel():
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
                if found := [*Path(folder, "runs").rglob("*.json")]:
                    return [runs.read_record(each) for each in sorted(found, key=os.path.getmtime)]
    raise InputError(f"{path}: no cell trains a network. Name a chapter's notebook.")


def reached(record: runs.Record) -> dict:
    """What is told of a record of one fold: UAR in per cent, of each dimension that it answers for."""
    [fold] = record.folds
    names = [record.settings.get("dimension"), *fold.get("dimensions", ())]
    views = {name or "emotion": record.on(name) for name in names}
    return {
        "corpus": record.corpus,
        "network": record.model,
        "updates": record.updates(),
        "minutes": round(fold["seconds"] / 60, 1),
        "tested": len(record.predictions()),
        "UAR": {name: round(100 * view.scores()["uar"][0], 1) for name, view in views.items()},
        "guessing": round(100 / len(record.classes), 1),
    }


def keep(path: Path, found: list[dict]) -> None:
    """Write into `book/lessons.json` what a notebook's networks reached on a corpus, in place of what stood there."""
    kept = json.loads(LESSONS.read_text("utf-8")) if LESSONS.exists() else {}
    others = [each for each in kept.get(path.stem, []) if each["corpus"] != found[0]["corpus"]]
    kept[path.stem] = sorted(others + found, key=lambda each: each["corpus"])
    LESSONS.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Name the notebooks to train.")
    os.environ["SERLIB_PROFILE"] = "lesson"
    for name in sys.argv[1:]:
        found = [reached(record) for record in first_records(Path(name))]
        keep(Path(name), found)
        print(*found, sep="\n", flush=True)
