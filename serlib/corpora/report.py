"""Whether a corpus is sound, and which protocols run on it: what `python -m serlib corpus check` prints."""

import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from serlib import audio, corpora
from serlib.audio import RATE, SHORTEST
from serlib.cache import contents, digest
from serlib.corpora import iemocap, leaks
from serlib.errors import InputError, shown
from serlib.protocols import DIMENSIONS, MAPPED, PROTOCOLS, SELECTIONS, select

WIDTH = 88  # columns of the report; only a path may be longer
TOLERANCE = 0.1  # seconds by which two statements about one length may differ
KNOWN = {*corpora.EMOTIONS.values(), *iemocap.EMOTIONS.values(), *MAPPED}


@dataclass(frozen=True)
class Problem:
    """What `count` utterances or files of a corpus have, `first` being the first of them.

    `level` is `error` where something would stop, or be learnt or measured wrongly, else `note`.
    Page: book/your_corpus.
    """

    level: str
    what: str
    count: int
    first: str
    remedy: str


def headers(paths: pd.Series) -> pd.DataFrame:
    """What the headers of audio files say: the columns of `audio.Header`; a row per path, in their order.

    NaN where a file cannot be read. Page: book/your_corpus.
    """
    rows = {}
    for path in tqdm(paths.unique(), desc="audio files", leave=False, delay=2):
        try:
            rows[path] = audio.header(path)
        except InputError:
            rows[path] = audio.Header(np.nan, np.nan, np.nan, np.nan)
    return pd.DataFrame([rows[path] for path in paths], index=paths.index, columns=audio.Header._fields)


def problems(table: pd.DataFrame, deep: bool = False) -> list[Problem]:
    """What is wrong or odd in a corpus table, its audio files and, in IEMOCAP's layout, its alignments; errors first.

    Of the audio only headers are read, and whole files to find copies where two have one size, unless it is `deep`:
    then every utterance is decoded, what `audio.read_audio` refuses is found, silence among it, and copies in another
    format are. Reads, of a corpus of IEMOCAP's size, 30 000 small files. Page: book/your_corpus.
    """
    heads = headers(table["path"])
    found, files = [*_audio(table, heads)], table.loc[heads["seconds"].notna(), "path"].drop_duplicates()
    held = contents(files[files.map(os.path.getsize).duplicated(keep=False)])
    same = table["path"].map(lambda path: held.get(path) or path)
    sounds = same + table["start"].fillna(0).map(" {}".format) + table["end"].map(" {}".format)
    if deep:
        found += _decoded(table, {file for level, _, files, _ in found if level == "error" for file in files}, sounds)
    found += [*_leaks(table, same, sounds), *_labels(table), *_counts(table)]
    if all(Path(path).parts[-4:-2] == ("sentences", "wav") for path in table["path"]):
        found += [*_release(table), *_alignments(table, heads["seconds"])]
    found = [(level, what, list(files), remedy) for level, what, files, remedy in found]
    found = [Problem(level, what, len(files), str(files[0]), remedy) for level, what, files, remedy in found if files]
    return sorted(found, key=lambda problem: problem.level)


# Yields level, what, the files that have it, what to do.
Findings = Iterator[tuple[str, str, Iterable, str]]


