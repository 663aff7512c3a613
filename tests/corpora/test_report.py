"""`python -m serlib corpus`: what it makes, what it says of a sound corpus, and of everything that may be wrong."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

from serlib import corpora
from serlib.__main__ import main
from serlib.corpora import heal, iemocap, report, synthetic

DIALOGUE = "Ses01F_impro01"
LABELS = f"Session1/dialog/EmoEvaluation/{DIALOGUE}.txt"
SPOKEN = f"Session1/dialog/transcriptions/{DIALOGUE}.txt"
WAV = f"Session1/sentences/wav/{DIALOGUE}/{DIALOGUE}_F000.wav"
WORDS, PHONES = (f"Session1/sentences/ForcedAlignment/{DIALOGUE}/{DIALOGUE}_F000.{kind}seg" for kind in ("wd", "ph"))


def command(*arguments, **environment):
    """The real command, in a process of its own."""
    line = [sys.executable, "-m", "serlib", "corpus", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, env=os.environ | environment, encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small synthetic corpus, made once with the real command, and what the command said."""
    root = tmp_path_factory.mktemp("made") / "release"
    return root, command("make", root, "--size", "small", "--seed", 3)


@pytest.fixture
def release(made, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(made[0], tmp_path / "copies" / "IEMOCAP_full_release")


@pytest.fixture
def say(capsys):
    """A function that checks a corpus and gives the exit status, what stands on stdout, and what on stderr."""

    def say(what):
        status = main(["corpus", "check", str(what)])
        return status, *capsys.readouterr()

    return say


def write(path, change):
    """Change what a file holds: a function of its bytes, or the new bytes."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(change(path.read_bytes()) if callable(change) else change)


def everywhere(root, pattern, change):
    for path in sorted(root.rglob(pattern)):
        write(path, change)


def edit(folder, **columns):
    """Set columns of a folder's table.csv; a dictionary sets some rows, None removes a column."""
    table = pd.read_csv(folder / "table.csv", dtype="string")
    for name, values in columns.items():
        if isinstance(values, dict):
            table[name] = table.get(name, pd.Series(pd.NA, table.index, dtype="string"))
            table.loc[list(values), name] = list(values.values())
        else:
            table[name] = values
    table.to_csv(folder / "table.csv", index=False)


def sound(path, seconds, rate=16_000, channels=1):
    soundfile.write(path, np.full((round(seconds * rate), channels), 0.1), rate)


def half(content):
    return content[: len(content) // 2]


def test_make_says_where_and_how_many(made):
    """Else somebody who made a corpus would look for it, or not know whether it is whole."""
    root, process = made
    assert (process.returncode, process.stdout) == (0, f"{root}: 210 utterances\n")
    assert "Traceback" not in process.stderr
    assert corpora.read_path(root).attrs["corpus"].startswith("synthetic")


def test_make_without_a_path_fills_the_cache(made, monkeypatch, capsys):
    """Else the corpus that the chapters read would lie elsewhere, or have another size than was asked for."""
    asked = []
    monkeypatch.setattr(heal, "load_synthetic", lambda size: asked.append(size) or iemocap.read_iemocap(made[0]))
    assert main(["corpus", "make", "--size", "small"]) == 0 and asked == ["small"]
    assert capsys.readouterr().out == f"{made[0]}: 210 utterances\n"


def test_nothing_can_be_read(corpus, capsys):
    """Else the check of a folder that was copied badly, whole, would end in a traceback."""
    rows = pd.read_csv(corpus / "table.csv").assign(duration=2.1)
    rows.to_csv(corpus / "table.csv", index=False)
    for file in corpus.glob("*.wav"):
        file.write_bytes(b"no sound")
    assert main(["corpus", "check", str(corpus)]) == 1
    assert re.search(rf"error +{len(rows)}  audio cannot be read", capsys.readouterr().out)


def test_make_writes_over_nothing(corpus, capsys):
    """Else a typing error would mix a synthetic corpus with a folder of yours."""
    before = sorted(corpus.iterdir())
    assert main(["corpus", "make", str(corpus)]) == 1 and sorted(corpus.iterdir()) == before
    assert re.fullmatch(r"error: .*tones is not empty\. .*\n", capsys.readouterr().err)


def test_make_takes_any_way_to_name_a_folder(made, monkeypatch, tmp_path, capsys):
    """Else an empty folder that one stands in, or one below ~ on Windows, would not do, or another be made."""
    asked = []
    monkeypatch.setattr(synthetic, "make_synthetic", lambda *how: asked.append(how) or made[0])
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    for path in (".", "~/new"):
        assert main(["corpus", "make", path]) == 0
    assert asked == [(tmp_path, "small", 0), (tmp_path / "new", "small", 0)]
    assert capsys.readouterr().out == 2 * f"{made[0]}: 210 utterances\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "required: corpus"),
        ("corpus", "required"),
        ("corpus mend", "invalid choice: 'mend'"),
        ("corpus make --seed 3", "--seed is a number from 0 on and needs a PATH"),
        ("corpus make here --seed -3", "--seed is a number from 0 on"),
        ("corpus make here --seed three", "invalid int value: 'three'"),
        ("corpus make --size huge", "invalid choice: 'huge'"),
        ("corpus check here there", "unrecognized arguments: there"),
    ],
)
def test_wrong_usage(line, message, capsys, monkeypatch, tmp_path):
    """Else a wrong option would be ignored, or make something other than what was meant."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert stop.value.code == 2 and message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_report_of_a_sound_corpus(release, say):
    """Else the first look at a corpus would count wrongly, find what is not there, or not fit a window."""
    status, out, _ = say(release)
    lines = out.splitlines()
    assert status == 0 and lines[1] == str(release) and max(len(line) for line in lines[2:]) <= 88
    table = corpora.read_path(release)
    hours, neutral = table["duration"].sum() / 3600, (table["emotion"] == "neutral").sum()
    for fact in (
        "utterances    210",
        "speakers      10 (5 women, 5 men)",
        "sessions      5",
        f"length        {hours:.2f} h; mean {table['duration'].mean():.2f} s",
        f"{neutral} neutral",
        "ratings       210 valence, 210 activation, 210 dominance",
        "transcripts   210",
        "votes         210",
        "problems\n  none found",
    ):
        assert fact in out
    for name, folds in {"li2018": "10 folds", "zhang2019_stated": "1 fold", "common_loso": "5 folds"}.items():
        assert re.search(rf"^  {name} +ok  \d+ utterances, {folds}$", out, flags=re.M)
    demonstration = out.index("for demonstration only")
    assert out.index("common_speakers") < demonstration < out.index("leaky_marker_as_speaker")


def test_the_report_of_a_table(corpus, say):
    """Else what is absent would look as if it were there, or mapped levels as if people had rated them."""
    status, out, _ = say(corpus)
    assert status == 0 and out.splitlines()[:2] == ["tones", str(corpus)]
    assert "speakers      3\n" in out and "6 anger, 6 happiness, 6 neutral, 6 sadness" in out
    for fact in ("sessions      not known", "scenario      not known", "ratings       none", "votes         none"):
        assert fact in out
    assert re.search(r"li2018 +ok  24 utterances, 3 folds\n", out)
    for name in ("jalal2020", "jalal2020_retrained", "leaky_jalal2020_chosen_on_test"):
        assert re.search(rf"^  {name} +no  needs five sessions, or five speakers\s+without\s+sessions, and", out, re.M)
    edit(corpus, speaker=["a", "b", "c", "d", "e", "f"] * 4)
    assert "1 fold, levels mapped from emotions" in " ".join(say(corpus)[1].split())


def test_without_a_name_the_environment_says_what(corpus, monkeypatch, capsys):
    """Else the corpus that is checked would not be the one that the chapters read."""
    monkeypatch.setenv("SERLIB_CORPUS", str(corpus))
    assert main(["corpus", "check"]) == 0 and capsys.readouterr().out.startswith("tones\n")


def speech_with_accents(root):
    write(root / SPOKEN, lambda text: re.sub(rb"(?<=: ).+", b"Ol\xe9, se\xf1or.", text, count=1))


def longer(text):
    """An alignment whose last segment ends 50 frames later."""
    return re.sub(rb"(\d+)(\s+\S+\s+\S+\s+Total)", lambda last: b"%d%s" % (int(last[1]) + 50, last[2]), text)


def a_dialogue_less(root):
    (root / LABELS).unlink()


def an_utterance_less(root):
    """A label file that was cut off between two utterances: nothing in it looks torn."""
    write(root / LABELS, lambda text: text[: text.rindex(b"\n[")])


def as_recorded(root):
    """Nothing says any more that it is synthetic."""
    (root / "SYNTHETIC.txt").unlink()
    everywhere(root, "EmoEvaluation/Ses*.txt", lambda text: re.sub(rb"^% synth.*: \[", b"% [", text))


def shadows(root):
    for path in [*root.rglob("*.txt"), *root.rglob("*.wav")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")


def header_only(path):
    path.unlink()
    sound(path, 0)


# What was done to the release; what is said of it; the exit status.
RELEASES = {
    "nothing": (lambda root: None, "none found", 0),
    "the folder above": (lambda root: root.parent, "none found", 0),
    "sessions in a folder of another name": (lambda root: root.rename(root.parent / "corpora"), "none found", 0),
    "Windows line ends": (lambda root: everywhere(root, "*.*g", lambda t: t.replace(b"\n", b"\r\n")), "none found", 0),
    "Windows line ends of labels": (
        lambda root: everywhere(root, "Ses*.txt", lambda text: text.replace(b"\n", b"\r\n")),
        "none found",
        0,
    ),
    "a Mac's shadow files": (shadows, "none found", 0),
    "Latin-1 transcripts": (speech_with_accents, "none found", 0),
    "a session missing": (lambda root: shutil.rmtree(root / "Session3"), r"Session3 is missing\. Copy it there", 1),
    "one session given": (lambda root: root / "Session1", r"Session1 holds neither a table\.csv nor", 1),
    "no transcripts": (
        lambda root: [shutil.rmtree(folder) for folder in root.glob("Session*/dialog/transcriptions")],
        r"error +210  without a transcript\n.*\n +Copy dialog/transcriptions again",
        1,
    ),
    "no label files": (lambda root: shutil.rmtree(root / "Session2/dialog"), r"EmoEvaluation has no Ses\*\.txt", 1),
    "a label file cut half-way": (
        lambda root: write(root / LABELS, lambda text: text[: text.rindex(b"\tang\t") + 3]),
        rf"{DIALOGUE}\.txt, line \d+ is torn",
        1,
    ),
    "a label file cut between utterances": (an_utterance_less, "error      1  wavs without a label", 1),
    "a label file missing": (a_dialogue_less, r"error +\d\d  wavs without a label\n +first: .*impro01", 1),
    "an empty label file": (lambda root: write(root / LABELS, b""), r"impro01\.txt summarises no utterance", 1),
    "an id twice": (lambda root: write(root / LABELS, lambda text: text + text), "_F?M?[0-9]+ stands twice", 1),
    "an unknown label": (
        lambda root: write(root / LABELS, lambda text: text.replace(b"\tang\t", b"\tbor\t")),
        r"line \d+: label 'bor'",
        1,
    ),
    "a wav missing": (lambda root: (root / WAV).unlink(), "1 wavs are missing", 1),
    "a wav of no bytes": (lambda root: write(root / WAV, b""), "error      1  audio cannot be read", 1),
    "a wav of no samples": (lambda root: header_only(root / WAV), r"error      1  empty, or shorter than a frame", 1),
    "a wav cut half-way": (lambda root: write(root / WAV, half), "error      1  cut off: shorter than the header", 1),
    "a session of another rate": (
        lambda root: [sound(wav, soundfile.info(wav).duration, 8000) for wav in root.glob("Session1/**/*.wav")],
        r"note +\d\d  at 8000 Hz\n.*\n +Will be resampled to 16000 Hz",
        0,
    ),
    "an alignment longer than its audio": (
        lambda root: write(root / WORDS, longer),
        rf"error      1  \.wdseg alignments longer than their audio[^\n]*\n +first: .*{DIALOGUE}_F000\.wdseg",
        1,
    ),
    "an alignment cut half-way": (lambda root: write(root / PHONES, half), r"error      1  torn \.phseg alignments", 1),
    "an alignment torn within": (
        lambda root: write(root / WORDS, lambda text: text.replace(b"SegAScr Word\n", b"SegAScr Word\n 0 x\n")),
        r"error      1  torn \.wdseg alignments",
        1,
    ),
    "an empty alignment": (lambda root: write(root / WORDS, b""), r"error      1  torn \.wdseg alignments", 1),
    "an alignment missing, as in the release": (
        lambda root: (root / WORDS).unlink(),
        r"note       1  missing \.wdseg alignments\n +first: Session1",
        0,
    ),
    "alignments not copied": (
        lambda root: [shutil.rmtree(root / f"Session{n}/sentences/ForcedAlignment") for n in range(1, 6)],
        r"(?s)note     210  missing \.wdseg.*note     210  missing \.phseg",
        0,
    ),
    "a part of IEMOCAP": (
        as_recorded,
        r"error +210  impro4_hap on iemocap: in all: expected 2280, (?s:.*)li2018 +no  impro4_hap on iemocap: in all: ",
        1,
    ),
    "a transcript file missing": (
        lambda root: (root / SPOKEN).unlink(),
        r"(?s)error +1  missing transcripts of a dialogue.*note +\d\d  without a transcript, which others have",
        1,
    ),
}


@pytest.mark.parametrize(("damage", "message", "status"), RELEASES.values(), ids=RELEASES)
def test_a_release_after_strangers_disks(release, damage, message, status, say):
    """Else a copy that went wrong would be found in the middle of a night's training, or a good one refused."""
    other = damage(release)
    found, out, err = say(other if isinstance(other, type(release)) else release)
    assert found == status and re.search(message, out + err) and "Traceback" not in err
    assert err.startswith("error: ") if not out else err == ""
    assert ("  error  " in out) == (status == 1 and not err)


