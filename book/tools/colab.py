"""Run notebooks as Colab does: alone, in an empty folder, where their first cell fetches the library.

`python book/tools/colab.py notebooks/*.ipynb` runs each in the environment of this Python, into which that cell
then installs. Where it asks for the public address it gets this working tree, under the tag of its version.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

ROOT = Path(__file__).resolve().parents[2]
STUB = 'import sys\nimport types\n\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


def offer(folder: Path, tag: str | None = None) -> Path:
    """A git repository of what is installed from this working tree, under `tag`, by default that of its version."""
    repository = folder / "repository"
    repository.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, repository)
    shutil.copytree(ROOT / "serlib", repository / "serlib", ignore=shutil.ignore_patterns("__pycache__"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    git = ["git", "-C", str(repository), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "As it is"], ["tag", tag or f"v{version}"]):
        subprocess.run([*git, *command], check=True)
    return repository


def run(notebook: Path, folder: Path, repository: Path, **more: str) -> nbformat.NotebookNode:
    """Execute a copy of a notebook in an empty folder below `folder`, with no setting but `more`, and return it.

    Raises CellExecutionError where a cell does.
    """
    content, stub = folder / "content", folder / "stub"
    content.mkdir(parents=True)
    stub.mkdir()
    (stub / "sitecustomize.py").write_text(STUB)
    shutil.copy(notebook, content)
    public = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("SERLIB_", "PYTHONPATH"))}
    settings |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf"}
    settings |= {"GIT_CONFIG_VALUE_0": public, "SERLIB_CACHE": str(folder / "cache")} | more
    settings["PYTHONPATH"] = os.pathsep.join([str(stub), *more.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(
        os.pathsep
    )
    read = nbformat.read(content / notebook.name, as_version=4)
    where = {"metadata": {"path": str(content)}}
    client = NotebookClient(read, timeout=1800, kernel_name="python3", resources=where)
    return client.execute(env=settings)


if __name__ == "__main__":
    failed = []
    with tempfile.TemporaryDirectory() as place:
        repository = offer(Path(place))
        for name in sys.argv[1:]:
            started = time.monotonic()
            try:
                executed = run(Path(name), Path(place) / Path(name).stem, repository)
                said = executed.cells[2].outputs[0].text.strip()
                print(f"{name}: {time.monotonic() - started:.0f} s; {said}", flush=True)
            except (CellExecutionError, DeadKernelError) as error:
                failed.append(name)
                print(f"{name}: {error}", flush=True)
    sys.exit(f"These do not run alone: {', '.join(failed)}" if failed else 0)
