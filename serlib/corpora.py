"""The first room: every corpus becomes one table, a row per utterance."""

import os
from pathlib import Path

import pandas as pd

from serlib import audio
from serlib.errors import InputError
from serlib.iemocap import read_iemocap
from serlib.synthetic import load_synthetic

__all__ = ["COLUMNS", "EMOTIONS", "OPEN_CORPORA", "check_table", "load", "read_audb", "read_folder"]

#: The columns of a corpus table, in order, with what each holds.
COLUMNS = {
    "utterance_id": "string",
    "path": "string",
    "start": "float64",
    "end": "float64",
    "duration": "float64",
    "session": "string",
    "speaker": "string",
    "gender": "string",
    "scenario": "string",
    "emotion": "string",
    "valence": "float64",
    "activation": "float64",
    "dominance": "float64",
    "transcript": "string",
}

#: Names under which corpora file an emotion, and ours. A name that is not here is kept as it is.
EMOTIONS = {
    "angry": "anger",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "excited": "excitement",
    "exitement": "excitement",
    "frustrated": "frustration",
    "surprised": "surprise",
    "fearful": "fear",
    "anxiety": "fear",
    "disgusted": "disgust",
    "bored": "boredom",
    "calmness": "calm",
}

#: Corpora that `audb` serves: version, tables of emotions, where the sentences are spoken.
OPEN_CORPORA = {
    "emodb": ("2.0.0", ("emotion.categories.train.gold_standard", "emotion.categories.test.gold_standard")),
    "ravdess": ("1.1.3", ("emotion.speech.train", "emotion.speech.dev", "emotion.speech.test")),
}


def check_table(table: pd.DataFrame, source: str | Path) -> pd.DataFrame:
    """The table with its columns in order and in their types, absent ones filled with NA.

    `source` is the file or folder that an error should name. Raises InputError, naming the row and the column, when
    a needed column (utterance_id, path, speaker, emotion) is missing or empty in a row, an id stands twice, a time
    makes no sense, or there is no row at all.

    Page: book/your_corpus.md
    """
    if table.empty:
        raise InputError(f"{source}: the table has no rows.")
    for column in ("utterance_id", "path", "speaker", "emotion"):
        if column not in table:
            raise InputError(
                f"{source}: the column {column!r} is missing; found {', '.join(map(str, table.columns))}."
            )
    extra = [column for column in table if column not in COLUMNS]
    table = table.reindex(columns=[*COLUMNS, *extra]).reset_index(drop=True)
    for column, kind in COLUMNS.items():
        try:
            table[column] = table[column].astype(kind)
        except (ValueError, TypeError) as error:
            raise InputError(f"{source}: column {column!r} should hold numbers ({error}).") from error
    for column in ("utterance_id", "path", "speaker"):
        _refuse(table, table[column].isna(), source, f"{column} is empty")
    _refuse(table, table["utterance_id"].duplicated(), source, "this utterance_id stands there twice")
    _refuse(table, table["duration"] <= 0, source, "duration is not positive")
    _refuse(table, table["end"] <= table["start"].fillna(0), source, "end is not after start")
    for column, values in {
        "gender": ("female", "male"),
        "scenario": ("improvised", "scripted"),
    }.items():
        wrong = table[column].notna() & ~table[column].isin(values)
        _refuse(table, wrong, source, f"{column} should be one of {', '.join(values)} or empty")
    return table


def _refuse(table: pd.DataFrame, wrong: pd.Series, source: str | Path, reason: str) -> None:
    """Raise for the first row that is wrong, and say how many there are."""
    if wrong.fillna(False).any():
        row = wrong.fillna(False).to_numpy().argmax()
        name = table["utterance_id"].iloc[row]
        raise InputError(f"{source}: row {row + 1} ({name}): {reason}; {wrong.sum()} such rows. Correct the table.")


