"""The sound behind a task: a digest of it, and whether all of it can be read, before anything is trained."""

from pathlib import Path

import numpy as np

from serlib import audio
from serlib.cache import cached, contents, digest
from serlib.errors import InputError
from serlib.protocols import Task
from serlib.protocols.tasks import refuse_leaks


def data_digest(task: Task) -> str:
    """A digest of the sound behind a task's rows: whoever hears other sound has another.

    Raises InputError when a file is missing or may not be read. Page: book/how_it_is_built.
    """
    return digest(_stretches(task))


def _stretches(task: Task) -> list[tuple[str, str, str]]:
    """Of each row what its file holds, and from where to where."""
    rows, files = task.table, contents(task.table["path"])
    if missing := next((path for path, content in files.items() if content is None), None):
        raise InputError(f"{missing}: no such audio file. Check the path column of the corpus table.")
    pairs = zip(rows["path"], rows["start"], rows["end"], strict=True)
    return [(files[path], str(start), str(end)) for path, start, end in pairs]


def hear(task: Task) -> None:
    """Read the sound of every row of a task, those that are tested too; what was read before is not read again.

    Raises InputError, naming the first row that cannot be used and how many there are, and where two speakers have
    files that hold the same. Page: book/threats.
    """
    refuse_leaks(task.protocol, task.table, task.table["path"].map(contents(task.table["path"])))

    def read() -> np.ndarray:
        wrong = []
        for row in task.table.itertuples():
            try:
                audio.read_row(row)
            except InputError as error:
                wrong.append(f"{row.utterance_id}: {error}")
        if wrong:
            raise InputError(f"{wrong[0]} {len(wrong)} such rows; nothing was trained yet.")
        return np.array([len(task.table)])

    cached("heard", digest(_stretches(task), Path(audio.__file__).read_bytes()), read)
