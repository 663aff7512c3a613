"""Hostile corpora, a line each: what was done to a folder of speech, and what must be said of it."""

import csv
import filecmp
import os
import re
import shutil
import socket
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib.__main__ import main
from serlib.audio import RATE, read_audio
from serlib.corpora import COLUMNS, heal, leaks, load, read_folder, synthetic
from serlib.corpora.iemocap import alignment_path, read_alignment
from serlib.corpora.report import problems, report
from serlib.errors import InputError, shown
from serlib.plots import player
from serlib.protocols import li2018

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32)
ONE = "s0_anger_0.wav"


@pytest.fixture(scope="module")
def tones(tmp_path_factory, write_corpus):
    """Five speakers, four emotions, 0.5 s each: copied for every line."""
    return write_corpus(tmp_path_factory.mktemp("hostile") / "tones", speakers=5, takes=1, seconds=0.5)


def sound(path, samples=NOISE, rate=RATE, **how):
    """Write a sound, and give back its path."""
    soundfile.write(path, samples, rate, **how)
    return path


def floats(path, samples, rate=RATE):
    return sound(path, samples, rate, subtype="FLOAT")


def cut(path, share=0.5):
    """Leave the first part of a file, as a download that broke off does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def claim(path, at, kind, value):
    """Write a number into a header."""
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, at, value)
    path.write_bytes(content)
    return path


def untagged(path):
    """An MP3 without the frame that says how long it is."""
    content = path.read_bytes()
    second = content.index(content[:2], content.index(b"Xing"))
    path.write_bytes(content[second:])
    return path


def edit(folder, **columns):
    """Set columns of table.csv; a dictionary sets some rows, None removes a column."""
    table = pd.read_csv(folder / "table.csv", dtype="string", keep_default_na=False)
    for name, values in columns.items():
        if values is None:
            del table[name]
        elif isinstance(values, dict):
            table[name] = table.get(name, pd.Series("", table.index, dtype="string"))
            table.loc[list(values), name] = list(values.values())
        else:
            table[name] = values
    table.to_csv(folder / "table.csv", index=False)
    return folder


def heard(path, *times):
    """What is said when an utterance is read: its error, or its notes and its largest sample."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            waveform = read_audio(path, *times)
        except InputError as error:
            return f"refused: {error}"
    return f"{' '.join(str(note.message) for note in notes)} up to {np.abs(waveform).max():.3f}"


def checked(folder, *options):
    """The arguments of a check, for lines whose answer is what the command says."""
    return ["corpus", "check", str(folder), *options]


