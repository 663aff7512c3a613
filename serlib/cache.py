"""One cache in front of everything that is computed twice: plain `.npy` files, never a pickle."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import platformdirs
from filelock import FileLock

from serlib.errors import InputError


def cache_root() -> Path:
    """The folder of all that can be made again: `SERLIB_CACHE`, else the user's own. Page: book/your_corpus."""
    return Path(os.environ.get("SERLIB_CACHE") or platformdirs.user_cache_dir("serlib", appauthor=False))


def digest(*parts: object) -> str:
    """A short hash of the parts, by their `repr`: the name under which a result is kept. Page: book/your_corpus."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """The context in which `path` is written: InputError says what to do on a full disk. Page: book/your_corpus."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        remedy = "Free some space, or set SERLIB_CACHE to a folder on another disk. What was written before is kept."
        raise InputError(f"No room on disk to write {path}. {remedy}") from error


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing so that it appears whole or not at all, whenever the process is killed.

    Raises InputError when the disk is full; whatever stood at `path` before still stands there. Page: book/your_corpus.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def cached(name: str, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """`compute()` once; afterwards the array is read from `<cache>/<name>/<key>.npy`.

    Two processes that ask at the same time compute it once: the second waits for the first. A file that is not a whole
    array (a disk fault, a copy that broke off) is computed again and replaced. Page: book/your_corpus.
    """
    path = cache_root() / name / f"{key}.npy"
    with room_for(path), FileLock(path.with_suffix(".lock")):
        if path.exists():
            with contextlib.suppress(Exception), path.open("rb") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        array = np.ascontiguousarray(compute())
        with write_atomically(path) as file:
            np.save(file, array, allow_pickle=False)
        return array
