"""What is written to disk, and the one cache in front of what is computed twice: `.npy` files, never a pickle.

All that serlib writes goes through `write_atomically`: under a name of its own, flushed to disk, then renamed.
"""

import contextlib
import errno
import functools
import hashlib
import io
import os
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

from serlib.errors import InputError, shown

LOOK, BEAT, SILENT = 5.0, 5.0, 120.0  # seconds: a look at a lock, a sign of life by its holder, none at all
LEFT = 24 * 3600  # seconds after which a killed process's temporary file is cleared away
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
SEAL = b"\nserlib blake2b "  # and a digest of 16 bytes: the last of a sealed file


def located(path: str | Path) -> Path:
    """A path as you gave it, with `~` and `$VARIABLES` replaced.

    Raises InputError where there is no such user, or symbolic links lead round in a circle. Page: book/threats.
    """
    try:
        found = Path(os.path.expandvars(path)).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            found.stat()
    except RuntimeError as error:  # what pathlib says of a user whom nobody knows
        raise InputError(f"{path}: there is no such user here. Write the folder's whole path.") from error
    except (OSError, ValueError) as error:  # a circle, a name that is too long, a byte that is in no name
        why = getattr(error, "strerror", None) or error
        what = "symbolic links lead round in a circle" if _errno(error) == errno.ELOOP else f"is no path ({why})"
        raise InputError(f"{shown(path)}: {what}. Name another folder or file.") from error
    return found


def cache_root() -> Path:
    """The folder of all that can be made again: `SERLIB_CACHE`, else the user's own. Page: book/threats."""
    return located(os.environ.get("SERLIB_CACHE") or platformdirs.user_cache_dir("serlib", appauthor=False))


def digest(*parts: object) -> str:
    """A short hash of the parts, by their `repr`: the name under which a result is kept. Page: book/threats."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]


def _errno(error: BaseException) -> int | None:
    return getattr(error, "errno", None)


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """The context in which `path` is written: whatever the disk refuses is an InputError that says what to do.

    Page: book/threats.
    """
    try:
        yield
    except OSError as error:
        kept, other = "What was written before is kept.", "or set SERLIB_CACHE to a folder on another disk"
        if error.errno in FULL:
            raise InputError(f"No room on disk to write {path}. Free some space, {other}. {kept}") from error
        if error.errno == errno.EFBIG:
            remedy = "Raise your limit (`ulimit -f unlimited`)"
        elif error.errno in FORBIDDEN:
            remedy = "Give yourself the right to write there, or name another folder (SERLIB_CACHE, --folder)"
        else:
            remedy = f"Look at the disk and the path, {other}"
        raise InputError(f"{path}: cannot be written ({error.strerror or error}). {remedy}. {kept}") from error


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing so that it appears whole or not at all, whenever the process is killed.

    Any number of processes, on any number of machines and in containers, may write it at the same time. Raises
    InputError where the disk refuses, as when it is full; whatever stood at `path` before still stands there.
    Page: book/threats.
    """
    who = f"{socket.gethostname()[:20]}.{os.getpid()}.{secrets.token_hex(8)}"
    part = path.with_name(f".{path.name[:100]}.{who}.part")
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path.parent)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


@functools.cache
def _clear(folder: Path) -> None:
    """Once per process: remove what killed processes left in a folder long ago."""
    for path in (*folder.glob(".*.part"), *folder.glob("*.lock")):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT:  # a lock that is held is touched every few seconds
                path.unlink()


def write_sealed(path: Path, content: bytes) -> None:
    """As `write_atomically`; a digest of the content is its end, so that a byte that flips later is noticed.

    Page: book/threats.
    """
    with write_atomically(path) as file:
        file.write(content)
        file.write(SEAL + _sum(content))


def read_sealed(path: Path) -> bytes:
    """What `write_sealed` wrote. Raises ValueError where it is not whole, to the last byte. Page: book/threats."""
    content, _, end = path.read_bytes().rpartition(SEAL)
    if _sum(content) != end:
        raise ValueError("its checksum is another")
    return content


