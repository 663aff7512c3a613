"""Where hostile things are tried: other processes, small disks, folders that nobody may write to, other containers."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@functools.cache
def can_unshare() -> bool:
    """Whether this machine gives namespaces of one's own, as containers have them."""
    tried = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(tried, capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_unshare(), reason="a hostile case that needs namespaces (unshare)")


def python(script, *arguments, before="", pids=False, **environment):
    """A Python that runs `script`, and has begun to; `before` is a shell line in a mount namespace of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    if before or pids:
        apart = ["unshare", "--user", "--map-root-user", "--mount", *(["--pid", "--fork"] if pids else [])]
        command = [*apart, "sh", "-c", f'{before or ":"} && exec "$@"', "sh", *command]
    given = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SERLIB_PRECISION": "float32"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | given | environment, **pipes)


def said(process, seconds=60):
    """Exit status, stdout and stderr of such a Python; it is ended when it takes too long."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        err += "\n(it went on for ever)"
    return process.returncode, out, err


def small_disk(folder, size="64k", inodes=200):
    """The shell line that mounts a disk of that size on a folder."""
    return f"mount -t tmpfs -o size={size},nr_inodes={inodes} none {folder}"


def read_only(folder):
    """The shell line after which nothing may be written to a folder."""
    return f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
