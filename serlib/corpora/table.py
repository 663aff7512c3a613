"""Every corpus becomes one table, a row per utterance: reading, checking, loading by name."""

import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

from serlib import audio
from serlib.cache import cache_root, located
from serlib.corpora.heal import load_synthetic
from serlib.corpora.iemocap import read_iemocap, root_of
from serlib.errors import InputError, shown

_known = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
COLUMNS, EMOTIONS, OPEN_CORPORA = _known["columns"], _known["emotions"], _known["open"]


def check_table(table: pd.DataFrame, source: str | Path) -> pd.DataFrame:
    """The table with its columns in order and in their types, absent ones filled with NA.

    `source` is the file or folder that an error should name. Raises InputError, naming column and row, when a needed
    column (utterance_id, path, speaker, emotion) is missing, a row lacks id, path or speaker, an id stands twice,
    a time makes no sense, gender or scenario has another value than it may, or there is no row. Page: book/your_corpus.
    """
    if table.empty:
        raise InputError(f"{source}: the table has no rows.")
    for column in ("utterance_id", "path", "speaker", "emotion"):
        if column not in table:
            raise InputError(f"{source}: the column {column!r} is missing; found {_names(table)}.")
    table = table.reindex(columns=[*COLUMNS, *(c for c in table if c not in COLUMNS)]).reset_index(drop=True)
    for column, kind in COLUMNS.items():
        if not pd.api.types.is_numeric_dtype(table[column]):  # a blank more or less makes nobody another speaker
            table[column] = table[column].astype("string").str.strip().replace("", pd.NA)
        try:
            table[column] = table[column].astype(kind)
        except (ValueError, TypeError) as error:
            row = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            where, value = row.to_numpy().argmax(), shown(table.loc[row, column].iloc[0])
            what = f"column {column!r} should hold numbers, and row {where + 1} has {value!r}"
            raise InputError(f"{source}: {what}. Write a number, with a decimal point, or leave it empty.") from error
    wrong = {
        f"{'file' if column == 'path' else column} is empty": table[column].isna()
        for column in ("path", "utterance_id", "speaker")
    }
    wrong["this utterance_id stands there twice"] = table["utterance_id"].duplicated()
    wrong["duration is not positive"] = (table["duration"] <= 0) | np.isinf(table["duration"])
    for column in ("start", "end"):
        wrong[f"{column} is infinite"] = np.isinf(table[column])
    wrong["start is negative"] = table["start"] < 0
    wrong["end is not after start"] = table["end"] <= table["start"].fillna(0)
    for column, values in {"gender": ("female", "male"), "scenario": ("improvised", "scripted")}.items():
        wrong[f"{column} is none of {', '.join(values)}"] = table[column].notna() & ~table[column].isin(values)
    for reason, rows in wrong.items():
        if rows.any():
            row = rows.to_numpy().argmax()
            where = f"row {row + 1} ({shown(table['utterance_id'].iloc[row])})"
            remedy = "Fill it in, or remove the row." if reason.endswith("empty") else "Correct the table."
            raise InputError(f"{source}: {where}: {reason}; {rows.sum()} such rows. {remedy}")
    return table


def _names(table: pd.DataFrame) -> str:
    return shown(", ".join(map(str, table)), 300)


def read_path(path: str | Path) -> pd.DataFrame:
    """The corpus in a folder: one with a `table.csv`, or an IEMOCAP release.

    Raises InputError when it is neither, and as `read_folder` and `read_iemocap` do. Page: book/your_corpus.
    """
    path = located(path)
    if path.is_file():
        raise InputError(f"{path} is a file. Give a folder; if this is an archive, unpack it first.")
    if not path.is_dir():
        raise InputError(f"{path}: no such folder. Give the folder that holds table.csv and the audio.")
    try:
        os.scandir(path).close()
        has_table = (path / "table.csv").is_file()
    except PermissionError as error:
        raise InputError(f"{path}: you may not read this folder. Change its permissions, or ask its owner.") from error
    if has_table:
        return read_folder(path)
    if any(path.glob("Session[1-5]")) or (path / "IEMOCAP_full_release").is_dir():
        return read_iemocap(path)
    raise InputError(f"{path} holds neither a table.csv nor IEMOCAP's Session1 to Session5. See 'Your own corpus'.")