def test_accents_of_latin_1_survive(release):
    """Else the words of a copy from an old computer would be read as question marks."""
    speech_with_accents(release)
    assert corpora.read_path(release).set_index("path")["transcript"][str(release / WAV)] == "Olé, señor."


def test_alignments_that_are_sound_are_read_lightly(release, say, monkeypatch):
    """Else twenty thousand files would become twenty thousand tables, in half a minute."""
    monkeypatch.setattr(iemocap, "read_alignment", None)
    assert "none found" in say(release)[1]


def latin(folder):
    edit(folder, transcript="Grüße")
    write(folder / "table.csv", lambda text: text.decode().encode("latin-1"))


def numbers(value):
    return {row: str(value) for row in range(24)}


def in_seconds(folder, **columns):
    """Change the table and say the true durations, so that reading opens no file."""
    edit(folder, **({"duration": "2.1"} | columns))


FOLDERS = {
    "no such folder": (lambda folder: folder.parent / "tomes", r"tomes: no such folder\. Give", 1),
    "a name that nothing has": (lambda folder: "tomes", r"no corpus 'tomes'\. Name one", 1),
    "IEMOCAP without its variable": (lambda folder: "iemocap", "Set SERLIB_IEMOCAP to the folder", 1),
    "an empty folder": (
        lambda folder: (folder / "empty").mkdir() or folder / "empty",
        r"empty holds neither a table\.csv",
        1,
    ),
    "a zip": (
        lambda folder: shutil.make_archive(folder.parent / "speech", "zip", folder),
        r"speech\.zip is a file\. Give a folder; .* unpack it",
        1,
    ),
    "Latin-1": (latin, r"table\.csv: not a readable UTF-8 CSV table", 1),
    "UTF-16": (
        lambda folder: write(folder / "table.csv", lambda text: text.decode().encode("utf-16")),
        r"table\.csv: not a readable UTF-8 CSV table",
        1,
    ),
    "Windows line ends": (
        lambda folder: write(folder / "table.csv", lambda text: text.replace(b"\n", b"\r\n")),
        "none found",
        0,
    ),
    "semicolons": (
        lambda folder: write(folder / "table.csv", lambda text: text.replace(b",", b";")),
        "column 'file' is missing; found file;speaker;emotion",
        1,
    ),
    "an empty table": (lambda folder: write(folder / "table.csv", b""), r"table\.csv: not a readable", 1),
    "files that are not there": (
        lambda folder: edit(folder, file={3: "a.wav", 7: "b.wav"}),
        r"2 of its files are not there, .*a\.wav the first",
        1,
    ),
    "paths of another computer": (
        lambda folder: edit(folder, file=[f"C:\\speech\\{n}.wav" for n in range(24)]),
        "24 of its files are not there",
        1,
    ),
    "ids of some": (lambda folder: edit(folder, utterance_id={4: "u"}), "utterance_id is empty; 23 such", 1),
    "ids twice": (
        lambda folder: edit(folder, utterance_id=[f"u{n // 2}" for n in range(24)]),
        r"row 2 \(u0\): this utterance_id stands there twice; 12 such",
        1,
    ),
    "no speakers": (lambda folder: edit(folder, speaker=pd.NA), r"speaker is empty; 24 such rows", 1),
    "one speaker": (lambda folder: edit(folder, speaker="s0"), "error     24  only one speaker in the corpus", 1),
    "one class": (lambda folder: edit(folder, emotion="anger"), "error     24  fewer than two emotions", 1),
    "no class": (lambda folder: edit(folder, emotion=pd.NA), "error     24  fewer than two emotions", 1),
    "some without a class": (
        lambda folder: edit(folder, emotion={0: pd.NA, 9: pd.NA}),
        r"(?s)2 without one.*note       2  without an emotion\n +first: s0_anger_0\.wav",
        0,
    ),
    "labels that nobody maps": (
        lambda folder: edit(folder, emotion={0: "awe", 1: "awe", 2: "Zorn"}),
        "note       3  emotions that this book has no name for: awe, zorn\n",
        0,
    ),
    "only labels that nobody maps": (
        lambda folder: edit(folder, emotion=["awe", "zorn"] * 12),
        r"(?s)note      24  emotions that.*li2018 +no  finds nothing to take.*cai2020 +no",
        0,
    ),
    "a speaker with one utterance": (
        lambda folder: edit(folder, speaker={5: "so"}),
        r"note       1  the only utterance of its speaker\n +first: s0_neutral_1\.wav",
        0,
    ),
    "44.1 kHz": (
        lambda folder: sound(folder / "s1_anger_0.wav", 2.1, 44_100),
        "note       1  at 44100 Hz\n +first: s1_anger_0.wav\n +Will be resampled",
        0,
    ),
    "stereo": (
        lambda folder: sound(folder / "s1_anger_0.wav", 2.1, channels=2),
        "note       1  more than one channel\n.*\n +The channels will be averaged",
        0,
    ),
    "a wav that is none": (
        lambda folder: write(folder / "s1_anger_0.wav", b"moved to the archive"),
        r"s1_anger_0\.wav: not a readable audio file",
        1,
    ),
    "a wav that is none, its duration given": (
        lambda folder: in_seconds(folder) or write(folder / "s1_anger_0.wav", b"moved to the archive"),
        r"error      1  audio cannot be read\n +first: s1_anger_0\.wav\n +Convert it",
        1,
    ),
    "a wav of no samples": (lambda folder: sound(folder / "s1_anger_0.wav", 0), "error      1  empty, or shorter", 1),
    "a wav of 50 ms": (lambda folder: sound(folder / "s1_anger_0.wav", 0.05), "error      1  empty, or shorter", 1),
    "a duration that lies": (
        lambda folder: in_seconds(folder, duration=["2.15"] * 20 + ["2100"] * 4),
        r"error      4  duration is not the audio's, by more than 0\.1 s\n +first: s2_neutral_0\.wav",
        1,
    ),
    "an end beyond the end": (
        lambda folder: edit(folder, end={0: "1.5", 1: "9"}),
        r"error      1  end lies beyond the end of the file\n +first: s0_anger_1\.wav",
        1,
    ),
    "a start beyond the end": (
        lambda folder: edit(folder, start={0: "8"}, end={0: "9"}),
        r"error      1  empty, or shorter than a frame",
        1,
    ),
    "ratings from 0 to 1": (
        lambda folder: edit(folder, **dict.fromkeys(("valence", "activation", "dominance"), numbers(0.3))),
        r"(?s)error     24  ratings outside of 0\.5 to 5\.5.*cai2020 +no  Ratings must be on a scale",
        1,
    ),
    "ratings of some": (
        lambda folder: edit(folder, valence={0: "3"}),
        r"(?s)ratings       1 valence\n.*note +24  without all three ratings",
        0,
    ),
    "ratings that are words": (lambda folder: edit(folder, valence={0: "high"}), "should hold numbers", 1),
    "transcripts of some": (
        lambda folder: edit(folder, transcript={0: "Yes."}),
        "note      23  without a transcript, which others have",
        0,
    ),
}


