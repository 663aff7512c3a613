"""Twelve human voices that come with the library: EmoDB, one sentence, three actors, four emotions; CC0.

They let every page play people, in Colab too. book/studies/voices.py copied them from EmoDB, with the corpus's own
perception test; serlib/voices/README.md has the licence. Twelve utterances are there to be heard: they prove nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from serlib.audio import read_row
from serlib.corpora.table import read_folder
from serlib.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "voices"


def voices() -> pd.DataFrame:
    """The twelve utterances as a corpus table, four of a speaker and three of an emotion. Page: notebooks/f1."""
    return read_folder(FOLDER)


def voice(speaker: str, emotion: str) -> np.ndarray:
    """One of them, `(samples,)` at 16 kHz: speaker 03 (a man), 08 or 14 (women).

    Raises InputError, which names those that there are, for another. Page: notebooks/f1.
    """
    table = voices()
    found = table[(table["speaker"] == speaker) & (table["emotion"] == emotion)]
    if found.empty:
        there = " or ".join(", ".join(sorted(table[name].unique())) for name in ("speaker", "emotion"))
        raise InputError(f"No voice of speaker {speaker!r} in {emotion!r} comes with the library; it has {there}.")
    return read_row(next(found.itertuples()))


def perception() -> pd.DataFrame:
    """EmoDB's perception test, a row for each of its 535 utterances: what twenty listeners thought, in per cent.

    `recognised` chose the emotion that was meant, `natural` found that it sounded so. Burkhardt et al. (2005).
    Page: notebooks/f2.
    """
    return pd.read_csv(FOLDER / "perception.csv", dtype={"speaker": "string", "utterance_id": "string"})
