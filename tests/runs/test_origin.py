"""Where a run comes from: the commit that ran, the sound that was heard, the machine."""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import types
from pathlib import Path

import pytest

from serlib.errors import InputError
from serlib.runs import environment, origin
from serlib.runs.data import data_digest


def git(folder, *words):
    """Run git as nobody, whatever this machine's settings are."""
    nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *nobody, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def commit(monkeypatch):
    """A function: what is said of the commit, were serlib installed in a folder, with what pip noted."""

    def commit(folder, noted=None):
        monkeypatch.setattr(origin, "__file__", str(folder / "serlib" / "runs" / "origin.py"))
        distribution = types.SimpleNamespace(read_text=lambda name: noted)
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)
        return origin._commit.__wrapped__()

    return commit


def test_the_commit_of_a_work_tree(tmp_path, commit):
    """Else a number could not be traced to the code that made it, or a change that was never committed stay unseen."""
    (package := tmp_path / "serlib" / "runs").mkdir(parents=True)
    (package / "record.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    known = git(tmp_path, "rev-parse", "HEAD")[:12]
    (tmp_path / "notes.txt").write_text("beside the package")
    assert commit(tmp_path) == {"commit": known, "dirty": False}
    (package / "record.py").write_text("edited")
    assert commit(tmp_path) == {"commit": known, "dirty": True}


def test_an_installed_package_has_no_work_tree(tmp_path, commit, monkeypatch):
    """Else the commit of the user's own project would be shown as that of serlib, or Colab end in an error."""
    (package := tmp_path / "serlib" / "runs").mkdir(parents=True)
    git(tmp_path, "init", "-q")
    (tmp_path / "own.txt").write_text("")
    git(tmp_path, "add", "own.txt")
    git(tmp_path, "commit", "-q", "-m", "the user's")
    (package / "record.py").write_text("")
    assert commit(tmp_path) == {"commit": None, "dirty": None}
    noted = json.dumps({"url": "https://example.org", "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}})
    assert commit(tmp_path, noted) == {"commit": "0123abcd", "dirty": None}
    assert commit(tmp_path, json.dumps({"url": "file:///wheel", "archive_info": {}}))["commit"] is None
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no git
    assert commit(tmp_path) == {"commit": None, "dirty": None}


def test_the_origin_of_a_run():
    """Else a record would not say what it ran on."""
    found = origin.origin("data")
    assert found.keys() == {"commit", "dirty", "date", "data", "environment"} and found["data"] == "data"
    assert found["environment"] == environment()
    assert environment()["threads"] == 1 and environment()["precision"] == "float32"
    assert environment()["torch"] == importlib.metadata.version("torch")
    assert environment().keys() >= {"device", "python", "numpy", "librosa", "scikit-learn", "opensmile"}


def test_the_digest_of_the_data(task):
    """Else a run would go on with other sound, or begin anew because a folder was copied."""
    before, path = data_digest(task), Path(task.table["path"][3])
    os.utime(path, (1, 1))
    assert data_digest(task) == before
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert data_digest(task) != before
    path.write_bytes(whole)
    assert data_digest(task) == before
    table = task.table.assign(start=0.0, end=1.0)
    part = data_digest(dataclasses.replace(task, table=table))
    assert len({before, part, data_digest(dataclasses.replace(task, table=table.assign(end=1.5)))}) == 3
    moved = task.table.assign(path=[str(Path(p).rename(Path(p).with_suffix(".WAV"))) for p in task.table["path"]])
    assert data_digest(dataclasses.replace(task, table=moved)) == before  # wherever it lies
    with pytest.raises(InputError, match=r"s0_\w+\.wav: no such audio file"):
        data_digest(task)