def _sum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """The context in which this process alone has a lock; afterwards no trace is left of it.

    Who waits says so, once. A holder touches the lock every few seconds, however long its work takes; one that does not
    is stopped or lost, and InputError says who it is. Raises OSError where no lock can be made. Page: book/threats.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    own, seen, since = FileLock(lock), None, time.monotonic()
    while not own.is_locked:
        try:
            own.acquire(timeout=LOOK)
        except Timeout:
            touched, holder = _holder(lock)
            seen, since = (touched, time.monotonic()) if touched != seen else (seen, since)
            silent = time.monotonic() - since
            if silent > SILENT:
                what = f"{holder} holds this lock and has shown no sign of life for {silent:.0f} s: it is stopped"
                raise InputError(f"{lock}: {what}. Continue it (fg) or end it, and run this again.") from None
            warnings.warn(f"Waiting for {holder}, which holds {lock}.", stacklevel=4)
    done = threading.Event()
    try:
        with contextlib.suppress(OSError):
            lock.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        threading.Thread(target=_beat, args=(lock, done), daemon=True).start()
        yield
    finally:
        done.set()
        with contextlib.suppress(OSError):
            lock.unlink()
        own.release()


def _holder(lock: Path) -> tuple[float, str]:
    """When a lock was last touched, and by whom."""
    try:
        return lock.stat().st_mtime, lock.read_text("utf-8") or "another process"
    except (OSError, ValueError):
        return 0.0, "another process"


def _beat(lock: Path, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(lock)


def cached(name: str, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """`compute()` once; afterwards the array is read from `<cache>/<name>/<key>.npy`.

    Two processes that ask at the same time compute it once: the second waits for the first. A file that is not whole,
    to the last byte (a disk fault, a copy that broke off), is computed again and replaced. What may not be written is
    computed each time, and a note says so. Raises InputError as `write_atomically` and `locked` do.
    Page: book/threats.
    """
    path = cache_root() / name / f"{key}.npy"
    if (known := _read(path)) is not None:
        return known
    with contextlib.ExitStack() as stack:
        try:
            with room_for(path):
                stack.enter_context(locked(path.with_suffix(".lock")))
        except InputError as error:
            if _errno(error.__cause__) not in FORBIDDEN:
                raise
            _note(f"{cache_root()} cannot be written: what is not in it yet is computed every time.")
            return np.ascontiguousarray(compute())
        if (known := _read(path)) is not None:  # another process was faster
            return known
        array = np.ascontiguousarray(compute())
        np.save(whole := io.BytesIO(), array, allow_pickle=False)
        write_sealed(path, whole.getvalue())
        return array


def _read(path: Path) -> np.ndarray | None:
    """The array in a file of the cache, if it is whole."""
    with contextlib.suppress(Exception):
        return np.load(io.BytesIO(read_sealed(path)), allow_pickle=False)
    return None


@functools.cache
def _note(text: str) -> None:
    """Say something once per process."""
    warnings.warn(text, stacklevel=5)


def contents(paths: Iterable[str | Path]) -> dict[str | Path, str | None]:
    """A digest of what each file holds, by its path; None for what is no file.

    The second look is cheap: it asks for size, times and number of each file, and reads none that is as it was. Copying
    or moving another file to its place, with the same size and time, changes the time of the change of its entry, which
    nobody can set. Raises InputError for what may not be read. Page: book/threats.
    """
    states = {path: _state(path) for path in dict.fromkeys(paths)}
    there = [path for path, state in states.items() if state]
    settled = time.time_ns() - 2 * 10**9  # what has just been written may change again within the clock's tick

    def read() -> np.ndarray:
        digests = [_content(os.fspath(path), states[path]) for path in there]
        return np.array([list(bytes.fromhex(content)) for content in digests], np.uint8).reshape(-1, 16)

    if there and all(states[path][-1] < settled for path in there):
        found = cached("contents", digest([(os.path.abspath(path), states[path]) for path in there]), read)
    else:
        _content.cache_clear()
        found = read()
    return dict.fromkeys(states) | {path: bytes(row).hex() for path, row in zip(there, found, strict=True)}


def _state(path: str | Path) -> tuple[int, ...] | None:
    try:
        now = os.stat(path)
    except (OSError, ValueError):
        return None
    return (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) if os.path.isfile(path) else None


@functools.cache
def _content(path: str, state: tuple[int, ...]) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, hashlib.blake2b).hexdigest()[:32]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Give yourself the right to.") from error