def _audio(table: pd.DataFrame, heads: pd.DataFrame) -> Findings:
    files, seconds = table["path"], heads["seconds"]
    length = np.minimum(table["end"].fillna(seconds), seconds) - table["start"].fillna(0)
    short = length < SHORTEST / RATE - 1e-9
    beyond = ~short & (table["end"] > seconds + TOLERANCE)
    cut = heads["missing"] > 0
    lies = ~short & ~beyond & ~cut & ((table["duration"] - length).abs() > TOLERANCE)
    yield "error", "audio cannot be read", files[seconds.isna()], "Convert it to WAV or FLAC, or remove the row."
    yield "error", "cut off: shorter than the header claims", files[cut], "Copy it again."
    yield "error", "empty, or shorter than a frame (60 ms)", files[short], "Remove the row, or correct start and end."
    yield "error", "end lies beyond the end of the file", files[beyond], "Correct end; times are seconds."
    remedy = "Correct the duration, in seconds, or leave it out; or is it another recording?"
    yield "error", f"duration is not the audio's, by more than {TOLERANCE:g} s", files[lies], remedy
    unknown = table["duration"].isna()
    yield "error", "duration is not known", files[unknown], "Give it, in seconds."
    for rate in sorted(heads["rate"].dropna().unique()):
        if rate != RATE:
            yield "note", f"at {rate:g} Hz", files[heads["rate"] == rate], f"Will be resampled to {RATE} Hz."
    where = os.path.join(table.attrs.get("folder", ""), "")
    away = [not os.path.normpath(path).startswith(where) for path in files]
    remedy = "Move it into the folder, or it will be missing where the folder is copied to."
    yield "note", "audio outside of the corpus's folder", files[away], remedy
    yield "note", "more than one channel", files[heads["channels"] > 1], "The channels will be averaged."


def _decoded(table: pd.DataFrame, known: set[str], sounds: pd.Series) -> Findings:
    """What decoding finds in files of which no error is `known`; messages that differ in numbers only are one.

    `sounds` becomes what is heard of each row: two files may hold the same.
    """
    found = {}
    rows = [row for row in table.itertuples() if row.path not in known]
    for row in tqdm(rows, desc="audio", leave=False, delay=2):
        audio._note.cache_clear()  # each file has its own notes here
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            try:
                sounds[row.Index] = digest(audio.read_row(row).tobytes())
                said = [("note", str(note.message)) for note in notes if "beyond" in str(note.message)]
            except InputError as error:
                said = [("error", str(error).removeprefix(f"{row.path}: "))]
        for level, text in said:
            found.setdefault((level, re.sub(r"\d+", "", text)), (text, []))[1].append(row.path)
    for (level, _), (text, files) in found.items():
        what, _, remedy = text.partition(". ")
        yield level, what, files, remedy or "Look whether they were exported well."


def _leaks(table: pd.DataFrame, same: pd.Series, sounds: pd.Series) -> Findings:
    """One person under two names, one recording under two people; `same` are recordings, `sounds` stretches of them."""
    remedy = "Give one person one name; to two people, names that differ in more than case, zeros and the invisible."
    for column, level in {"speaker": "error", "session": "note"}.items():
        groups = leaks.alike(table[column])
        names = "; ".join(", ".join(map(ascii, group)) for group in groups)
        rows = table[column].isin(sum(groups, []))
        yield level, f"{column}s that may be one: {shown(names, 300)}", table.loc[rows, "path"], remedy
    people = table["speaker"].groupby(sounds).transform("nunique")
    twice, both, overlap = sounds.duplicated(keep=False), {*table.index[people > 1]}, set()
    for one, other, whole in leaks.overlaps(table, same):
        (both if whole else overlap).update((one, other))
    remedy = "A fold would test on what it was trained on. Give it to the one who speaks, and remove the other row."
    yield "error", "one recording under two speakers", table.loc[sorted(both), "path"], remedy
    remedy = "Who speaks in both? Correct start and end, unless two people talk at once."
    yield "note", "stretches of two speakers overlap", table.loc[sorted(overlap - both), "path"], remedy
    remedy = "It counts as often as it stands there, and a fold that deals utterances has it on both sides."
    yield "note", "one recording several times", table.loc[twice & (people == 1), "path"], remedy


