"""Hostile cases of what lies on disk: faults, copies, full and forbidden disks, locks, many processes at once.

A function is a case: its docstring says how it is made, its asserts what must come. Red at 67df243 unless it says so.
"""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from serlib import cache
from serlib.cache import cached
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.features import extract
from tests.hostile.places import needs_namespaces, python, read_only, said, small_disk

ARRAY = np.arange(3000, dtype=np.float32)


def loudness(waveform):
    return np.array([np.abs(waveform).mean()])


def kept():
    [path] = cache.cache_root().glob("features/*.npy")
    return path


# A6: a wrong number without a word


@pytest.mark.parametrize("place", [200, 5000, -40, -20, -1])
def test_two_bytes_of_a_kept_feature_flip(place):
    """A fault of the disk: the array that was computed comes back, and the next process finds it whole."""
    cached("features", "key", lambda: ARRAY)
    damaged = bytearray(kept().read_bytes())
    damaged[place] ^= 1
    damaged[place - 1] ^= 1
    kept().write_bytes(damaged)
    np.testing.assert_array_equal(cached("features", "key", lambda: ARRAY), ARRAY)
    np.testing.assert_array_equal(cached("features", "key", lambda: pytest.fail("not mended")), ARRAY)


def swapped(one, other):
    """Two files change places, and nothing that can be set shows it: names, sizes and times are as before."""
    times = os.stat(one), os.stat(other)
    spare = one.with_suffix(".spare")
    shutil.copy2(one, spare)
    one.write_bytes(other.read_bytes())
    other.write_bytes(spare.read_bytes())
    spare.unlink()
    for path, was in zip((one, other), times, strict=True):
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "looked up"])
def test_two_recordings_change_places(corpus, monkeypatch, later):
    """Two files of one size and time are swapped: features follow the sound, whether digests were kept or not."""
    table = read_folder(corpus).iloc[[0, -1]].reset_index(drop=True)
    if later:  # what has just been written is not trusted: let it be long ago
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 10 * 10**9)
    before = extract(table, loudness)
    assert before[0] != before[1]
    np.testing.assert_array_equal(extract(table, loudness), before)
    swapped(*map(Path, table["path"]))
    np.testing.assert_array_equal(extract(table, loudness), before[::-1])


def test_the_second_look_reads_no_sound(corpus, monkeypatch):
    """A corpus of a terabyte on a slow disk: what was looked at before is asked for its size and times alone.

    Green at 67df243, which did not look at all.
    """
    table, now = read_folder(corpus), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10 * 10**9)
    first = cache.contents(table["path"])
    cache._content.cache_clear()  # as another process
    monkeypatch.setattr(cache, "_content", lambda *_: pytest.fail("read again"))
    assert cache.contents(table["path"]) == first and len(set(first.values())) == 24


# B7: writing

WRITES = """
import random
from serlib.cache import cache_root, write_atomically
for number in range(1000):
    path = cache_root() / str(random.randrange(2))
    with write_atomically(path) as file:
        file.write(bytes([number % 251]) * (1 + number % 5000))
    content = path.read_bytes()
    assert content and len(set(content)) == 1, "torn"
print("done")
"""


@needs_namespaces
def test_two_containers_write_into_one_folder(tmp_path):
    """Two processes in two PID namespaces, both with one number: a thousand writes each, no error, no torn file."""
    both = [python(WRITES, pids=True, SERLIB_CACHE=str(tmp_path)) for _ in range(2)]
    assert [said(process)[:2] for process in both] == [(0, "done\n")] * 2
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


CACHES = """
import resource, sys, numpy as np
from serlib.cache import cached
from serlib.errors import InputError
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    cached("features", "key", lambda: np.ones(50_000))
except InputError as error:
    print(error)
"""


def test_files_may_not_be_large(tmp_path):
    """`ulimit -f` is smaller than a feature: a line with the path and the limit, and nothing left behind."""
    status, out, err = said(python(CACHES, 50_000, SERLIB_CACHE=str(tmp_path)))
    assert (status, err) == (0, "") and out.count("\n") == 1
    assert str(tmp_path / "features" / "key.npy") in out and "ulimit -f" in out
    assert not os.listdir(tmp_path / "features")


@needs_namespaces
def test_a_disk_that_is_really_full(tmp_path):
    """A disk of 64 kB and a feature of 400 kB: a line with the path and what to do, and nothing left behind."""
    after = f"{CACHES}\nimport os; print(os.listdir('{tmp_path}/features'))"
    status, out, err = said(python(after, before=small_disk(tmp_path), SERLIB_CACHE=str(tmp_path)))
    assert (status, err) == (0, "")
    assert out == f"No room on disk to write {tmp_path}/features/key.npy. {REMEDY}\n[]\n"


REMEDY = "Free some space, or set SERLIB_CACHE to a folder on another disk. What was written before is kept."


def test_what_killed_processes_left_is_cleared_away():
    """Temporary files and locks from yesterday are gone after the next write; those of now are another process's."""
    folder = cache.cache_root() / "features"
    folder.mkdir(parents=True)
    old, new = (folder / ".a.npy.host.1.ab.part", folder / "a.lock"), (folder / ".b.npy.host.1.cd.part",)
    for path in (*old, *new):
        path.touch()
    for path in old:
        os.utime(path, (0, 0))
    cache._clear.cache_clear()
    cached("features", "key", lambda: ARRAY)
    assert sorted(path.name for path in folder.iterdir()) == [".b.npy.host.1.cd.part", "key.npy"]