# A2, A4, D14: what was done to the folder (or what is heard in a file of it); what must be said.
AUDIO = {
    "16-bit values as floats": (lambda f: heard(floats(f / "a.wav", np.round(NOISE * 30000))), "refused: .*divided by"),
    "24-bit values as floats": (lambda f: heard(floats(f / "a.wav", NOISE * 2**23 + 0.5)), r"refused: .*within ±1\."),
    "whole numbers within ±1": (lambda f: heard(floats(f / "a.wav", np.sign(NOISE))), "refused: .*divided by"),
    "a little beyond ±1": (lambda f: heard(floats(f / "a.wav", NOISE * 2.5)), "beyond ±1: divided .* up to 1.000$"),
    "floats within ±1": (lambda f: heard(floats(f / "a.wav", NOISE)), "^ up to 0.500$"),
    "floats beyond ±1, checked": (
        lambda f: floats(f / ONE, np.round(NOISE * 30000)) and checked(f, "--deep"),
        r"error +1  samples are floats up to 15000, .*\n +first: s0_anger_0\.wav\n +Export it as 16-bit",
    ),
    "WAV cut in half": (lambda f: heard(cut(sound(f / "a.wav"))), "refused: .*shorter than its header claims"),
    "WAV cut in half, a stretch": (lambda f: heard(cut(sound(f / "a.wav")), 0.0, 0.5), "refused: .*shorter than its"),
    "AIFF cut in half": (lambda f: heard(cut(sound(f / "a.aiff"))), "refused: .*shorter than its header claims"),
    "RF64 cut in half": (lambda f: heard(cut(sound(f / "a.wav", format="RF64"))), "refused: .*shorter than its header"),
    "FLAC cut in half": (lambda f: heard(cut(sound(f / "a.flac"))), "refused: .*shorter than its header claims"),
    "MP3 cut in half": (lambda f: heard(cut(sound(f / "a.mp3"))), "refused: .*shorter than its header claims"),
    "MP3 cut in half, a stretch": (lambda f: heard(cut(sound(f / "a.mp3")), 0.0, 0.5), "refused: .*shorter than its"),
    "MP3 without its length": (lambda f: heard(untagged(sound(f / "a.mp3"))), "^ up to 0"),
    "WAV of a stream": (
        lambda f: heard(claim(claim(sound(f / "a.wav"), 4, "<I", 2**32 - 1), 40, "<I", 2**32 - 1)),
        "^ up to 0.500$",
    ),
    "a broken FLAC frame": (
        lambda f: heard(claim(sound(f / "a.flac"), 20000, "64s", b"\xff" * 64)),
        "refused: .*cannot be decoded to its end",
    ),
    "cut WAV, checked": (
        lambda f: cut(f / ONE) and checked(f),
        r"s0_anger_0\.wav: shorter than its header claims, so it was cut off\. Copy it again\. 1 of 20 files",
    ),
    "cut WAV of a known length, checked": (
        lambda f: edit(f, duration="0.5") and cut(f / ONE) and checked(f),
        r"error +1  cut off: shorter than the header claims\n +first: s0_anger_0\.wav\n +Copy it again",
    ),
    "cut FLAC, checked": (
        lambda f: cut(sound(f / "a.flac")) and edit(f, file={0: "a.flac"}, duration={0: "2"}) and checked(f),
        r"error +1  cut off: shorter than the header claims\n +first: a\.flac",
    ),
    "cut MP3, checked": (
        lambda f: cut(sound(f / "a.mp3")) and edit(f, file={0: "a.mp3"}, duration={0: "2"}) and checked(f),
        r"error +1  cut off: shorter than the header claims\n +first: a\.mp3",
    ),
    "broken in the middle, decoded": (
        lambda f: (
            claim(sound(f / "a.flac"), 20000, "64s", b"\xff" * 64)
            and edit(f, file={0: "a.flac"})
            and checked(f, "--deep")
        ),
        r"error +1  cut off or damaged, it cannot be decoded to its end\n +first: a\.flac\n +Copy it again",
    ),
    "silence, decoded": (
        lambda f: sound(f / ONE, NOISE * 0) and checked(f, "--deep"),
        r"error +1  is silent, every sample is zero\n +first: s0_anger_0\.wav",
    ),
    "60 kB that claim 1 Hz": (
        lambda f: heard(claim(sound(f / "a.wav"), 24, "<I", 1)),
        "refused: .*claims 1 samples per second, and speech has 4000",
    ),
    "60 kB that claim 1 Hz, checked": (
        lambda f: claim(f / ONE, 24, "<I", 1) and checked(f),
        r"s0_anger_0\.wav: claims 1 samples per second, .*Export it again at its true rate\.",
    ),
    "2 MHz": (lambda f: heard(claim(sound(f / "a.wav"), 24, "<I", 2_000_000)), "refused: .*Export it again at"),
    "a FLAC of an hour of nothing": (
        lambda f: heard(sound(f / "a.flac", np.zeros(4000 * 3601, np.int16), 4000)),
        "refused: .*more than an utterance may have .*Give start and end",
    ),
    "antiphase stereo": (
        lambda f: heard(sound(f / "a.wav", np.stack([NOISE, -NOISE], 1))),
        "refused: .*its channels cancel out, one is the other turned round. Export one of them",
    ),
}


def named(folder, **people):
    """Give other names to speakers: `s0="03"`."""
    table = pd.read_csv(folder / "table.csv", dtype="string")
    table.assign(speaker=table["speaker"].replace(people)).to_csv(folder / "table.csv", index=False)
    return folder


def copied(folder, name, to):
    """Put what one file holds in the place of another, in the other's format."""
    if name.endswith(to[-4:]):
        shutil.copy(folder / name, folder / to)
    else:
        sound(folder / to, soundfile.read(folder / name)[0])
    return folder


def talk(folder, *times):
    """All rows are stretches of one recording, of which these are the first."""
    rest = [(10 + n, 11 + n) for n in range(20 - len(times))]
    starts, ends = zip(*times, *rest, strict=True)
    sound(folder / "talk.wav", np.tile(NOISE, 20))
    return edit(folder, file="talk.wav", start=list(map(str, starts)), end=list(map(str, ends)))


