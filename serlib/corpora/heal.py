"""The synthetic corpus in the cache, looked through before it is read: a damaged one is made again."""

import json
import os
import shutil
import warnings
from pathlib import Path

import pandas as pd

from serlib.cache import cache_root, locked, room_for
from serlib.corpora import iemocap, synthetic


def load_synthetic(size: str = "small") -> pd.DataFrame:
    """The synthetic corpus as a corpus table; made on first use under `cache_root()`, `small` in seconds.

    It is made again when the code that makes it has changed, and where files of it are missing or not as they were
    made: a warning says so. Raises InputError as `synthetic.make_synthetic` does. Page: book/your_corpus.
    """
    root = cache_root() / f"synthetic-{size}-{synthetic.made_by()}"
    if root.exists() and (wrong := damage(root)):
        warnings.warn(f"{root} is damaged ({wrong}), and is made again.", stacklevel=2)
        aside = root.with_name(f"{root.name}.damaged")
        with room_for(root), locked(root.with_name(f"{root.name}.making")):
            shutil.rmtree(aside, ignore_errors=True)
            if root.exists() and damage(root):  # no other process has made it meanwhile
                os.replace(root, aside)
            shutil.rmtree(aside, ignore_errors=True)
    return iemocap.read_iemocap(root if root.exists() else synthetic.make_synthetic(root, size))


def damage(root: Path) -> str | None:
    """What is wrong with a synthetic corpus, against the digests that were taken of it; None where nothing is.

    Raises InputError where its files may not be read. Page: book/your_corpus.
    """
    try:
        then = dict(json.loads((root / synthetic.SUMS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return f"{synthetic.SUMS} cannot be read"
    now = synthetic.sums(root)
    wrong = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return f"{len(wrong)} files differ, {wrong[0]} the first" if wrong else None
