"""The synthetic corpus: IEMOCAP's layout, emotion in the prosody and nowhere else, made once and whole."""

import errno
import hashlib
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import opensmile
import pandas as pd
import pytest
import soundfile
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from serlib.corpora import heal, synthetic
from serlib.corpora.iemocap import alignment_path, read_alignment, read_iemocap
from serlib.errors import InputError

FOUR = ["anger", "happiness", "neutral", "sadness"]
LOAD = "from serlib.corpora.heal import load_synthetic; print(len(load_synthetic()))"


def contents(root):
    """Every file below `root` and a hash of its bytes."""
    files = sorted(path for path in Path(root).rglob("*") if path.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The corpus as a notebook finds it: made on first use, in an empty cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return heal.load_synthetic()


@pytest.fixture(scope="module")
def root(table):
    return Path(table["path"][0]).parents[4]


@pytest.fixture(scope="module")
def four(table):
    """The improvised utterances of four classes: what the first chapter trains on."""
    return table[(table["scenario"] == "improvised") & table["emotion"].isin(FOUR)].reset_index(drop=True)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SERLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def uar(features, four, machine):
    """Unweighted average recall of four classes, leaving one session out."""
    predicted = cross_val_predict(machine, features, four["emotion"], groups=four["session"], cv=LeaveOneGroupOut())
    return recall_score(four["emotion"], predicted, average="macro")


def test_every_speaker_has_every_class(table, four):
    """Else a fold would train or test without a class, or selecting utterances would make no difference."""
    counts = pd.crosstab(four["speaker"], four["emotion"])
    assert counts.shape == (10, 4) and counts.to_numpy().min() >= 2
    assert (counts["neutral"] >= counts.drop(columns="neutral").mean(axis=1)).all()
    assert len(four) == 121 and len(table) == 210
    assert set(table["emotion"]) == {*FOUR, "excitement", "frustration", "undecided"}
    assert (table["gender"] == table["speaker"].str[-1].map({"F": "female", "M": "male"})).all()


def test_it_never_passes_for_iemocap(table, root):
    """Else a score on synthetic speech could stand in a column that says IEMOCAP."""
    assert table.attrs["corpus"] == read_iemocap(root).attrs["corpus"] == "synthetic"
    assert (root / "SYNTHETIC.txt").read_text().startswith("synthetic (seed 0, ")


def test_scripted_lines_are_the_same_in_every_session(table):
    """Else a model could not learn the lines of a script, as it can on IEMOCAP."""
    scripted = table[table["scenario"] == "scripted"].assign(line=lambda rows: rows["utterance_id"].str[-4:])
    assert scripted.groupby("line")["transcript"].nunique().eq(1).all()
    assert len(scripted) == 40 and scripted["line"].nunique() == 8
    assert scripted.groupby("line")["emotion"].nunique().mean() < 3


def test_durations_like_iemocap(four, table):
    """Else segments, padding and long utterances would not occur as they do in real speech."""
    assert 3.3 < four["duration"].mean() < 4.5 and table["duration"].max() < 12
    assert (four["duration"] < 2).mean() > 0.1 and (four["duration"] > 5).mean() > 0.1


def test_wavs_are_what_the_labels_say(table):
    """Else duration or format would be another than promised, or speech be clipped, or lost in the noise."""
    for row in table.itertuples():
        wave, rate = soundfile.read(row.path, dtype="int16")
        assert (rate, wave.ndim, soundfile.info(row.path).subtype) == (16_000, 1, "PCM_16")
        assert abs(len(wave) / rate - row.duration) < 0.001
        assert 1000 < np.abs(wave).max() < 32_500


def test_raters_give_the_label(root, table):
    """Else labels would be invented: most raters vote for the category, and V, A and D are their means."""
    rows, agreement = table.set_index("utterance_id"), Counter()
    for row in table.itertuples():
        votes = Counter(row.votes.split("; "))
        winner, count = votes.most_common(1)[0]
        assert votes.total() == 3 and row.emotion == (winner if count > 1 else "undecided")
        agreement[count] += 1
    assert agreement[2] > 0.1 * len(table) < agreement[3]
    for file in root.rglob("EmoEvaluation/*.txt"):
        for block in re.split(r"\n(?=\[)", file.read_text())[1:]:
            name = re.search(r"Ses\w+", block)[0]
            ratings = re.findall(r"^A-E\d:\tval (\d); act (\d); dom  (\d);\t\(\)$", block, re.M)
            expected = np.array(ratings, float).mean(axis=0)
            found = rows.loc[name, ["valence", "activation", "dominance"]].to_numpy(float)
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_words_and_phones_tile_the_sound(table):
    """Else alignments would have holes, or say other words than the transcript."""
    for row in table.itertuples():
        words, phones = (read_alignment(alignment_path(row.path, kind)) for kind in ("wdseg", "phseg"))
        for part in (words, phones):
            assert part["start"][0] == 0 and list(part["start"][1:]) == list(part["end"][:-1])
            assert 0 <= row.duration - part["end"].iloc[-1] < 0.011
            assert not part["is_speech"].iloc[[0, -1]].any()
        spoken = words[words["is_speech"]]
        assert list(spoken["label"]) == re.findall(r"[\w']+", row.transcript.upper())
        for start, end in zip(spoken["start"], spoken["end"], strict=True):
            inside = phones[(phones["end"] > start + 0.011) & (phones["start"] < end - 0.011)]
            assert inside["is_speech"].all() and abs(inside["start"].iloc[0] - start) < 0.011


def test_energy_is_inside_the_words(table):
    """Else word times would be shifted against the sound: the first word begins within 20 ms of its onset."""
    inside, outside, shifts = [], [], []
    for row in table[::4].itertuples():
        wave, rate = soundfile.read(row.path)
        energy = np.convolve(wave**2, np.full(64, 1 / 64), "same")
        words = read_alignment(alignment_path(row.path))
        for start, end, _, is_speech in words[words["end"] - words["start"] > 0.06].itertuples(index=False):
            part = energy[round((start + 0.02) * rate) : round((end - 0.02) * rate)]
            (inside if is_speech else outside).append(10 * np.log10(part.mean()))
        onset = np.flatnonzero(energy > 30 * energy[:1000].mean())[0] / rate
        shifts.append(onset - words["start"][1])
    assert np.median(inside) > np.median(outside) + 25
    assert np.abs(shifts).max() < 0.02


def test_emotion_is_in_the_prosody(four):
    """Else it would be too easy or too hard to learn from: eGeMAPS and a linear SVM reach 60 to 80 %."""
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    features = np.concatenate([smile.process_file(path).to_numpy() for path in four["path"]])
    machine = make_pipeline(StandardScaler(), SVC(kernel="linear", C=0.1, class_weight="balanced"))
    assert 0.6 < uar(features, four, machine) < 0.8


def test_emotion_is_not_in_the_level(four):
    """Else a loudness meter would do: everybody sits at their own distance from the microphone."""
    level = [[10 * np.log10(np.mean(soundfile.read(path)[0] ** 2))] for path in four["path"]]
    assert uar(level, four, make_pipeline(StandardScaler(), SVC(class_weight="balanced"))) < 0.45


def test_emotion_is_not_in_the_words(four):
    """Else a text classifier would do: in improvised speech the same sentences serve every emotion."""
    machine = make_pipeline(CountVectorizer(), MultinomialNB(fit_prior=False))
    assert uar(four["transcript"].to_list(), four, machine) < 0.4


def test_same_bytes_for_the_same_seed(root, tmp_path, monkeypatch):
    """Else results could not be repeated. Dialogues are made here in another order: nothing depends on it."""
    plan = synthetic._plan
    monkeypatch.setattr(synthetic, "_plan", lambda *of: dict(reversed(plan(*of).items())))
    assert contents(synthetic.make_synthetic(tmp_path / "again")) == contents(root)


def test_another_seed_gives_other_speech(root, tmp_path):
    """Else seeds would be for show."""
    other = contents(synthetic.make_synthetic(tmp_path / "other", seed=1))
    assert not set(other.values()) & set(contents(root).values())


def test_made_on_first_use_only(table, root, monkeypatch):
    """Else every notebook would make the corpus again, or read one that older code has made."""
    monkeypatch.setenv("SERLIB_CACHE", str(root.parent))
    monkeypatch.setattr(synthetic, "make_synthetic", lambda *_: pytest.fail("made again"))
    again = heal.load_synthetic()
    pd.testing.assert_frame_equal(again, table)
    assert again.attrs["corpus"] == "synthetic"
    monkeypatch.setattr(synthetic, "version", lambda _: "another engine")
    with pytest.raises(pytest.fail.Exception, match="made again"):
        heal.load_synthetic()


def test_two_processes_at_once(cache, root):
    """Else two notebooks that start together would both write, and one would read half a corpus."""
    both = [subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].split()[-1] for process in both] == ["210", "210"]
    (made,) = (path for path in cache.iterdir() if path.is_dir())
    assert contents(made) == contents(root)


