"""The cache: made once, whole or not at all, never unpickled."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import platformdirs
import pytest

from serlib.cache import cache_root, cached, digest, write_atomically
from serlib.errors import InputError

ROOT = Path(__file__).parents[1]
ONES = np.ones((3, 4), np.float32)

TOGETHER = """
import sys, time
from pathlib import Path
import numpy as np
from serlib.cache import cached
folder = Path(sys.argv[1])
(folder / f"ready{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)

def compute():
    with open(folder / "calls", "a") as calls:
        calls.write("x")
    time.sleep(0.5)
    return np.arange(1000)

assert (cached("features", "key", compute) == np.arange(1000)).all()
"""

HALFWAY = """
import time
import numpy as np
from serlib.cache import cached

def save(file, array, allow_pickle):
    file.write(b"half of it")
    file.flush()
    print("half", flush=True)
    time.sleep(60)

np.save = save
cached("features", "key", lambda: np.ones(3))
"""


def start(script, *arguments):
    """A Python of its own that runs `script`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def here():
    return cache_root() / "features" / "key.npy"


def put(content):
    here().parent.mkdir(parents=True, exist_ok=True)
    here().write_bytes(content)


def whole_file():
    """What the cache writes."""
    cached("features", "key", lambda: ONES)
    return here().read_bytes()


def never():
    raise AssertionError("computed again")


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_the_second_time_it_is_read():
    """Else every notebook would compute its features again."""
    np.testing.assert_array_equal(cached("features", "key", lambda: ONES.T), ONES.T)
    again = cached("features", "key", never)
    np.testing.assert_array_equal(again, ONES.T)
    assert again.dtype == np.float32


def test_the_root_is_a_setting(monkeypatch):
    """Else a full home folder could not be avoided."""
    assert cache_root() == Path(os.environ["SERLIB_CACHE"])
    monkeypatch.delenv("SERLIB_CACHE")
    assert cache_root() == Path(platformdirs.user_cache_dir("serlib", appauthor=False))


def test_digests_differ():
    """Else two utterances would share one result."""
    keys = [digest(*parts) for parts in (("a", "b"), ("ab",), ("a",), (1,), (1.0,), ("1",), ("a", None))]
    assert len(set(keys)) == len(keys) and digest("a", "b") == digest("a", "b")


def test_two_processes_compute_it_once(tmp_path):
    """Else two notebooks that start on an empty cache would do the work twice, or read each other's half."""
    with start(TOGETHER, tmp_path, 0) as first, start(TOGETHER, tmp_path, 1) as second:
        while len(list(tmp_path.glob("ready*"))) < 2:
            assert first.poll() is None and second.poll() is None
            time.sleep(0.02)
        (tmp_path / "go").touch()
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert (tmp_path / "calls").read_text() == "x"


def test_a_process_killed_while_writing_leaves_nothing_behind():
    """Else half an array would stand under the name of a whole one."""
    with start(HALFWAY) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not here().exists()
    np.testing.assert_array_equal(cached("features", "key", lambda: ONES), ONES)


def test_a_half_written_file_is_computed_again():
    """Else a copy that broke off would stop every later run."""
    whole = whole_file()
    for size in (0, 1, 7, 20, 100, len(whole) // 2, len(whole) - 1):
        put(whole[:size])
        np.testing.assert_array_equal(cached("features", "key", lambda: ONES), ONES)
        assert here().read_bytes() == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: bytes(len(whole)),
        lambda whole: b"\xff" * len(whole),
        lambda whole: whole.replace(b"'shape': (", b"'shape': (("),
        lambda whole: whole.replace(b"<f4", b"zzz"),
        lambda whole: b"PK\x03\x04" + whole,
    ],
    ids=["zeros", "ones", "header", "type", "zip"],
)
def test_a_damaged_file_is_computed_again(damage):
    """Else a fault of the disk would stop every later run with an error of numpy."""
    whole = whole_file()
    put(damage(whole))
    np.testing.assert_array_equal(cached("features", "key", lambda: ONES), ONES)
    assert here().read_bytes() == whole


