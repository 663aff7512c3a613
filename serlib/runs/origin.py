"""Where a run comes from: code, data, machine. What is written here is never rewritten."""

import datetime
import functools
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

import torch

from serlib.device import choose_device, choose_precision

PACKAGES = ("torch", "numpy", "librosa", "scikit-learn", "opensmile")  # whose versions a record names
_version = functools.cache(importlib.metadata.version)  # of forty thousand folds each asks


def origin(data: str) -> dict:
    """Commit, whether it was changed since, date, digest of the data, environment. Page: book/how_it_is_built."""
    return {**_commit(), "date": datetime.date.today().isoformat(), "data": data, "environment": environment()}


def environment() -> dict:
    """What ran: device, precision, processor threads, versions. Page: notebooks/01."""
    device = choose_device()
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{device.type}, {platform.machine()}",
        "precision": str(choose_precision(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


@functools.cache
def _commit() -> dict:
    """The commit of the code that runs, from its work tree or from what pip noted; None where neither knows."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        asked = {"capture_output": True, "text": True, "check": True}
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], **asked).stdout.strip()
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", "record.py"], **asked
        )  # else serlib only lies in some tree
        return {"commit": commit, "dirty": bool(subprocess.run([*git, "status", "--porcelain", ".."], **asked).stdout)}
    except (OSError, subprocess.CalledProcessError):
        noted = importlib.metadata.distribution("serlib").read_text("direct_url.json")
        return {"commit": json.loads(noted or "{}").get("vcs_info", {}).get("commit_id"), "dirty": None}