def read_folder(folder: str | Path) -> pd.DataFrame:
    """A folder with a `table.csv` as a corpus table; audio paths in its column `file` are relative to the folder.

    `file`, `speaker` and `emotion` are needed; `gender, session, scenario, valence, activation, dominance, transcript,
    votes, duration, start, end, utterance_id` are taken where they stand. Emotions are renamed to this book's names.
    Raises InputError when the table cannot be read or is not sound, or audio cannot. Page: book/your_corpus.
    """
    folder = root_of(folder)
    source = folder / "table.csv"
    try:
        kinds = dict(dtype="string", encoding="utf-8-sig", keep_default_na=False)  # "None" may be what somebody says
        table = pd.read_csv(source, skipinitialspace=True, **kinds).rename(columns=str.strip)
    except PermissionError as error:
        raise InputError(f"{source}: you may not read this file. Change its permissions, or ask its owner.") from error
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source}: not a readable UTF-8 CSV table ({shown(error, 200)}). See 'Your own corpus'."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas then takes the first field of a row for its name
        raise InputError(f"{source}: the rows have more fields than the heading has names. Complete the heading.")
    names = [*table]
    if twice := [name for name in names if names.count(name) > 1 or f"{name}.1" in names]:  # pandas numbers the second
        raise InputError(f"{source}: the column {shown(twice[0])!r} stands twice. Remove or rename one of the two.")
    if "file" not in table:
        separated = len(names) == 1 and re.search(r"[;\t|]", names[0])
        remedy = f"Its fields are separated by {separated[0]!r}: save it with commas" if separated else "Complete it"
        if any(name.lower() == "file" for name in names):
            remedy = "Write the names of columns in small letters"
        raise InputError(f"{source}: the column 'file' is missing; found {_names(table)}. {remedy}.")
    table["file"] = table["file"].str.strip().replace("", pd.NA)
    table["path"] = table["file"].map(lambda file: str(folder / file), na_action="ignore")
    if "utterance_id" not in table:  # the file's name; with its folder, and where it starts, if there are several such
        table["utterance_id"] = table["file"].map(lambda file: Path(file).stem, na_action="ignore")
        if table["utterance_id"].duplicated().any():
            names = table["file"].map(lambda file: Path(file).with_suffix("").as_posix(), na_action="ignore")
            table["utterance_id"] = names.astype("str") + ("_" + table["start"] if "start" in table else "")
    for column in {"emotion", "gender", "scenario"} & {*table}:
        table[column] = table[column].str.strip().str.lower()
    if "emotion" in table:
        table["emotion"] = table["emotion"].replace(EMOTIONS)
    table = check_table(table[[column for column in table if column in COLUMNS]], source)
    if missing := [path for path in table["path"] if not Path(path).is_file()]:
        raise InputError(f"{source}: {len(missing)} of its files are not there, {missing[0]} the first.")
    table["end"] = table["end"].fillna(table["start"] + table["duration"])
    table["duration"] = table["duration"].fillna(table["end"] - table["start"].fillna(0))
    rest = table["duration"].isna()  # without an end: to the end of the file
    table.loc[rest, "duration"] = _durations(table.loc[rest, "path"]) - table.loc[rest, "start"].fillna(0)
    table.attrs |= {"corpus": folder.name, "folder": str(folder)}
    return table


def _durations(paths: pd.Series) -> np.ndarray:
    """Seconds of each file; or one InputError for all that cannot be read."""
    seconds, errors = [], []
    for path in paths:
        try:
            seconds.append(audio.duration(path))
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputError(f"{errors[0]} {len(errors)} of {len(paths)} files cannot be read.")
    return np.array(seconds, dtype=float)