def test_killed_half_way(cache, root):
    """Else half a corpus would be taken for a whole one, or what was made would be lost: kill -9, then load."""
    process = subprocess.Popen([sys.executable, "-c", LOAD])
    deadline = time.monotonic() + 30
    while len(list(cache.rglob("EmoEvaluation/*.txt"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (part,) = (path for path in cache.iterdir() if path.is_dir())
    whole = {file: file.stat().st_mtime_ns for file in part.rglob("EmoEvaluation/Ses*.txt")}
    assert part.name.endswith(".part") and 3 <= len(whole) < 15
    assert len(heal.load_synthetic()) == 210
    (made,) = (path for path in cache.iterdir() if path.is_dir())
    assert contents(made) == contents(root)
    assert all((made / file.relative_to(part)).stat().st_mtime_ns == when for file, when in whole.items())


def test_no_room_on_disk(cache, root, monkeypatch):
    """Else a full disk would give a traceback, or a folder that looks like the corpus; or all would be made again."""
    write, room = Path.write_bytes, iter(range(50))

    def until_full(path, content):
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", until_full)
        with pytest.raises(InputError, match=rf"No room.*{re.escape(str(cache))}.*Free some space.*SERLIB_CACHE"):
            heal.load_synthetic()
    assert [path.suffix for path in cache.iterdir() if path.is_dir()] == [".part"]
    assert contents(Path(heal.load_synthetic()["path"][0]).parents[4]) == contents(root)


def test_refusals(cache, tmp_path, root):
    """Else an unknown size would be guessed, or somebody's folder be written into."""
    with pytest.raises(InputError, match="size 'huge'; take one of small, full"):
        heal.load_synthetic("huge")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        synthetic.make_synthetic(tmp_path / "mine")
    assert synthetic.make_synthetic(root) == root  # whole already
    with pytest.raises(InputError, match="is not empty"):
        synthetic.make_synthetic(root, seed=1)


SCENARIOS = ("improvised", "scripted")


@pytest.fixture(scope="module")
def plan():
    """The turns of `full`: session, scenario, speaker, emotion code, seconds."""
    rows = [
        (name[:5], SCENARIOS["script" in name], f"{name[:5]}_{turn.letter}", turn.code, turn.seconds)
        for name, turns in synthetic._plan("full", 0).items()
        for turn in turns
    ]
    return pd.DataFrame(rows, columns=["session", "scenario", "speaker", "code", "seconds"])


def test_full_has_the_counts_of_iemocap(plan):
    """Else protocols that assert IEMOCAP's counts could not run on it. Counts published per session; see SPEC 0.2."""
    codes = ["neu", "hap", "exc", "ang", "sad"]
    sessions = [f"Ses0{number}" for number in range(1, 6)]
    per_session = pd.crosstab(plan["session"], plan["code"]).loc[sessions, codes]
    assert per_session.to_numpy().tolist() == [
        [384, 135, 143, 229, 194],
        [362, 117, 210, 137, 197],
        [320, 135, 151, 240, 305],
        [258, 65, 238, 327, 143],
        [384, 143, 299, 170, 245],
    ]
    scenario = pd.crosstab(plan["session"], plan["scenario"])
    assert scenario["improvised"].tolist() == [759, 788, 1044, 1060, 1133]
    assert scenario["scripted"].tolist() == [1060, 1023, 1092, 1043, 1037]
    speakers = plan["speaker"].value_counts().sort_index()
    assert speakers.tolist() == [873, 946, 859, 952, 1048, 1088, 987, 1116, 1033, 1137]
    five = plan[plan["code"].isin(codes)]["speaker"].value_counts().sort_index()
    assert five.tolist() == [528, 557, 481, 542, 522, 629, 528, 503, 590, 651]
    rest = plan["code"].value_counts().drop(codes).to_dict()
    assert rest == {"xxx": 2507, "fru": 1849, "sur": 107, "fea": 40, "oth": 3, "dis": 2}
    improvised = pd.crosstab(plan["speaker"], plan["code"][plan["scenario"] == "improvised"])
    assert improvised[["neu", "hap", "exc", "sad", "ang"]].to_numpy().tolist() == [
        [119, 18, 54, 43, 37],
        [104, 15, 45, 61, 25],
        [90, 25, 88, 63, 7],
        [127, 29, 49, 37, 15],
        [95, 39, 41, 108, 22],
        [103, 21, 48, 82, 68],
        [51, 10, 119, 41, 47],
        [123, 21, 45, 40, 37],
        [151, 56, 68, 73, 18],
        [136, 50, 106, 60, 13],
    ]


def test_full_gives_the_segments_of_cai2020(plan):
    """Else the 4432 segments of the paper would be another number: parts of at most 3 s, counted here one by one."""
    improvised = plan[(plan["scenario"] == "improvised") & plan["code"].isin(["neu", "hap", "sad", "ang"])]
    parts = improvised.assign(parts=[math.ceil(seconds / 3) for seconds in improvised["seconds"]])
    assert parts.groupby("code")["parts"].sum().to_dict() == {"neu": 2016, "hap": 525, "sad": 1306, "ang": 585}
    assert parts.groupby("speaker")["parts"].sum().tolist() == [397, 369, 377, 489, 472, 496, 322, 461, 503, 546]