def _labels(table: pd.DataFrame) -> Findings:
    files, emotion, ratings = table["path"], table["emotion"], table[[*DIMENSIONS]]
    rated, spoken = ratings.notna().any(axis=1), table["transcript"].notna()
    unknown = emotion.notna() & ~emotion.isin(KNOWN)
    alone = table.groupby("speaker")["speaker"].transform("size") == 1
    remedy = "A classifier needs two. Look at the column emotion."
    few = files if emotion.nunique() < 2 else ()
    yield "note" if rated.any() else "error", "fewer than two emotions in the corpus", few, remedy
    remedy = "To test on somebody who was not trained on takes two, and the chapters three."
    yield "error", "only one speaker in the corpus", files if table["speaker"].nunique() < 2 else (), remedy
    wrong = ((ratings < 0.5) | (ratings > 5.5)).any(axis=1)
    yield "error", "ratings outside of 0.5 to 5.5", files[wrong], "Rescale them to 1 to 5."
    unrated = rated.any() & ratings.isna().any(axis=1)
    remedy = "A protocol on ratings learns of each the dimensions that it has, and leaves out those without any."
    yield "note", "without all three ratings, which others have", files[unrated], remedy
    names = shown(", ".join(map(shown, emotion[unknown].value_counts().index)), 300)
    remedy = "They are kept as they are, and no protocol has a class for them. Rename those that are a known emotion."
    yield "note", f"emotions that this book has no name for: {names}", files[unknown], remedy
    yield "note", "without an emotion", files[emotion.isna()], "They take part only where ratings are learnt."
    yield "note", "the only utterance of its speaker", files[alone], "Is the speaker's name misspelt?"
    remedy = "Complete the column, or leave it so: what is absent stays absent."
    yield "note", "without a transcript, which others have", files[~spoken & spoken.any()], remedy


def _counts(table: pd.DataFrame) -> Findings:
    """Where a corpus must have IEMOCAP's counts, the first selection that does not find them."""
    for name in SELECTIONS:
        try:
            select(table, name)
        except InputError as error:
            what, remedy = str(error).partition(". ")[::2]
            yield "error", what, table["path"], remedy
            return


def _release(table: pd.DataFrame) -> Findings:
    """What is missing of IEMOCAP's label files and transcripts."""
    folders = {Path(path).parents[1] for path in table["path"]}
    there = {str(wav) for folder in folders for wav in folder.glob("*/Ses*.wav")}
    silent = table["path"] if table["transcript"].isna().all() else ()
    yield "error", "without a transcript", silent, "Copy dialog/transcriptions again from the release."
    dialogues = table.groupby(table["path"].map(os.path.dirname))
    last = table.loc[dialogues["path"].tail(1).index]
    files = last["path"].map(_transcripts)
    missing = files[~files.map(os.path.isfile)]
    yield "error", "missing transcripts of a dialogue", missing, "Copy dialog/transcriptions again from the release."
    torn = files[last["transcript"].isna()].drop(missing.index)
    yield "error", "transcripts that were cut off", torn, "Copy dialog/transcriptions again from the release."
    remedy = "A label file is missing or cut off, or the wav a copy. Copy dialog/EmoEvaluation again from the release."
    yield "error", "wavs without a label", sorted(there - {*table["path"]}), remedy


def _transcripts(wav: str) -> str:
    """Where the transcripts of a dialogue are."""
    folder = Path(wav).parent
    return str(folder.parents[2] / "dialog" / "transcriptions" / f"{folder.name}.txt")


def _alignments(table: pd.DataFrame, seconds: pd.Series) -> Findings:
    again = "Copy it again from the release."
    for kind in ("wdseg", "phseg"):
        files = pd.Series([iemocap.alignment_path(path, kind) for path in table["path"]], index=table.index)
        ends = pd.Series([_end(file) for file in tqdm(files, desc=f".{kind}", leave=False, delay=2)], index=table.index)
        missing = ends.isna() & ~files.map(Path.is_file)
        yield "note", f"missing .{kind} alignments", files[missing], "The release lacks one .wdseg; copy any other."
        yield "error", f"torn .{kind} alignments", files[ends.isna() & ~missing], again
        long = files[ends > seconds + TOLERANCE]
        yield "error", f".{kind} alignments longer than their audio, by more than {TOLERANCE:g} s", long, again