# A3: what was done to the table or its files; what the check must say.
OTHER = "s1_anger_0.wav"
LEAKS = {
    "03 and 3": (lambda f: checked(named(f, s0="03", s1="3")), r"error +8  speakers that may be one: '03', '3'\n"),
    "s01 and s1": (
        lambda f: checked(named(f, s0="s01", s1="s1")),
        r"error +8  speakers that may be one: 's01', 's1'\n",
    ),
    "a space of no width": (
        lambda f: checked(named(f, s0="ann\u200ba", s1="anna")),
        r"error +8  speakers that may be one: 'ann\\u200ba', 'anna'\n.*\n +Give one person one name",
    ),
    "é and e with an accent": (
        lambda f: checked(named(f, s0="Ren\xe9", s1="Rene\u0301")),
        r"error +8  speakers that may be one: 'Ren\\xe9', 'Rene\\u0301'\n",
    ),
    "Anna and anna": (
        lambda f: checked(named(f, s0="Anna", s1="anna")),
        r"error +8  speakers that may be one: 'Anna', 'anna'",
    ),
    "no task of 03 and 3": (
        lambda f: checked(named(f, s0="03", s1="3")),
        r"li2018 +no  on tones: the speakers '03', '3' may be one(?s:.*)leaky_random_utterances +ok",
    ),
    "03, 30 and 33": (lambda f: checked(named(f, s0="03", s1="30", s2="33")), "none found"),
    "sessions 01 and 1": (
        lambda f: checked(edit(f, session=["01"] * 4 + ["1"] * 4 + ["2"] * 12)),
        r"note +8  sessions that may be one: '01', '1'\n",
    ),
    "one file under two speakers": (
        lambda f: checked(edit(f, file={4: ONE}, utterance_id=[f"u{n}" for n in range(20)])),
        r"error +2  one recording under two speakers(?s:.*)li2018 +no  on tones: u0 and u4 are one stretch",
    ),
    "one file by another way": (
        lambda f: checked(edit(f, file={4: f"../tones/{ONE}"}, utterance_id=[f"u{n}" for n in range(20)])),
        r"error +2  one recording under two speakers",
    ),
    "a copy under two speakers": (
        lambda f: checked(copied(f, ONE, OTHER)),
        r"error +2  one recording under two speakers\n +first: s0_anger_0\.wav\n +A fold would test on what",
    ),
    "a copy in another format, decoded": (
        lambda f: checked(edit(copied(f, ONE, "a.flac"), file={4: "a.flac"}), "--deep"),
        "error +2  one recording under two speakers",
    ),
    "a copy of the same speaker": (
        lambda f: checked(copied(f, ONE, "s0_neutral_0.wav")),
        r"note +2  one recording several times",
    ),
    "stretches that overlap": (
        lambda f: checked(talk(f, (0, 1), (1, 2), (2, 3), (3, 4), (0.5, 1.5))),
        r"error +3  one recording under two speakers",
    ),
    "turns that overlap a little": (
        lambda f: checked(talk(f, (0, 1), (1, 2), (2, 3), (3, 4), (3.9, 4.5))),
        r"note +2  stretches of two speakers overlap",
    ),
    "turns that do not": (lambda f: checked(talk(f, (0, 1), (1, 2), (2, 3), (3, 4), (4, 4.5))), "none found"),
}

LONG = "x" * 20_000_000


def table(folder, text, encoding="utf-8"):
    """Replace the table."""
    (folder / "table.csv").write_text(text, encoding)
    return folder


def heading(folder, names):
    """Other names of the columns."""
    rows = (folder / "table.csv").read_text().splitlines()[1:]
    return table(folder, "\n".join([names, *rows]))


def separated(folder, by):
    return table(folder, (folder / "table.csv").read_text().replace(",", by))


def refused(call, *arguments):
    """What is said when something is called."""
    try:
        call(*arguments)
    except InputError as error:
        return f"refused: {error}"
    return "nothing"


def aligned(folder, digits):
    """An alignment with a number of so many digits."""
    segment = f"{'9' * digits} 9 -9 SIL"
    (folder / "a.wdseg").write_text(f"SFrm EFrm SegAScr Word\n{segment}\n Total score: 9\n")
    return folder / "a.wdseg"


ALIGNED = " SFrm EFrm SegAScr Word\n 0 99 -99 SIL\n 100 199 -99 AWAY\n Total score: -198\n"