@pytest.mark.parametrize("kind", ["object array", "pickle"])
def test_nothing_is_unpickled(tmp_path, kind):
    """Else whoever can write into the cache could run code as you."""
    here().parent.mkdir(parents=True)
    if kind == "pickle":
        put(pickle.dumps(Trap(tmp_path / "sprung")))
    else:
        np.save(here(), np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(cached("features", "key", lambda: ONES), ONES)
    assert not (tmp_path / "sprung").exists()
    np.testing.assert_array_equal(np.load(here(), allow_pickle=False), ONES)


def test_objects_are_not_written():
    """Else the cache would hold pickles of its own."""
    with pytest.raises(ValueError, match="pickle"):
        cached("features", "key", lambda: np.array([{}], dtype=object))
    assert not here().exists()


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def open_full(path, mode):
    """A file on a disk that is full: what is written into it finds no room."""
    path.touch()
    return open("/dev/full", mode, buffering=0)


FULL = {
    "folder": (Path, "mkdir", full),
    "open": (Path, "open", full),
    "write": (Path, "open", open_full),
    "fsync": (os, "fsync", full),
    "replace": (os, "replace", full),
}


@pytest.mark.parametrize(("place", "name", "instead"), FULL.values(), ids=FULL)
def test_no_room_on_disk(monkeypatch, place, name, instead):
    """Else a full disk would end in a bare OSError, or take away what was there."""
    put(b"older")
    with monkeypatch.context() as patch:
        patch.setattr(place, name, instead)
        with pytest.raises(InputError, match=r"No room.*key\.npy.*SERLIB_CACHE"), write_atomically(here()) as file:
            file.write(b"newer")
    assert here().read_bytes() == b"older"
    assert [path.name for path in here().parent.iterdir()] == ["key.npy"]


@pytest.mark.parametrize(("place", "name"), [(Path, "mkdir"), (filelock.FileLock, "acquire")], ids=["folder", "lock"])
def test_no_room_for_a_folder_or_a_lock(monkeypatch, place, name):
    """Else a full disk would be reported well when an array is written, and badly a step before."""
    monkeypatch.setattr(place, name, full)
    with pytest.raises(InputError, match="No room.*SERLIB_CACHE"):
        cached("features", "key", lambda: ONES)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EFBIG, "cannot be written .*ulimit -f"),
        (errno.EROFS, "cannot be written .*the right to write"),
        (errno.EACCES, "cannot be written .*the right to write"),
        (errno.ENOTDIR, "cannot be written .*Look at the disk"),
        (errno.EIO, "cannot be written .*Look at the disk"),
        (None, "cannot be written .*Look at the disk"),
    ],
)
def test_other_faults_of_the_disk_keep_their_name(tmp_path, monkeypatch, number, message):
    """Else a folder that may not be written to would be called a full disk, or its error name no file."""

    def refuse(*_):
        raise OSError(number, os.strerror(number)) if number else OSError("3 requested and 2 written")

    monkeypatch.setattr(os, "replace", refuse)
    path = tmp_path / "a file"
    expected = f"{path}: {message}.*What was written before is kept"
    with pytest.raises(InputError, match=expected), write_atomically(path) as file:
        file.write(b"newer")
    assert not os.listdir(tmp_path)


def test_an_error_while_writing_keeps_the_old_file():
    """Else an interrupted run would take an earlier result with it."""
    put(b"older")
    with pytest.raises(KeyboardInterrupt), write_atomically(here()) as file:
        file.write(b"newer")
        raise KeyboardInterrupt
    assert here().read_bytes() == b"older"
    assert len(list(here().parent.iterdir())) == 1


def test_an_error_while_computing_keeps_the_rest():
    """Else one bad file would cost everything computed before it."""
    cached("features", "other", lambda: ONES)

    def fail():
        raise InputError("a bad file")

    with pytest.raises(InputError, match="a bad file"):
        cached("features", "key", fail)
    np.testing.assert_array_equal(cached("features", "other", never), ONES)
    np.testing.assert_array_equal(cached("features", "key", lambda: ONES), ONES)