def _end(alignment: Path) -> float:
    """Where the last segment ends, in seconds; NaN where a file is missing or torn."""
    try:
        return iemocap.segments(alignment)[-1][1]
    except InputError:
        return np.nan


def report(table: pd.DataFrame, found: list[Problem]) -> str:
    """A corpus table, the `problems` found in it, and which protocols run on it, as text. Page: book/your_corpus."""
    where = Path(table.attrs.get("folder", ""))
    lines = [shown(table.attrs.get("corpus", "corpus")), *([shown(where, 4096)] if "folder" in table.attrs else ())]
    lines += ["", *_summary(table), "", "problems"]
    for problem in found:
        first = Path(problem.first)
        name = first.relative_to(where) if first.is_relative_to(where) else first
        lines += [_line("  ", f"{problem.level:5}{problem.count:7}", problem.what)]
        lines += [f"{'':16}first: {shown(name, 4096)}", _line(f"{'':16}", "", problem.remedy)]
    lines += [] if found else ["  none found"]
    for title, leaky in (("protocols", False), ("for demonstration only: they leak what is tested", True)):
        chosen = [protocol for protocol in PROTOCOLS if protocol.__name__.startswith("leaky_") == leaky]
        lines += ["", title, *(_line(f"  {protocol.__name__:34}", *_runs(protocol, table)) for protocol in chosen)]
    return "\n".join(lines)


def _line(head: str, state: str, text: str) -> str:
    """A line that goes on below its text where it is wider than the report."""
    head += f"{state}  " if state else ""
    text = "".join(c if c == "\N{NO-BREAK SPACE}" else shown(c) for c in text)
    wrapped = textwrap.wrap(text, WIDTH - len(head), break_long_words=False, break_on_hyphens=False)
    return head + f"\n{' ' * len(head)}".join(wrapped).replace("\N{NO-BREAK SPACE}", " ")


def _summary(table: pd.DataFrame) -> list[str]:
    """One line per fact that the corpus knows."""
    seconds = table["duration"]
    people = table.drop_duplicates("speaker")["gender"].value_counts().rename({"female": "women", "male": "men"})
    span = f"shortest {seconds.min():.2f} s, longest {seconds.max():.2f} s"
    facts = {
        "utterances": f"{len(table)}",
        "speakers": f"{table['speaker'].nunique()}" + (f" ({_counted(people)})" if len(people) else ""),
        "sessions": f"{table['session'].nunique() or 'not known'}",
        "scenario": _counted(table["scenario"].value_counts()) or "not known",
        "length": f"{seconds.sum() / 3600:.2f} h; mean {seconds.mean():.2f} s, median {seconds.median():.2f} s, {span}",
        "emotions": _counted(table["emotion"].fillna("without one").value_counts()),
        "ratings": _counted(table[[*DIMENSIONS]].count().loc[lambda counts: counts > 0]) or "none",
        "transcripts": f"{table['transcript'].count() or 'none'}",
        "votes": f"{table['votes'].count() or 'none'}",
    }
    return [_line(f"{name:14}", "", fact) for name, fact in facts.items()]


def _counted(counts: pd.Series) -> str:
    said = [f"{count} {shown(name)}".replace(" ", "\N{NO-BREAK SPACE}") for name, count in counts.items()]
    return ", ".join(said[:30] + [f"{len(said) - 30} more"] * (len(said) > 30))


def _runs(protocol: Callable, table: pd.DataFrame) -> tuple[str, str]:
    """`ok` and what a protocol takes of a corpus, or `no` and the first clause of why."""
    try:
        task = protocol(table)
    except InputError as error:
        return "no", re.split(r"[.;](?: |$)", str(error))[0].removeprefix(f"{protocol.__name__} ")
    mapped = ", levels mapped from emotions" if task.corpus.endswith("(mapped)") else ""
    return "ok", f"{len(task.table)} utterances, {len(task.folds)} fold{'s' * (len(task.folds) > 1)}{mapped}"