# C13, E15: what was done; what must be said.
SAID = {
    "a player of NaN": (
        lambda f: refused(player, np.where(NOISE > 0.4, np.nan, NOISE), "speech"),
        r"refused: This sound has no samples, or NaN or infinite ones, and cannot be played\. Look at its array\.",
    ),
    "a player of infinity": (lambda f: refused(player, NOISE + np.inf, "speech"), "refused: This sound has"),
    "a player of nothing": (lambda f: refused(player, NOISE[:0], "speech"), "refused: This sound has no samples"),
    "an infinite start": (
        lambda f: checked(edit(f, start={3: "inf"})),
        r"error: .*row 4 \(s0_sadness_0\): start is infinite; 1 such rows\. Correct the table\.",
    ),
    "an infinite end": (lambda f: checked(edit(f, end={3: "1e999"})), r"error: .*row 4 .*: end is infinite"),
    "read to infinity": (lambda f: heard(f / ONE, 0.0, np.inf), "refused: .*is no stretch of a file. Correct"),
    "read from nowhere": (lambda f: heard(f / ONE, np.nan, 1.0), "refused: .*is no stretch of a file. Correct"),
    "read from before": (lambda f: heard(f / ONE, -1.0, 1.0), "refused: .*is no stretch of a file. Correct"),
    "emotion twice but for a blank": (
        lambda f: checked(heading(f, "file,emotion,emotion ")),
        r"error: .*the column 'emotion' stands twice\. Remove or rename one",
    ),
    "emotion twice": (lambda f: checked(heading(f, "file,emotion,emotion")), r"error: .*'emotion' stands twice\."),
    "Latin-1 in the folder's name": (
        lambda f: checked(f.rename(os.fsdecode(os.fsencode(f.parent) + b"/Gef\xfchle"))),
        r"^error: .*Gef\\udcfchle: this name is not UTF-8\. Rename the folder, in plain letters\.",
    ),
    "5,000 digits in an alignment": (
        lambda f: refused(read_alignment, aligned(f, 5000)),
        r"refused: .*a\.wdseg, line 2 is torn: '9{40} … 9+ 9 -9 SIL'\. Copy it again",
    ),
    "20 digits in an alignment": (lambda f: refused(read_alignment, aligned(f, 20)), "refused: .*line 2 is torn"),
    "EmoDB without a network": (
        lambda f: ["corpus", "check", "emodb"],
        r"^error: emodb 2\.0\.0 cannot be fetched through audb \(.*\)\. Is there a network\? Or put .*SERLIB_DATA\.\n$",
    ),
    "no name at all": (
        lambda f: ["corpus", "check", ""],
        r"^error: The name of the corpus is empty\. Name one, such as",
    ),
    "an escape in an emotion": (
        lambda f: checked(edit(f, emotion={0: "\x1b[31mrage\x07"})),
        r"1 \\x1b\[31mrage\\x07\n(?s:.*)no name for: \\x1b\[31mrage\\x07\n",
    ),
    "an escape in a file's name": (
        lambda f: checked(edit(f, file={0: (f / ONE).rename(f / "a\x1b]0;b\x07.wav").name}, speaker={0: "s9"})),
        r"first: a\\x1b\]0;b\\x07\.wav\n",
    ),
    "an escape in the folder's name": (
        lambda f: checked(f.rename(f.with_name("\x1b[2Jcorpus"))),
        r"^\\x1b\[2Jcorpus\n",
    ),
    "an escape in a speaker": (
        lambda f: checked(edit(f, speaker={0: "\x1b[31m", 1: "\x1b[31m "}, gender={0: "\x1b[0m"})),
        r"error: .*row 1 \(s0_anger_0\): gender is none of female, male",
    ),
    "a line's end in an id": (
        lambda f: checked(edit(f, utterance_id=["a\nerror: b"] * 20)),
        r"^error: .*row 2 \(a\\nerror: b\): this utterance_id stands there twice; 19 such rows\.[^\n]*\n$",
    ),
    "letters that go backwards": (
        lambda f: checked(edit(f, emotion={0: "\u202eregna"})),
        r"no name for: \\u202eregna\n",
    ),
    "20 MB in an emotion": (lambda f: checked(edit(f, emotion={0: LONG})), r"no name for:\s+x{40} …\s+x{40}\n"),
    "20 MB in an id": (
        lambda f: checked(edit(f, utterance_id=[LONG, LONG, *map(str, range(18))])),
        r"row 2 \(x{40} … x{40}\): this utterance_id stands there twice",
    ),
    "20 MB in a rating": (
        lambda f: checked(edit(f, valence={2: LONG})),
        r"column 'valence' should hold numbers, and row 3 has 'x{40} … x{40}'\.",
    ),
    "20 MB in a heading": (lambda f: checked(heading(f, f"{LONG},speaker,emotion")), "'file' is missing; found x+ … "),
    "long emotions": (
        lambda f: checked(edit(f, emotion=[f"{n:03}" + "y" * 900 for n in range(20)])),
        r"no name for:\s+\d+y+ …\s+y+",
    ),
    "a rating as text": (
        lambda f: checked(edit(f, valence={2: "high"})),
        r"'valence' should hold numbers, and row 3 has 'high'\. Write a number, with a decimal point, or leave",
    ),
    "a rating with a comma": (
        lambda f: checked(edit(f, valence={2: "3,5"})),
        r"'valence' should hold numbers, and row 3 has '3,5'\. Write a number, with a decimal point",
    ),
    "semicolons": (
        lambda f: checked(separated(f, ";")),
        r"'file' is missing; found file;speaker;emotion\. Its fields are separated by ';': save it with commas\.",
    ),
    "tabs": (lambda f: checked(separated(f, "\t")), r"Its fields are separated by '\\t': save it with commas\."),
    "File": (
        lambda f: checked(heading(f, "File,Speaker,Emotion")),
        r"'file' is missing; found File, Speaker, Emotion\. Write the names of columns in small letters\.",
    ),
    "no file at all": (
        lambda f: checked(edit(f, file=None)),
        r"'file' is missing; found speaker, emotion\. Complete it",
    ),
    "an empty file": (
        lambda f: checked(edit(f, file={2: ""})),
        r"row 3 .*: file is empty; 1 such rows\. Fill it in, or remove the row\.",
    ),
    "a path that leads out": (
        lambda f: checked(
            edit(f, file={0: shutil.copy(f / ONE, f.parent / "up.wav") and "../up.wav"}, speaker={0: "s9"})
        ),
        r"note +1  audio outside of the corpus's folder\n +first: .*up\.wav\n +Move it into the folder",
    ),
    "an absolute path": (
        lambda f: checked(edit(f, file={0: str(shutil.copy(f / ONE, f.parent / "up.wav"))})),
        r"note +1  audio outside of the corpus's folder\n +first: .*up\.wav",
    ),
    "an absolute path within": (lambda f: checked(edit(f, file={0: str(f / ONE)})), "none found"),
}
TABLE = AUDIO | LEAKS | SAID


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small synthetic corpus, as it lies in a cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", str(tmp_path_factory.mktemp("made")))
        return Path(load().attrs["folder"]), load()


