"""IEMOCAP's own folders and files, read into the corpus table; the synthetic corpus is written in them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from serlib.cache import located
from serlib.errors import InputError, shown

# IEMOCAP's emotion codes and this book's names; `xxx` is an utterance on which the raters found no majority.
EMOTIONS = dict(ang="anger", hap="happiness", neu="neutral", sad="sadness", exc="excitement")
EMOTIONS |= dict(fru="frustration", sur="surprise", fea="fear", dis="disgust", oth="other", xxx="undecided")

_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_SUMMARY = re.compile(rf"\[{_NUMBER} - {_NUMBER}\]\s+(\w+)\s+(\w+)\s+\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]\s*")
_UTTERANCE = re.compile(r"(Ses\d\d)[FM]_(impro|script)\w*_([FM])\w*")
_DIALOGUE = re.compile(r"Ses\d\d[FM]_(impro|script)\w*")
_TRANSCRIPT = re.compile(r"(Ses\w+)\s+\[[^]]*\]:\s*(.*\S)\s*")
_SEGMENT = re.compile(r"\s*(\d{1,9})\s+(\d{1,9})\s+\S+\s+(\S+?)(?:\(\d+\))?(?:\s.*)?")
_NO_SPEECH = r"</?s>|<sil>|SIL|\+.*"
_SYNTHETIC = re.compile(r"% (synthetic[\w:]*), made by serlib")  # how a label file begins that is not IEMOCAP's
_VOTE = re.compile(r"C-E\d+:\s*(.*?)\s*\(.*")
_TEXT = ["utterance_id", "path", "session", "speaker", "gender", "scenario", "emotion", "transcript", "votes"]
_VOTED = {"neutral state": "neutral", "excited": "excitement", "surprised": "surprise", "disgusted": "disgust"}
_AGAIN = "Copy it again from the release."


def read_iemocap(root: str | Path, sessions: Sequence[int] = (1, 2, 3, 4, 5)) -> pd.DataFrame:
    """The labelled utterances of an IEMOCAP release as a corpus table, without opening a wav.

    `root` holds Session1 to Session5, or is its parent; with fewer `sessions` the corpus is named as a part of IEMOCAP.
    The speaker is the session and the first letter of the *last* part of the id: `Ses01F_impro01_M003` is spoken by
    Ses01_M. Times are seconds; valence, activation and dominance are means over raters, 0.5 to 5.5. `votes` is what
    each outside rater chose: in `anger; anger, frustration` two raters, of whom the second chose twice. An utterance
    without a transcript has NA.

    Raises InputError, naming file and line, for a folder that is not a release, a session in `sessions` that is not
    there, a torn line, an unknown label, an id that stands twice, and missing wavs. Source: Busso et al. (2008).
    Page: book/iemocap.
    """
    root = root_of(root)
    root = inner if (inner := root / "IEMOCAP_full_release").is_dir() else root
    if not any(root.glob("Session[1-5]")):
        raise InputError(f"{root} is not IEMOCAP: no folder with Session1 to Session5. Give IEMOCAP_full_release.")
    rows: dict[str, dict] = {}
    made = None
    for session in (root / f"Session{number}" for number in sessions):
        if not session.is_dir():
            there = tuple(n for n in sessions if (root / f"Session{n}").is_dir())
            raise InputError(f"{session} is missing. Copy it there, or leave it out with sessions={there}.")
        labels = session / "dialog" / "EmoEvaluation"
        for file in (files := sorted(labels.glob("Ses*.txt"))):
            if not _DIALOGUE.fullmatch(file.stem):
                raise InputError(f"{file}: no dialogue has this name, so it is a copy of another file. Remove it.")
            made = _SYNTHETIC.match(_read_dialogue(file, session, rows)) or made
        if not files:
            raise InputError(f"{labels} has no Ses*.txt, the label files. Copy the session again.")
    wavs = [row["path"] for row in rows.values()]
    folders = filter(os.path.isdir, {os.path.dirname(wav) for wav in wavs})
    there = {entry.path for folder in folders for entry in os.scandir(folder)}
    if missing := [wav for wav in wavs if wav not in there]:
        raise InputError(f"{len(missing)} wavs are missing: {', '.join(missing[:3])}, ... Copy them again.")
    kinds = dict.fromkeys(_TEXT, "string") | {"start": "float64", "end": "float64"}
    records = [row | {"votes": "; ".join(row["votes"]) or None} for row in rows.values()]
    table = pd.DataFrame.from_records(records).astype(kinds)
    part = "" if {*sessions} == {1, 2, 3, 4, 5} else f", sessions {'+'.join(map(str, sorted(sessions)))}"
    table.attrs |= {"corpus": (made[1] if made else "iemocap") + part, "folder": str(root)}
    return table


def root_of(folder: str | Path) -> Path:
    """The whole path of a corpus's folder; InputError where its name is not UTF-8. Page: book/your_corpus."""
    root = located(folder).resolve()
    try:
        os.fspath(root).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{root}: this name is not UTF-8. Rename the folder, in plain letters.") from error
    return root