def read_folder(folder: str | Path) -> pd.DataFrame:
    """A folder with a `table.csv` as a corpus table; audio paths in its column `file` are relative to the folder.

    `file`, `speaker` and `emotion` are needed; `gender, session, scenario, valence, activation, dominance, transcript,
    duration, start, end, utterance_id` are taken where they stand. Emotions are renamed to this book's names.
    Raises InputError when the folder or the table is not there, or the table is not sound.

    Page: book/your_corpus.md
    """
    folder = Path(folder).expanduser().resolve()
    source = folder / "table.csv"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give the folder that holds table.csv and the audio.")
    if not source.is_file():
        raise InputError(f"{source}: no such file. A corpus folder needs a table.csv; see 'Use your own corpus'.")
    try:
        table = pd.read_csv(source, dtype="string", encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: not a readable UTF-8 CSV table ({error}).") from error
    if "file" not in table:
        raise InputError(f"{source}: the column 'file' is missing; found {', '.join(table.columns)}.")
    table["path"] = [pd.NA if pd.isna(file) else str(folder / file) for file in table["file"]]
    if "utterance_id" not in table:
        table["utterance_id"] = [pd.NA if pd.isna(file) else Path(file).stem for file in table["file"]]
    if "duration" not in table and "duration_s" in table:
        table["duration"] = table["duration_s"]
    if "emotion" in table:
        table["emotion"] = table["emotion"].str.strip().str.lower().replace(EMOTIONS)
    table = check_table(table[[column for column in table if column in COLUMNS]], source)
    missing = [path for path in table["path"] if not Path(path).is_file()]
    if missing:
        raise InputError(f"{source}: {len(missing)} of its files are not there, {missing[0]} the first.")
    whole = table["duration"].isna() & table["end"].isna() & table["start"].isna()
    table.loc[whole, "duration"] = [audio.duration(path) for path in table.loc[whole, "path"]]
    table["duration"] = table["duration"].fillna(table["end"] - table["start"].fillna(0))
    table.attrs["corpus"] = folder.name
    return table


def read_audb(name: str) -> pd.DataFrame:
    """An open corpus through `audb`, the field's own data set library, downloaded once at 16 kHz mono.

    Raises InputError when audb is not installed, or `name` is none of `OPEN_CORPORA`.

    Page: book/your_corpus.md
    """
    try:
        import audb
    except ImportError as error:
        raise InputError(f"Loading {name!r} from the network needs audb: pip install audb.") from error
    version, tables = OPEN_CORPORA[name]
    database = audb.load(name, version=version, tables=[*tables, "files", "speaker"], sampling_rate=16000, mixdown=True)
    emotion = pd.concat([database[table].get() for table in tables])["emotion"]
    files = database["files"].get().loc[emotion.index]
    gender = database["speaker"].get()["gender"]
    table = pd.DataFrame(
        {
            "utterance_id": [Path(path).stem for path in emotion.index],
            "path": list(emotion.index),
            "duration": files["duration"].dt.total_seconds().to_numpy(),
            "speaker": files["speaker"].astype("string").to_numpy(),
            "gender": files["speaker"].map(gender).astype("string").to_numpy(),
            "emotion": emotion.astype("string").replace(EMOTIONS).to_numpy(),
        }
    )
    table = check_table(table, f"audb: {name} {version}")
    table.attrs["corpus"] = name
    return table


def load(name: str | None = None) -> pd.DataFrame:
    """The corpus called `name`; by default the one that the environment names, else the synthetic one.

    `SERLIB_CORPUS` holds a name (`synthetic`, `iemocap`, a folder under `SERLIB_DATA`, a corpus of `OPEN_CORPORA`)
    or the path of a folder with a `table.csv`; `SERLIB_IEMOCAP` the path of the licensed corpus.

    Raises InputError when there is no such corpus, with the ways to name one.

    Page: book/your_corpus.md
    """
    name = name or os.environ.get("SERLIB_CORPUS") or ("iemocap" if os.environ.get("SERLIB_IEMOCAP") else "synthetic")
    if name == "synthetic":
        return load_synthetic()
    if name == "iemocap":
        if not (root := os.environ.get("SERLIB_IEMOCAP")):
            raise InputError("Set SERLIB_IEMOCAP to the folder IEMOCAP_full_release of your licensed copy.")
        return read_iemocap(root)
    data = os.environ.get("SERLIB_DATA")
    if data and (Path(data) / name).is_dir():
        return read_folder(Path(data) / name)
    if os.sep in name or Path(name).is_dir():
        return read_folder(name)
    if name in OPEN_CORPORA:
        return read_audb(name)
    raise InputError(
        f"There is no corpus {name!r}{f' under SERLIB_DATA={data}' if data else ''}. SERLIB_CORPUS takes synthetic, "
        f"iemocap, {', '.join(OPEN_CORPORA)}, the name of a folder under SERLIB_DATA, or the path of a folder with a table.csv."
    )
