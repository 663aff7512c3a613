"""One person under two names, one recording under two people: what would put somebody on both sides of a fold."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd


def alike(names: pd.Series) -> list[list[str]]:
    """Groups of names that differ in case, leading zeros or what cannot be seen, and in nothing else.

    So do 03 and 3, Anna and anna, é as one letter and as e with an accent. Page: book/your_corpus.
    """
    groups: dict[str, list[str]] = {}
    for name in names.dropna().unique():
        letters = unicodedata.normalize("NFKC", name).casefold()
        seen = "".join(letter for letter in letters if unicodedata.category(letter) not in ("Cf", "Cc"))
        groups.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", " ".join(seen.split())), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def overlaps(table: pd.DataFrame, recording: pd.Series) -> Iterator[tuple[int, int, bool]]:
    """Pairs of rows, of two speakers, that hold a stretch of one recording in common; true where it is half of one.

    `recording` names that of each row. Times are seconds; without an end a row goes to the end of its file.
    Page: book/your_corpus.
    """
    rows = pd.DataFrame({"speaker": table["speaker"], "start": table["start"].fillna(0)})
    rows["end"] = table["end"].fillna(np.inf)
    several = recording[recording.duplicated(keep=False)]
    for _, group in rows.loc[several.index].groupby(several):
        if group["speaker"].nunique() > 1:
            latest: dict[str, tuple] = {}  # of two speakers, the row that lasts longest: one of them is another's
            for row in group.sort_values("start").itertuples():
                for other in latest.values():
                    if other.speaker != row.speaker and other.end > row.start:
                        shorter = min(other.end - other.start, row.end - row.start)
                        yield other.Index, row.Index, min(other.end, row.end) - row.start >= shorter / 2
                latest[row.speaker] = max(latest.get(row.speaker, row), row, key=lambda row: row.end)
                latest = dict(sorted(latest.items(), key=lambda item: -item[1].end)[:2])


def on_both_sides(table: pd.DataFrame, recording: pd.Series) -> str | None:
    """Why somebody would be trained and tested on, in words; None where nothing shows it.

    `recording` names that of each row: by its path alone, or by what the file holds. Page: book/your_corpus.
    """
    for group in alike(table["speaker"]):
        return f"the speakers {', '.join(map(ascii, group))} may be one person. Give one person one name"
    for one, other, whole in overlaps(table, recording):
        if whole:
            names = " and ".join(table.loc[[one, other], "utterance_id"])
            return f"{names} are one stretch of {Path(table.loc[one, 'path']).name} under two speakers. Remove one"
    return None