# B8: reading what may not be written; waiting for who does not go on

TWICE = """
import warnings, numpy as np
from serlib.cache import cached
with warnings.catch_warnings(record=True) as notes:
    warnings.simplefilter("always")
    found = [cached("features", key, lambda: np.full(2, 7.0)).tolist() for key in ("warm", "cold", "colder", "warm")]
print(found, [str(note.message) for note in notes])
"""


@needs_namespaces
@pytest.mark.parametrize("warm", [True, False])
def test_a_cache_that_may_only_be_read(tmp_path, warm):
    """A shared, read-only cache: what is in it is read, what is not is computed, and one note says so."""
    if warm:
        cached("features", "warm", lambda: np.full(2, 3.0))
    (folder := cache.cache_root()).mkdir(exist_ok=True)
    status, out, err = said(python(TWICE, before=read_only(folder)))
    there = [3.0, 3.0] if warm else [7.0, 7.0]
    found = [there, [7.0, 7.0], [7.0, 7.0], there]
    assert (status, err) == (0, "")
    assert out == f"{found} ['{folder} cannot be written: what is not in it yet is computed every time.']\n"


STOPS = """
import os, signal, numpy as np
from serlib.cache import cached
def compute():
    print(os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return np.ones(3)
print(cached("features", "key", compute), flush=True)
"""

WAITS = """
import numpy as np
from serlib import cache
from serlib.errors import InputError
cache.LOOK, cache.SILENT = 0.2, 1.0
try:
    print(cache.cached("features", "key", lambda: np.zeros(3)))
except InputError as error:
    print(error)
"""


def test_a_process_that_was_stopped_holds_a_lock():
    """Somebody pressed Ctrl-Z: who waits says for whom, then gives up in a line; who stopped goes on as if nothing."""
    with python(STOPS) as holder:
        number = holder.stdout.readline().strip()
        try:
            status, out, err = said(python(WAITS), 20)
            assert status == 0 and err.count("Waiting for") == 1
            assert f"key.lock: process {number} on " in out and "no sign of life" in out and "(fg)" in out
        finally:
            holder.send_signal(signal.SIGCONT)
        assert holder.stdout.read() == "[1. 1. 1.]\n"
    assert [path.name for path in (cache.cache_root() / "features").iterdir()] == ["key.npy"]


MAKES = """
import os, signal, sys, warnings
from serlib import __main__, cache
from serlib.corpora import synthetic
cache.LOOK, cache.SILENT = 0.2, 1.0
def stops(*_):
    print(os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    raise KeyboardInterrupt
if sys.argv[1] == "stops":
    synthetic._plan = stops
sys.exit(__main__.main(["corpus", "make", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("where", [[], ["mine"]], ids=["in the cache", "elsewhere"])
def test_a_process_that_was_stopped_makes_the_corpus(where, tmp_path):
    """Where the corpus is made, in the cache or in a folder of yours: nobody waits in silence."""
    where = [tmp_path / name for name in where]
    with python(MAKES, "stops", *where) as holder:
        number = holder.stdout.readline().strip()
        try:
            status, out, err = said(python(MAKES, "waits", *where), 30)
            assert status == 1 and not out and err.count("note: Waiting for process") == 1, err
            assert err.count("\n") == 2 and f"making: process {number} on " in err and "no sign of life" in err, err
        finally:
            holder.send_signal(signal.SIGCONT)
        assert holder.wait(30) == 130 and not holder.stderr.read()
    assert not list(tmp_path.rglob("*.making")), "a lock was left behind"


def test_a_process_that_works_for_long_holds_a_lock(monkeypatch):
    """It shows a sign of life every few seconds: who waits waits, however long. Green at 67df243."""
    monkeypatch.setattr(cache, "BEAT", 0.05)
    slow = WAITS.replace("1.0", "0.6").replace("cache.LOOK", "cache.BEAT, cache.LOOK").replace("= 0.2", "= 0.05, 0.1")
    work = slow.replace("lambda: np.zeros(3)", "lambda: (print('begun', flush=True), time.sleep(2.5), np.ones(3))[2]")
    with python("import time\n" + work) as holder:
        assert holder.stdout.readline() == "begun\n"
        assert said(python(slow))[1] == "[1. 1. 1.]\n"
        assert holder.stdout.read() == "[1. 1. 1.]\n"


def test_no_lock_is_left_behind():
    """After a thousand features there are a thousand files, not two thousand."""
    for number in range(3):
        cached("features", str(number), lambda: ARRAY)
    assert sorted(path.name for path in (cache.cache_root() / "features").iterdir()) == ["0.npy", "1.npy", "2.npy"]


# What stands in the way of the cache: a line with the path


@pytest.mark.parametrize("setting", ["/proc/version", "/dev/null/cache", "a\0b", "x" * 5000])
def test_a_cache_that_is_no_folder(setting, monkeypatch):
    """SERLIB_CACHE names a file, or nothing that could be named."""
    monkeypatch.setattr(cache.os, "environ", {**os.environ, "SERLIB_CACHE": setting})
    with pytest.raises(InputError, match=r"(?s)^.*: (cannot be written|is no path) .*\. .*[Nn]ame|Look at"):
        cached("features", "key", lambda: ARRAY)