@pytest.mark.parametrize(("damage", "message", "status"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_with_something_wrong(corpus, damage, message, status, say):
    """Else the reader's own corpus would fail far from the row or file that is at fault, or teach what is not so."""
    other = damage(corpus)
    found, out, err = say(other or corpus)
    assert found == status and re.search(message, out + err) and "Traceback" not in err
    assert err.startswith("error: ") if not out else err == ""
    assert ("  error  " in out) == (status == 1 and not err)


def test_a_broken_corpus_at_the_command_line(corpus):
    """Else the real command would end in a traceback, or in success, or on a console without umlauts not at all."""
    archive = shutil.make_archive(corpus.parent / "Gefühle", "zip", corpus)
    process = command("check", archive)
    assert (process.returncode, process.stdout) == (1, "") and "Traceback" not in process.stderr
    assert process.stderr.startswith("error: ") and "unpack it first" in process.stderr
    edit(corpus, emotion={0: "Zärtlichkeit"}, transcript={0: "日本"})
    process = command("check", corpus.rename(corpus.parent / "Gefühle"), PYTHONIOENCODING="ascii")
    assert (process.returncode, process.stderr) == (0, "") and r"Gef\xfchle" in process.stdout


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (PermissionError(13, "Permission denied", "/locked"), 1, "error: [Errno 13] Permission denied: '/locked'\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
    ],
)
def test_what_the_system_or_you_may_do(error, status, message, monkeypatch, capsys):
    """Else a locked folder, Ctrl-C, or `| head` would end in a traceback."""

    def load(what):
        raise error

    monkeypatch.setattr(corpora, "load", load)
    assert main(["corpus", "check", "locked"]) == status and capsys.readouterr().err == message


def test_problems_can_be_counted(corpus):
    """Else a script could not use what the command prints."""
    in_seconds(corpus, emotion={0: pd.NA})
    for name in ("s0_anger_1", "s2_neutral_0"):
        (corpus / f"{name}.wav").write_bytes(b"")
    first, second = report.problems(corpora.read_path(corpus))
    assert (first.level, first.what, first.count) == ("error", "audio cannot be read", 2)
    assert first.first == str(corpus / "s0_anger_1.wav") and (second.level, second.count) == ("note", 1)


def test_a_duration_that_nobody_knows(corpus):
    """Else utterances with a start and no end would count as nothing in hours and in segments, without a word."""
    table = corpora.read_path(corpus).assign(start=0.5, duration=np.nan)
    (problem,) = report.problems(table)
    assert (problem.level, problem.what, problem.count) == ("error", "duration is not known", 24)
