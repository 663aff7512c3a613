"""Damaged files, by the thousand, for all that reads text: `make fuzz`, a few minutes (MINUTES=30 for longer).

A file is taken that is read well, and a few of its stretches are replaced. What the library makes of it must be whole,
to the last line of a report, or an InputError of a line that names the file. Anything else is a find: it is made as
small as Hypothesis can, kept below .cache/fuzz, and printed. Once it is mended, it belongs into tests/hostile.
"""

import contextlib
import dataclasses
import json
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from serlib import runs
from serlib.cache import digest
from serlib.corpora import COLUMNS, iemocap, read_folder, report
from serlib.errors import InputError
from serlib.runs.record import fingerprint_ids

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "fuzz"
MINUTES, BATCH = 4.0, 25  # for all readers together; examples between two looks at the clock
PHASES = (Phase.generate, Phase.shrink)
PATIENCE = 20  # seconds after which a file of a few lines is said to be read for ever

DIALOGUE = "Ses01F_impro01"
LABELS = f"""% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{DIALOGUE}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Sadness;\t(calm)
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\t{DIALOGUE}_M000\tang\t[1.5000, 4.0000, 4.5000]
C-E1:\tAnger;\t()
"""
SPOKEN = f"{DIALOGUE}_F000 [006.2901-008.2357]: Excuse me.\n{DIALOGUE}_M000 [010.0100-011.3925]: Yeah.\n"
PHONES = f"Session1/sentences/ForcedAlignment/{DIALOGUE}/{DIALOGUE}_F000.phseg"
ALIGNED = """     SFrm     EFrm    SegAScr Word
        0       29     -30000 <s>
       30       99     -70000 EXCUSE(2)
      100      194     -95000 ++LAUGHTER++
 Total score:      -195000
"""
TABLE = """file,speaker,emotion,gender,session,scenario,start,end,duration,valence,transcript,votes
a.wav,s1,anger,female,1,improvised,0.1,0.9,,2.5,"Excuse me, yes",anger; neutral
b.wav,s2,W,male,2,scripted,,,1.0,,,
"""
NUMBERS = ["9" * 5000, "-1", "0", "1e999", "nan", "inf", "\u0663", "\xb2", "1.2.3", "1_000", "99999999999", "0.5", ""]
WORDS = [
    "",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\ufeff",
    "\x1b[2J",
    "\u2028",
    "\x85",
    "x" * 3000,
    " ",
    "\t",
    ",",
    ";",
    '"',
    "[",
    "]",
]
WORDS += ["{", "}", ":", " - ", "|", "../", "~", "None", "null", "true"]


class Reader(NamedTuple):
    """A file that is read well: its place in a folder, what it holds, words of its own, and what the library does."""

    place: str
    whole: str
    words: tuple[str, ...]
    read: Callable[[Path], object]


def a_record() -> str:
    """A record of a network, with all that one may hold."""
    rows = {"utterance_id": ["a", "b"], "speaker": ["s", "s"], "label": [0, -1], "predicted": [0, 1]}
    levels = {"valence": {"label": [1, 0], "predicted": [1, 1]}}
    curve = {"loss": [2.0, 1.5], "learning_rate": [0.1, 0.1], "seconds": [1.0, 2.0], "score": [0.3, 0.5]}
    fold = {"name": "01", **rows, "scores": [[0.75, 0.25], [0.5, 0.5]], "dimensions": levels, "validation": rows}
    fold |= {"updates": 4, "first_loss": 2.5, "loss": 1.5, "seconds": 3.0, "curve": curve, "best_epoch": 2}
    where = {"device": "cpu", "precision": "float32", "threads": 1, "python": "3.12", "torch": "2.6"}
    origin = {"commit": "0123", "dirty": False, "date": "2026-01-31", "data": "0123", "environment": where}
    name = next(iter(fingerprint_ids()))
    about = {"model": "m", "source": "papers.li2018", "corpus": "c", "protocol": "li2018", "classes": ["low", "high"]}
    made = runs.Record(**about, settings={"batch_size": 8}, seed=0, behaviour={name: "0"}, origin=origin, folds=[fold])
    return json.dumps(dataclasses.asdict(made), indent=1)