def unsaid(files):
    """Make label files begin as IEMOCAP's."""
    for file in files:
        file.write_text(re.sub(r"^% synthetic.*: \[", "% [", file.read_text()))


# A5: what was taken from a synthetic corpus; it must not pass for IEMOCAP.
UNNAMED = {
    "its note": lambda root: (root / "SYNTHETIC.txt").unlink(),
    "its note, overwritten": lambda root: (root / "SYNTHETIC.txt").write_text("iemocap"),
    "a first line": lambda root: unsaid([max(root.glob("Session5/dialog/EmoEvaluation/*.txt"))]),
    "four sessions' first lines": lambda root: unsaid(root.glob("Session[1345]/dialog/EmoEvaluation/*.txt")),
}


@pytest.mark.parametrize("take", UNNAMED.values(), ids=UNNAMED)
def test_a_synthetic_corpus_without(take, made, tmp_path, monkeypatch):
    """Else a score on synthetic speech would stand in a column that says IEMOCAP."""
    root = shutil.copytree(made[0], tmp_path / "IEMOCAP_full_release")
    take(root)
    monkeypatch.setenv("SERLIB_IEMOCAP", str(root))
    assert li2018(load()).corpus == "synthetic"


# B11: what happened to the synthetic corpus in the cache; it must be as before, and the command say what it did.
WAV = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
LABELS, SPOKEN = (f"Session1/dialog/{kind}/Ses01F_impro01.txt" for kind in ("EmoEvaluation", "transcriptions"))
DAMAGE = {
    "a wav deleted": lambda root: (root / WAV).unlink(),
    "a wav cut in half": lambda root: cut(root / WAV),
    "a bit of a wav flipped": lambda root: claim(root / WAV, 10_000, "B", 77),
    "labels emptied": lambda root: (root / LABELS).write_text(""),
    "a transcript deleted": lambda root: (root / SPOKEN).unlink(),
    "all of it deleted": lambda root: [shutil.rmtree(folder) for folder in root.glob("Session*")],
    "its note deleted": lambda root: (root / "SYNTHETIC.txt").unlink(),
    "its digests torn, a wav cut": lambda root: (cut(root / "digests.json"), cut(root / WAV)),
    "its digests deleted, a wav cut": lambda root: ((root / "digests.json").unlink(), cut(root / WAV)),
}


