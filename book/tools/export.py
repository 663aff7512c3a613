"""Write serlib/papers: a notebook's `#| export` cells become the module that its `#| default_exp` names.

It writes `book/twins` as well: the notebooks of pages with examples.
"""

import sys
from pathlib import Path

import twins
from nbdev.export import nb_export

ROOT = Path(__file__).resolve().parents[2]


def export_all(root: Path) -> list[Path]:
    """Export the notebooks of `root/notebooks` into `root/serlib/papers`; those that export something."""
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    notebooks = [notebook for notebook in notebooks if "default_exp" in notebook.read_text("utf-8")]
    for notebook in notebooks:
        nb_export(notebook, lib_path=root / "serlib" / "papers")
    return notebooks


if __name__ == "__main__":
    if not (done := export_all(ROOT)):
        sys.exit("No notebook has a `#| default_exp` cell.")
    print("\n".join(f"exported {notebook.relative_to(ROOT)}" for notebook in done))
    print("\n".join(f"wrote {twin.relative_to(ROOT)}" for twin in twins.write_all(ROOT)))