def read_table(path: Path) -> None:
    """A corpus, looked through and reported on."""
    table = read_folder(path.parent)
    assert [*table][: len(COLUMNS)] == [*COLUMNS] and table["utterance_id"].is_unique
    assert np.isfinite(table["duration"]).all() and (table["end"].fillna(np.inf) > table["start"].fillna(0)).all()
    assert all(line.isprintable() for line in report.report(table, report.problems(table)).splitlines())


def read_release(path: Path) -> None:
    """The session of a release in which this file lies, looked through and reported on."""
    root = next(folder for folder in path.parents if (folder / "Session1").is_dir())
    table = iemocap.read_iemocap(root, sessions=(1,))
    assert len(table) and table["utterance_id"].is_unique and (table["duration"] > 0).all()
    assert all(line.isprintable() for line in report.report(table, report.problems(table)).splitlines())


def read_aligned(path: Path) -> None:
    """An alignment; the check of a corpus, which reads it another way, must find the same end, or that it is torn."""
    end = report._end(path)
    try:
        found = iemocap.read_alignment(path)
    except InputError:
        assert np.isnan(end), f"refused, but the check finds that it ends at {end} s"
        raise
    assert found["end"].iloc[-1] == end, f"it ends at {found['end'].iloc[-1]} s, and the check finds {end} s"


def read_record(path: Path) -> None:
    """A record, and all that tables take from it."""
    record = runs.read_record(path)
    (
        runs.describe([record]),
        runs.learning_curves(record),
        runs.recalls({"x": [record]}),
        runs.over_seeds([record], "uar"),
    )
    runs.by_speaker({"x": [record]}), runs.fullest([record]), record.scores(), record.is_current()


def readers() -> dict[str, Reader]:
    """All that is fuzzed, by its name."""
    release = f"Session1/dialog/{{}}/{DIALOGUE}.txt"
    own = (f"{DIALOGUE}_F000", "neu", "xxx", "[2.5000, 2.5000, 2.5000]", "C-E1:\tAnger;\t()", "Ses01M_script01_1_M000")
    return {
        "table": Reader("table.csv", TABLE, ("a.wav", "b.wav", "s1", "S1", "file", "speaker", "start"), read_table),
        "labels": Reader(release.format("EmoEvaluation"), LABELS, own, read_release),
        "transcripts": Reader(release.format("transcriptions"), SPOKEN, own, read_release),
        "phones": Reader(PHONES, ALIGNED.replace("Word", "Phone"), (" Total score: 1", "SIL"), read_release),
        "alignment": Reader("a.wdseg", ALIGNED, (" Total score: 1", "<s>", "<sil>", "SIL"), read_aligned),
        "record": Reader(
            "01-s1.json", a_record(), ("NaN", "-Infinity", "0.5", "[" * 5000, '"folds"', "1e400"), read_record
        ),
    }