@pytest.mark.filterwarnings("always:.*is damaged")  # which the command shows as a line
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_synthetic_corpus_heals(damage, made, tmp_path, monkeypatch, capsys):
    """Else every chapter would stop at the damaged file, or train on it, and making the corpus repeat the error."""
    whole, before = made
    if damage is not DAMAGE["a wav deleted"]:  # once in earnest
        monkeypatch.setattr(synthetic, "make_synthetic", lambda root, size: shutil.copytree(whole, root))
    root = shutil.copytree(whole, tmp_path / "cache" / whole.name)
    damage(root)
    assert main(["corpus", "make"]) == 0
    after, (out, err) = load(), capsys.readouterr()
    assert re.search(r"^note: .* is damaged .*and is made again", err, re.MULTILINE)
    assert out == f"{root}: 210 utterances\n" and after.attrs == before.attrs | {"folder": str(root)}
    pd.testing.assert_frame_equal(after.drop(columns="path"), before.drop(columns="path"))
    assert all(map(filecmp.cmp, before["path"], after["path"])) and not list(root.parent.glob("*.damaged"))


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_two_processes_heal_a_corpus(made, tmp_path, monkeypatch):
    """Else the second would delete what the first has just made, and reads by now."""
    whole, seen, damaged = made[0], [], heal.damage
    monkeypatch.setattr(synthetic, "make_synthetic", lambda root, size: shutil.copytree(whole, root))
    root = shutil.copytree(whole, tmp_path / "cache" / whole.name)
    cut(root / WAV)

    def late(where):
        found = damaged(where)
        if not seen:
            seen.append((root / WAV).stat().st_size)
            heal.load_synthetic()
            seen.append((root / WAV).stat().st_ino)
        return found

    monkeypatch.setattr(heal, "damage", late)
    heal.load_synthetic()
    assert seen[0] < (root / WAV).stat().st_size and seen[1] == (root / WAV).stat().st_ino


def test_a_disk_that_is_full_damages_nothing(made, tmp_path, monkeypatch):
    """Else a whole corpus would be made again, because there was no room for its digests in the cache."""
    root = shutil.copytree(made[0], tmp_path / "cache" / made[0].name)

    def full(files):
        raise InputError("No room on disk to write contents. Free some space.")

    monkeypatch.setattr(synthetic, "contents", full)
    with pytest.raises(InputError, match="No room"):
        heal.load_synthetic()
    assert (root / WAV).exists()


def test_a_folder_of_yours_is_not_made_again(made, tmp_path, capsys):
    """Else `corpus make PATH` would call a damaged folder whole, or delete what is yours."""
    shutil.copytree(made[0], tmp_path / "mine")
    assert main(["corpus", "make", str(tmp_path / "mine")]) == 0
    cut(tmp_path / "mine" / WAV)
    assert main(["corpus", "make", str(tmp_path / "mine")]) == 1 and (tmp_path / "mine" / WAV).exists()
    assert re.search(r"error: .*mine is damaged \(.*\)\. Remove it, and make it again\.\n$", capsys.readouterr().err)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and an empty home, which is given back."""

    def unreachable(*arguments, **options):
        raise OSError("Network is unreachable")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, unreachable)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.mark.parametrize("what", ["", "table.csv", ONE])
def test_what_you_may_not_read(what, tones, capsys):
    """Else the answer would be a number of the system's, without what to do."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", f"{place}/cache")
        folder, root = shutil.copytree(tones, Path(place) / "tones"), os.geteuid() == 0
        Path(place).chmod(0o777)
        assert main(checked(folder)) == 0
        (folder / what).chmod(0)
        try:
            os.seteuid(65534 if root else os.geteuid())  # who may read everything asks as somebody who may not
            status, said = main(checked(folder)), capsys.readouterr().err
        finally:
            os.seteuid(0 if root else os.geteuid())
            (folder / what).chmod(0o700)
    expected = r"^error: .*you may not read this f\w+\. Change its permissions, or ask its owner"
    assert status == 1 and re.search(expected, said), said


