"""Build the book: `python book/tools/build.py` executes every notebook, `--committed` shows the committed outputs.

Pages with examples keep no outputs: they are executed either way. Every warning is an error. Executed outputs come from
jupyter-cache, whose key is a notebook's code alone: here it is also thrown away when the library, the environment or a
SERLIB_* setting has changed since.
"""

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from jupyter_book.sphinx import build_sphinx

ROOT = Path(__file__).resolve().parents[2]


def fingerprint() -> str:
    """Hash of everything but the notebooks that can change what a notebook prints."""
    digest = hashlib.sha256(sys.version.encode())
    library = [p for p in (ROOT / "serlib").rglob("*.*") if p.parent.name != "__pycache__"]
    for path in sorted([*library, ROOT / "requirements.txt"]):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{content}\n".encode())
    for name in sorted(name for name in os.environ if name.startswith("SERLIB_")):
        digest.update(f"{name}={os.environ[name]}\n".encode())
    return digest.hexdigest()


def execution_cache(folder: Path) -> Path:
    """The folder of executed notebooks, emptied if it was filled under another fingerprint."""
    key, current = folder / "fingerprint", fingerprint()
    if folder.exists() and not (key.is_file() and key.read_text() == current):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key.write_text(current)
    return folder


def build(committed: bool) -> Path | None:
    """Build into `_build` or `_build/committed`; the path of index.html, or None after a warning or error."""
    target = ROOT / "_build" / "committed" if committed else ROOT / "_build"
    shutil.rmtree(target / "html", ignore_errors=True)  # no page outlives its source
    settings = {
        "external_toc_path": str(ROOT / "_toc.yml"),
        "latex_individualpages": False,
        "nitpicky": True,
        "nb_execution_mode": "off" if committed else "cache",
        "nb_execution_cache_path": str(execution_cache(target / ".jupyter_cache")),
    }
    failed = build_sphinx(
        ROOT,
        target / "html",
        noconfig=True,
        path_config=ROOT / "_config.yml",
        confoverrides=settings,
        doctreedir=target / ".doctrees",
        freshenv=True,
        warningiserror=True,
        keep_going=True,
    )
    return None if failed else target / "html" / "index.html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--committed", action="store_true", help="do not execute: show the committed outputs")
    index = build(parser.parse_args().committed)
    if index is None:
        sys.exit("The book was not built: the warnings and errors above must go.")
    print(f"\nThe book is in {index}")
