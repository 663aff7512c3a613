"""The synthetic corpus in the cache, looked through before it is read: a damaged one is made again."""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import joblib
import pandas as pd

from serlib.cache import cache_root, contents, locked, room_for, write_atomically
from serlib.corpora import iemocap, synthetic
from serlib.errors import InputError

SUMS = "digests.json"  # in the corpus's folder: the digest of each of its files, by its name


def load_synthetic(size: str = "small") -> pd.DataFrame:
    """As `synthetic.load_synthetic`; where files of it are missing or not as they were made, it is made again.

    It says so, in a warning. Raises InputError as `synthetic.make_synthetic` does. Page: book/your_corpus.
    """
    root = cache_root() / f"synthetic-{size}-{synthetic._made_by()}"
    with contextlib.ExitStack() as stack:
        if not root.exists() or damage(root):
            stack.enter_context(making(root, size))
            if root.exists() and (wrong := damage(root)):  # no other process has made it meanwhile
                warnings.warn(f"{root} is damaged ({wrong}), and is made again.", stacklevel=2)
                aside = root.with_name(f"{root.name}.damaged")
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(root, aside)
                shutil.rmtree(aside, ignore_errors=True)
        table = synthetic.load_synthetic(size)
    if not (root / SUMS).exists():
        with contextlib.suppress(InputError, OSError), write_atomically(root / SUMS) as file:  # or read-only
            file.write(json.dumps(_sums(root)).encode())
    return table


@contextlib.contextmanager
def making(root: Path, size: str) -> Iterator[None]:
    """The context in which one process makes a corpus, and its workers never hear Ctrl-C: who started them ends them.

    Raises InputError as `locked` and `room_for` do. Page: book/your_corpus.
    """
    with room_for(root), locked(root.with_name(f"{root.name}.making")):
        if size != "small":
            from serlib.runs.cluster import undisturbed  # which needs all of this room

            with undisturbed():
                joblib.Parallel(-1)(joblib.delayed(os.getpid)() for _ in range(joblib.cpu_count()))
        yield


def damage(root: Path) -> str | None:
    """What is wrong with a synthetic corpus, against the digests that were taken of it; None where nothing is.

    One that has none yet must be free of what `report.problems` calls an error. Page: book/your_corpus.
    """
    try:
        then, now = json.loads((root / SUMS).read_text("utf-8")), _sums(root)
        wrong = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        return f"{len(wrong)} files differ, {wrong[0]} the first" if wrong else None
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, AttributeError):
        return f"{SUMS} cannot be read"
    from serlib.corpora import report  # which needs all of this room

    try:
        found = report.problems(iemocap.read_iemocap(root))
    except InputError as error:
        return str(error)
    if not (root / iemocap.SYNTHETIC).is_file():
        return f"{iemocap.SYNTHETIC} is missing"
    return next((problem.what for problem in found if problem.level == "error"), None)


def _sums(root: Path) -> dict[str, str]:
    """What each file of a corpus holds; what a desktop adds has other names."""
    found = contents(path for path in sorted(root.rglob("S*")) if path.name.startswith(("Ses", iemocap.SYNTHETIC)))
    return {path.relative_to(root).as_posix(): content for path, content in found.items() if content}