def read_audb(name: str) -> pd.DataFrame:
    """An open corpus through `audb`, downloaded once; ratings are the means of its raters. Page: book/your_corpus."""
    try:
        import audb
    except ImportError as error:
        raise InputError(f"Loading {name!r} from the network needs audb: pip install audb.") from error
    own = None if os.path.isdir(audb.default_cache_root()) else str(cache_root() / "audb")  # nothing in your home
    version, emotions, ratings = (OPEN_CORPORA[name].get(key, {}) for key in ("version", "emotion", "ratings"))
    try:
        header = audb.info.header(name, version=version, cache_root=own)
        people = ["speaker"] if "speaker" in header else []
        wanted = [*emotions, *sum(ratings.values(), []), "files", *people]
        what = dict(version=version, tables=wanted, sampling_rate=16000, mixdown=True, cache_root=own)
        database = audb.load(name, **what)
    except Exception as error:  # audb says in many ways that it did not reach its servers
        why = f"{name} {version} cannot be fetched through audb ({type(error).__name__}: {shown(error, 200)})"
        raise InputError(f"{why}. Is there a network? Or put the corpus into a folder below SERLIB_DATA.") from error
    emotion = pd.concat([database[table].get() for table in emotions])["emotion"]
    files = database["files"].get().loc[emotion.index]
    gender = files["speaker"].map(database["speaker"].get()["gender"] if people else {})
    columns = {"speaker": files["speaker"], "gender": gender, "emotion": emotion.astype("string").replace(EMOTIONS)}
    for dimension, parts in ratings.items():
        columns[dimension] = pd.concat([database[part].get() for part in parts]).astype("Float64").mean(axis=1)
    table = pd.DataFrame(columns).astype({"gender": "string"}).rename_axis("path").reset_index()
    table[["utterance_id", "duration"]] = [(Path(path).stem, audio.duration(path)) for path in table["path"]]
    table = check_table(table, f"audb: {name} {version}")
    table.attrs |= {"corpus": name, "folder": database.root}
    return table


def load(name: str | None = None) -> pd.DataFrame:
    """The corpus called `name`; by default the one that the environment names, else the synthetic one.

    `SERLIB_CORPUS` holds a name (`synthetic`, `synthetic:full`, `iemocap`, a folder under `SERLIB_DATA`, a corpus that
    audb serves) or the path of a folder with a `table.csv`; `SERLIB_IEMOCAP` the path of the licensed corpus. Raises
    InputError when there is no such corpus, with the ways to name one. Page: book/your_corpus.
    """
    if name is not None and not name.strip():
        raise InputError("The name of the corpus is empty. Name one, such as synthetic, or give the path of a folder.")
    iemocap, data = os.environ.get("SERLIB_IEMOCAP"), os.environ.get("SERLIB_DATA")
    name = name or os.environ.get("SERLIB_CORPUS") or ("iemocap" if iemocap else "synthetic")
    if name.partition(":")[0] == "synthetic":
        return load_synthetic(name.partition(":")[2] or "small")
    if name == "iemocap":
        if not iemocap:
            raise InputError("Set SERLIB_IEMOCAP to the folder IEMOCAP_full_release of your licensed copy.")
        return read_iemocap(iemocap)
    if data and Path(name).name == name and (located(data) / name).is_dir():
        return read_path(located(data) / name)
    if os.sep in name or Path(name).exists():
        return read_path(name)
    if name in OPEN_CORPORA:
        return read_audb(name)
    looked = f" under SERLIB_DATA={data}" if data else ""
    known = ", ".join(("synthetic", "synthetic:full", "iemocap", *OPEN_CORPORA, "a folder under SERLIB_DATA"))
    raise InputError(f"There is no corpus {shown(name)!r}{looked}. Name one ({known}), or give the path of a folder.")


def votes_of(table: pd.DataFrame, raters: int = 2) -> pd.DataFrame:
    """What each rater heard in each row of a corpus table, a column for each rater; of several choices the first.

    Raises InputError where nobody voted, or fewer than so many `raters`. Page: notebooks/f2.
    """
    votes = table["votes"].dropna().str.split(r"\s*;\s*", expand=True)
    if votes.shape[1] < raters:
        corpus, found = table.attrs.get("corpus", "this corpus"), votes.shape[1]
        remedy = "Take one whose table has a column 'votes', as 'anger; neutral; anger', or SERLIB_CORPUS=synthetic."
        raise InputError(f"This needs votes of at least {raters} raters, and {corpus} has {found}. {remedy}")
    votes.columns = [f"rater {number}" for number in range(1, votes.shape[1] + 1)]
    return votes.apply(lambda said: said.str.split(",").str[0].str.strip().replace(EMOTIONS))
