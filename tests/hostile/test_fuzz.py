"""`make fuzz`: a handful of its examples, and the proof that it finds a reader that fails."""

import re

import fuzz
import pytest

from serlib.corpora import iemocap
from serlib.corpora import table as tables
from serlib.errors import InputError
from serlib.runs import record


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few examples, and none made smaller."""
    monkeypatch.setattr(fuzz, "BATCH", 10)
    monkeypatch.setattr(fuzz, "PHASES", fuzz.PHASES[:1])


@pytest.mark.parametrize("name", fuzz.readers())
def test_a_handful(name):
    """Else a damaged file would end in a traceback, or be read into something that no table can be made of."""
    tried, content, wrong = fuzz.fuzz(fuzz.readers()[name], seconds=0)
    assert tried >= fuzz.BATCH and content is None, f"{wrong}\n{content}"


# Of each reader a place where a check is taken out, and what the fuzzing must then say.
strict = (iemocap, "_lines", lambda file: file.read_text("utf-8").split("\n"), "UnicodeDecodeError in")
CARELESS = {
    "table": (tables, "_names", lambda table: table.no_such_thing, "AttributeError in"),
    **dict.fromkeys(["labels", "transcripts", "phones"], strict),
    "alignment": (iemocap, "_SEGMENT", re.compile(r"\s*(\S+)\s+(\S+)\s+\S+\s+(\S+).*"), "ValueError in"),
    "record": (record, "inspect", lambda record: None, "Error in"),
}


@pytest.mark.parametrize("name", CARELESS)
def test_a_careless_reader_is_found(name, monkeypatch):
    """Else the command could print for hours that all is well."""
    place, what, careless, expected = CARELESS[name]
    monkeypatch.setattr(place, what, careless)
    _, content, wrong = fuzz.fuzz(fuzz.readers()[name], seconds=60)
    assert content is not None and expected in wrong, wrong


def test_what_is_found_is_kept(monkeypatch, tmp_path, capsys):
    """Else it would be printed once, and nobody could mend it."""
    monkeypatch.setattr(fuzz, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(fuzz, "fuzz", lambda reader, *_: (25, b"1" if "csv" in reader.place else None, "KeyError"))
    assert fuzz.main(minutes=0) == 1
    [kept] = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b"1" and f"table: 25 files, KeyError\n    kept as {kept};" in capsys.readouterr().out


def nothing(path):
    raise InputError("This cannot be read. Mend it.")


def half(path):
    raise InputError(f"{path}: wrong")


def for_ever(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "expected"),
    [(nothing, "without a file's name"), (half, "not in a sentence"), (for_ever, "TimeoutError in"), (str, None)],
)
def test_what_is_a_find(read, expected, monkeypatch, tmp_path):
    """Else a line that helps nobody, or a file that is read for ever, would count as well taken."""
    monkeypatch.setattr(fuzz, "PATIENCE", 0.2)
    wrong = fuzz.judged(fuzz.Reader("a.txt", "", (), read), tmp_path, b"")
    assert expected in wrong if expected else wrong is None