def alignment_path(wav: str | Path, kind: str = "wdseg") -> Path:
    """Where the words (`wdseg`) or phones (`phseg`) of an utterance are aligned, if they are. Page: book/iemocap."""
    wav = Path(wav)
    return wav.parents[2] / "ForcedAlignment" / wav.parent.name / f"{wav.stem}.{kind}"


def segments(path: str | Path) -> list[tuple[float, float, str]]:
    """The words or phones of a `.wdseg` or `.phseg` file in order: start, end, label.

    Times are seconds in steps of 10 ms; the segments tile the utterance. `THE(2)`, another way to say the word, becomes
    `THE`; of a phone among its neighbours the phone stays. Raises InputError for a file that is torn, or missing, as
    one is in IEMOCAP. Page: book/iemocap.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such alignment. The release lacks one; copy any other from there.")
    lines = [line for line in _lines(path) if line.strip()]
    if len(lines) < 3 or not lines[-1].strip().startswith("Total score"):
        raise InputError(f"{path}: does not end with 'Total score'. {_AGAIN}")
    found = []
    for number, line in enumerate(lines[1:-1], 2):
        if not (segment := _SEGMENT.fullmatch(line)):
            raise InputError(f"{path}, line {number} is torn: {shown(line)!r}. {_AGAIN}")
        found.append((int(segment[1]) / 100, (int(segment[2]) + 1) / 100, segment[3]))
    return found


def read_alignment(path: str | Path) -> pd.DataFrame:
    """The `segments` of an alignment as a table: columns start, end, label, is_speech.

    Silence and noises (`<sil>`, `SIL`, `++LAUGHTER++`) have is_speech False. Raises InputError as `segments` does.
    Page: book/iemocap.
    """
    table = pd.DataFrame(segments(path), columns=["start", "end", "label"]).astype({"label": "string"})
    return table.assign(is_speech=~table["label"].str.fullmatch(_NO_SPEECH).astype(bool))


def _read_dialogue(file: Path, session: Path, rows: dict[str, dict]) -> str:
    """Add the utterances that one dialogue's label file summarises to `rows`, under their ids; gives its first line."""
    spoken = session / "dialog" / "transcriptions" / file.name
    lines = map(_TRANSCRIPT.fullmatch, _lines(spoken) if spoken.is_file() else ())
    transcripts = dict(line.groups() for line in lines if line)
    row = None
    for number, line in enumerate(labels := _lines(file), 1):
        if vote := _VOTE.fullmatch(line):
            if row:  # what an outside rater heard in the utterance above: one emotion, or several
                heard = [word.strip().lower() for word in vote[1].split(";") if word.strip()]
                row["votes"].append(", ".join(_VOTED.get(word, word) for word in heard))
            continue
        if not line.startswith("["):
            continue
        summary = _SUMMARY.fullmatch(line)
        parts = summary and _UTTERANCE.fullmatch(summary[3])
        if not parts or float(summary[1]) >= float(summary[2]):
            raise InputError(f"{file}, line {number} is torn: {shown(line)!r}. {_AGAIN}")
        start, end, name, label, *ratings = summary.groups()
        if label not in EMOTIONS:
            raise InputError(f"{file}, line {number}: label {shown(label)!r}, none of {', '.join(EMOTIONS)}. {_AGAIN}")
        if name in rows:
            raise InputError(f"{file}, line {number}: {name} stands twice. Remove one of its two lines.")
        row = dict(utterance_id=name, path=str(session / "sentences" / "wav" / file.stem / f"{name}.wav"))
        row |= dict(start=None, end=None, duration=round(float(end) - float(start), 4), session=parts[1])
        row |= dict(speaker=f"{parts[1]}_{parts[3]}", gender={"F": "female", "M": "male"}[parts[3]])
        row |= dict(scenario={"impro": "improvised", "script": "scripted"}[parts[2]], emotion=EMOTIONS[label])
        row |= zip(("valence", "activation", "dominance"), map(float, ratings), strict=True)
        rows[name] = row = row | dict(transcript=transcripts.get(name), votes=[])
    if not row:
        raise InputError(f"{file} summarises no utterance. {_AGAIN}")
    return labels[0]


def _lines(file: Path) -> list[str]:
    """A text file's lines, whatever their ends, in UTF-8 or in the Windows encoding."""
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return file.read_text(encoding="cp1252", errors="replace").split("\n")