# E15: what was done to a release in IEMOCAP's layout; what must be said.
RELEASES = {
    "a copy of a label file": (
        lambda root: shutil.copy(root / LABELS, (root / LABELS).with_name("Ses01F_impro01 (1).txt")),
        r"^error: .*Ses01F_impro01 \(1\)\.txt: no dialogue has this name, so it is a copy of another file\. Remove",
    ),
    "a transcript missing": (
        lambda root: (root / SPOKEN).unlink(),
        r"error +1  missing transcripts of a dialogue\n +first: Session1/dialog/transcriptions/Ses01F_impro01\.txt",
    ),
    "a transcript torn": (
        lambda root: cut(root / SPOKEN),
        r"error +1  transcripts that were cut off\n +first: Session1/dialog/transcriptions/Ses01F_impro01\.txt",
    ),
    "an escape in a label": (
        lambda root: (root / LABELS).write_text((root / LABELS).read_text().replace("\tneu\t", "\t\x1b[31m\t")),
        r"^error: .*Ses01F_impro01\.txt, line \d+ is torn: '.*\\x1b\[31m",
    ),
    "20 MB in a label file": (
        lambda root: (root / LABELS).write_text(f"[{LONG}"),
        r"^error: .*line 1 is torn: '\[x+ … x+'\. Copy it again",
    ),
    "5,000 digits in an alignment": (
        lambda root: aligned(root, 5000).replace(alignment_path(root / WAV)),
        r"error +1  torn \.wdseg alignments",
    ),
    "5,000 digits in a phone": (
        lambda root: aligned(root, 5000).replace(alignment_path(root / WAV, "phseg")),
        r"error +1  torn \.phseg alignments",
    ),
    "a letter that is a blank in an alignment": (
        lambda root: alignment_path(root / WAV).write_text(ALIGNED.replace(" -99", " \u2028"), "utf-8"),
        r"error +1  torn \.wdseg alignments",
    ),
    "an alignment that lost its first line": (
        lambda root: alignment_path(root / WAV).write_text("\n 0 99 -99 SIL\n Total score: -99\n"),
        r"error +1  torn \.wdseg alignments",
    ),
    "5,000 digits in a time": (
        lambda root: (root / LABELS).write_text(f"[0.1 - {'9' * 5000}]\tSes01F_impro01_F000\tneu\t[2, 2, 2]\n"),
        r"^error: .*line 1 is torn",
    ),
}


@pytest.mark.parametrize(("damage", "expected"), RELEASES.values(), ids=RELEASES)
def test_a_release(damage, expected, made, tmp_path, capsys):
    """Else the good file would be blamed, words be missing without an error, or a terminal do what a label says."""
    root = shutil.copytree(made[0], tmp_path / "release")
    damage(root)
    assert main(checked(root)) == 1
    said = "".join(capsys.readouterr())
    assert re.search(expected, said) and all(line.isprintable() for line in said.splitlines()), said[:3000]


@pytest.mark.parametrize(("make", "expected"), TABLE.values(), ids=TABLE)
def test_what_is_said(make, expected, tones, tmp_path, capsys, offline):
    """Else a reader would train on what the line describes without a word, or meet a traceback that names no file."""
    said = make(shutil.copytree(tones, tmp_path / "tones"))
    if isinstance(said, list):
        status = main(said)
        said = "".join(capsys.readouterr())
        assert status == ("error" in said), said
    assert re.search(expected, said), said
    assert "Traceback" not in said and len(said) < 20_000 and not list(offline.iterdir())
    assert all(line.isprintable() for line in said.splitlines())


# A2, A3, A4, from end to end: what was done to a corpus; a table of results must not come out.
RESULTS = {
    "floats beyond ±1": (lambda f: floats(f / ONE, np.round(NOISE * 30000)), "samples are floats up to"),
    "a cut WAV": (lambda f: cut(f / ONE), "shorter than its header"),
    "a cut FLAC": (lambda f: cut(sound(f / "a.flac")) and edit(f, file={0: "a.flac"}), "shorter than its header"),
    "a cut MP3": (lambda f: cut(sound(f / "a.mp3")) and edit(f, file={0: "a.mp3"}), "shorter than its header"),
    "one person under two names": (lambda f: named(f, s0="03", s1="3"), "may be one person"),
    "a copy under two people": (lambda f: copied(f, ONE, OTHER), "one stretch of s0_anger_0.wav under two speakers"),
    "one recording under two people": (
        lambda f: edit(f, file={4: ONE}, utterance_id=[f"u{n}" for n in range(20)]),
        "one stretch of s0_anger_0.wav under two speakers",
    ),
}