def lay(reader: Reader, folder: Path) -> None:
    """Write the file of a reader into a folder, and what it needs around it, all of it whole."""
    released = reader.read is read_release
    for each in readers().values() if released else [reader]:
        if each.read is reader.read:
            (folder / each.place).parent.mkdir(parents=True, exist_ok=True)
            (folder / each.place).write_text(each.whole, "utf-8")
    wavs = folder / "Session1" / "sentences" / "wav" / DIALOGUE if released else folder
    wavs.mkdir(parents=True, exist_ok=True)
    for name in (f"{DIALOGUE}_F000", f"{DIALOGUE}_M000") if released else ("a", "b"):
        soundfile.write(wavs / f"{name}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)


@st.composite
def damaged(draw: st.DrawFn, reader: Reader) -> bytes:
    """The file of a reader with one to four stretches replaced, or numbers: by words, other numbers, any bytes."""
    content = reader.whole.encode()
    for _ in range(draw(st.integers(1, 4))):
        numbers = [found.span() for found in re.finditer(rb"\d[\d.]*", content)]
        if numbers and draw(st.booleans()):
            start, end = draw(st.sampled_from(numbers))
            new = draw(st.sampled_from(NUMBERS)).encode()
        else:
            start, end, other = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 3)))
            words, elsewhere = st.sampled_from([*WORDS, *NUMBERS, *reader.words]), st.just(content[end:other])
            new = draw(words.map(str.encode) | elsewhere | st.binary(max_size=6))
        content = content[:start] + new + content[end:]
    return content


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from([10**400, "01", "s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["loss", "x"]), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def changed(draw: st.DrawFn, reader: Reader) -> bytes:
    """The JSON of a reader with one to three values removed, or replaced by any others."""
    tree = json.loads(reader.whole)
    for _ in range(draw(st.integers(1, 3))):
        inner, path = tree, []
        while isinstance(inner, dict | list) and inner and (not path or draw(st.integers(0, 5))):
            keys = [*inner] if isinstance(inner, dict) else range(len(inner))
            path.append((inner, draw(st.sampled_from(keys))))
            inner = inner[path[-1][1]]
        if path and draw(st.integers(0, 3)):
            path[-1][0][path[-1][1]] = draw(ANYTHING)
        elif path:
            del path[-1][0][path[-1][1]]
    return json.dumps(tree).encode()


class Find(Exception):
    """A file that was neither read nor refused in a line: its content, and what came instead."""


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """The context in which what goes on for too long is a TimeoutError; not on Windows, which has no such alarm."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"still reading after {seconds:g} s")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judged(reader: Reader, folder: Path, content: bytes) -> str | None:
    """What is wrong with how a file is taken; None where it is read, or refused in a line that names where it lies."""
    path = folder / reader.place
    path.write_bytes(content)
    try:
        with patience(PATIENCE), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("default", UserWarning)  # the library's own notes
            reader.read(path)
    except InputError as error:
        said = str(error)
        if str(folder) not in said:
            return f"refused without a file's name: {said}"
        return None if said.endswith(".") and said.isprintable() else f"refused, but not in a sentence: {said}"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {str(error)[:300]}"
    return None


def fuzz(reader: Reader, seconds: float, first: int = 0) -> tuple[int, bytes | None, str]:
    """Damage a file for so long, at least one batch: how many were tried; the content and the fault of a find."""
    tried, end = 0, time.monotonic() + seconds
    files = damaged(reader) | changed(reader) if reader.read is read_record else damaged(reader)
    how = settings(max_examples=BATCH, phases=PHASES, deadline=None, database=None, report_multiple_bugs=False)
    how = settings(how, suppress_health_check=[*HealthCheck])
    with tempfile.TemporaryDirectory() as folder:
        lay(reader, where := Path(folder))
        reader.read(where / reader.place)  # what is whole is read

        def one(content: bytes) -> None:
            nonlocal tried
            tried += 1
            if wrong := judged(reader, where, content):
                raise Find(content, wrong)

        try:
            while not tried or time.monotonic() < end:
                seed(first + tried)(how(given(files)(one)))()
        except Find as find:
            return tried, *find.args
    return tried, None, ""


def main(minutes: float = MINUTES) -> int:
    """A line for each reader; 1 where there is a find."""
    status, all_readers, first = 0, readers(), random.randrange(2**32)
    for name, reader in all_readers.items():
        tried, content, wrong = fuzz(reader, 60 * minutes / len(all_readers), first)
        print(f"{name}: {tried} files, {wrong or 'each read, or refused in a line'}", flush=True)
        if content is not None:
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = KEPT / f"{name}-{digest(content)[:8]}{Path(reader.place).suffix}"
            kept.write_bytes(content)
            print(f"    kept as {kept}; mend it, and give it a line in tests/hostile", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