@pytest.mark.parametrize(("damage", "expected"), RESULTS.values(), ids=RESULTS)
def test_no_number_comes_out(damage, expected, tones, tmp_path, capsys):
    """Else a paper's table would rest on what the line describes, although the durations in the table look right."""
    folder = edit(shutil.copytree(tones, tmp_path / "tones"), duration="0.5")
    damage(folder)
    status = main(["reproduce", "li2018", "--corpus", str(folder), "--folder", str(tmp_path / "runs")])
    said = capsys.readouterr().err
    assert status == 1 and expected in said and not list((tmp_path / "runs").rglob("*.json")), said


properties = settings(max_examples=60, deadline=None, database=None, derandomize=True)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
times = (
    st.just("")
    | st.just("0")
    | st.sampled_from(["", "0", "0.1", "0.5", "1e999", "inf", "nan", "-1", "x", "0,5", "9" * 400])
)
some_rows = st.lists(
    st.fixed_dictionaries(
        {"file": st.sampled_from(["a.wav", "b.wav", " a.wav", "../tones/a.wav", "", "A.WAV"]) | anything}
        | {"speaker": st.sampled_from(["s", "S", "03", "3", ""]) | anything, "emotion": anything}
        | {
            "start": times,
            "end": times,
            "duration": times,
            "valence": times,
            "gender": st.just("") | st.just("male") | anything,
        }
    ),
    max_size=6,
)


def is_answered(folder):
    """A folder is either read and reported on, or refused; whatever it holds, what is shown is lines of plain text."""
    try:
        read = read_folder(folder)
        said = report(read, problems(read))
        assert list(read)[: len(COLUMNS)] == list(COLUMNS) and read["utterance_id"].is_unique
        assert np.isfinite(read["duration"]).all() and (read["end"].fillna(np.inf) > read["start"].fillna(0)).all()
    except InputError as error:
        said = str(error)
        assert said.endswith(".") and str(folder.name) in said and "\n" not in said
    assert all(line.isprintable() for line in said.replace("\N{NO-BREAK SPACE}", " ").split("\n")), said


@properties
@given(some_rows, st.sampled_from([",", ";", "\t"]))
def test_any_table(tmp_path_factory, rows, separator):
    """Else somebody's table would end in a traceback, or be read into something that is no corpus."""
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.wav", "b.wav"):
        sound(folder / name)
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        names = ["file", "speaker", "emotion", "start", "end", "duration", "valence", "gender"]
        writer = csv.DictWriter(file, names, delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    is_answered(folder)


@properties
@given(st.binary(max_size=200) | st.binary(max_size=99).map(lambda some: b"file,speaker,emotion\na.wav,s," + some))
def test_any_bytes(tmp_path_factory, content):
    """Else a table that was damaged or is none would end in a traceback."""
    folder = tmp_path_factory.mktemp("any")
    sound(folder / "a.wav")
    (folder / "table.csv").write_bytes(content)
    is_answered(folder)


@properties
@given(st.lists(st.text("aA0é\u0301\u200b 3", min_size=1, max_size=4), min_size=1, max_size=8))
def test_alike_is_an_equivalence(names):
    """Else whether two names are one person would depend on who else is there."""
    groups = leaks.alike(pd.Series(names, dtype="string"))
    pairs = {frozenset((one, other)) for group in groups for one in group for other in group if one != other}
    for one in {*names}:
        for other in {*names} - {one}:
            assert (frozenset((one, other)) in pairs) == bool(leaks.alike(pd.Series([one, other], dtype="string")))


@properties
@given(st.text(max_size=300), st.integers(10, 100))
def test_shown(text, longest):
    """Else a terminal would obey a label, or a message be as long as what somebody wrote into a table."""
    said = shown(text, longest)
    assert said.isprintable() and len(said) <= 10 * (longest + 3)
    assert said == text or not text.isprintable() or len(text) > longest
    assert shown(said, 10**6) == said
