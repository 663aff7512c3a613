"""The synthetic corpus in IEMOCAP's size: every protocol gets its counts, and the speech is what its files say.

It is made on first use, in minutes, in the cache that SERLIB_CACHE names (`make test` keeps it there).
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from serlib import corpora, protocols, runs
from serlib.corpora.iemocap import alignment_path, read_alignment, read_iemocap
from serlib.errors import InputError
from serlib.sequences import buckets, padding_waste

WITHOUT_WORDS = "Ses03M_impro03_M001"


@pytest.fixture(scope="module")
def full():
    return corpora.load("synthetic:full")


@pytest.fixture(scope="module")
def root(full):
    return Path(full["path"][0]).parents[4]


# Utterances, folds, and what the first fold trains, chooses and tests on: SPEC 0.2, 1.1, 2.1, 3.1, 4.1, 5.1.
COUNTS = {
    "li2018": (2280, 10, (2063, 0, 217)),
    "zhang2019_inferred": (10039, 1, (6409, 1811, 1819)),
    "zhang2019_stated": (10039, 1, (5766, 2103, 2170)),
    "cai2020": (2280, 10, (1858, 205, 217)),
    "jalal2020": (5531, 1, (4290 - 1031, 1031, 1241)),
    "jalal2020_retrained": (5531, 1, (4290, 0, 1241)),
    "zhao2021": (2943, 10, (2422, 250, 271)),
    "common_loso": (2280, 5, (1465, 393, 422)),
    "common_speakers": (2280, 10, (1858, 205, 217)),
    "common_levels": (10039, 5, (6409, 1811, 1819)),
    "leaky_random_utterances": (2280, 5, (1368, 456, 456)),
    "leaky_best_epoch_on_test": (2280, 5, (1858, 422, 422)),
    "leaky_jalal2020_chosen_on_test": (5531, 1, (4290, 1241, 1241)),
    "leaky_marker_as_speaker": (2280, 10, None),
    "leaky_normalised_over_everything": (2280, 5, (1465, 393, 422)),
}


def test_every_protocol_is_counted_here():
    """Else one could be added that nobody has run on a corpus of IEMOCAP's size."""
    assert [protocol.__name__ for protocol in protocols.PROTOCOLS] == list(COUNTS)


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_every_split_gets_its_counts(full, protocol):
    """Else a protocol that asserts IEMOCAP's counts would fail on IEMOCAP, or assert others."""
    task = protocol(full)
    utterances, folds, sizes = COUNTS[protocol.__name__]
    assert (task.corpus, len(task.table), len(task.folds)) == ("synthetic:full", utterances, folds)
    first = task.folds[0]
    assert sizes is None or (len(first.train), len(first.validation), len(first.test)) == sizes


@pytest.mark.parametrize(
    ("name", "count"),
    [("impro4_hap", 2280), ("impro4_hapexc", 2943), ("all4_hap", 4490), ("all4_hapexc", 5531), ("vad_all", 10039)],
)
def test_every_selection_gets_its_counts(full, name, count):
    """Else the named selections would be others than the literature's."""
    assert len(protocols.select(full, name)) == count


@pytest.fixture
def copy(root, tmp_path):
    """The release again; its label files of session 3 can be edited, the rest is where it was."""
    for path in root.iterdir():
        if path.name != "Session3":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "Session3" / "dialog").mkdir(parents=True)
    (tmp_path / "Session3" / "sentences").symlink_to(root / "Session3" / "sentences")
    for part in ("EmoEvaluation", "transcriptions"):
        shutil.copytree(root / "Session3" / "dialog" / part, tmp_path / "Session3" / "dialog" / part)
    return tmp_path


def test_one_label_line_less(copy):
    """Else a copy with a damaged label file would give scores beside the paper's that mean something else."""
    file = copy / "Session3" / "dialog" / "EmoEvaluation" / "Ses03F_impro01.txt"
    line = re.search(r"^\[.*\tneu\t.*\n", file.read_text(), re.M)[0]
    file.write_text(file.read_text().replace(line, ""))
    table = read_iemocap(copy)
    expected = (
        r"in all: expected 2280, found 2279; Ses03: expected 538, found 537; neutral: expected 1099, found 1098\."
    )
    for protocol in (protocols.li2018, protocols.cai2020, protocols.common_loso):
        with pytest.raises(InputError, match=expected):
            protocol(table)
    with pytest.raises(InputError, match=r"in all: expected 10039, found 10038; Ses03: expected 2136, found 2135\."):
        protocols.zhang2019_inferred(table)


def test_durations(full):
    """Else utterances would not be as long as IEMOCAP's: SPEC 0.2, where median and mean are 3.58 and 4.55 s."""
    four = full[full["emotion"].isin(["neutral", "happiness", "excitement", "anger", "sadness"])]["duration"]
    assert abs(four.median() / 3.58 - 1) < 0.05 and abs(four.mean() / 4.55 - 1) < 0.05
    assert abs(four.quantile(0.95) / 11.1 - 1) < 0.1
    assert full["duration"].min() >= 0.6 and 25 < full["duration"].max() <= 34


@pytest.mark.parametrize(
    ("dimension", "three", "four"),
    [
        ("valence", (3223, 4869, 1947), (1148, 4378, 2566, 1947)),
        ("activation", (1112, 7235, 1692), (185, 3163, 4999, 1692)),
        ("dominance", (1041, 6484, 2514), (314, 2822, 4389, 2514)),
    ],
)
def test_ratings(full, dimension, three, four):
    """Else tasks on valence, activation and dominance would have other priors than IEMOCAP's: SPEC 0.2, within 10 %."""
    ratings = full[dimension]
    levels = [(ratings <= 2).sum(), ((ratings > 2) & (ratings < 4)).sum(), (ratings >= 4).sum()]
    bins = np.histogram(ratings, [0, 2, 3, 4, 6])[0]
    np.testing.assert_allclose(levels, three, rtol=0.1)
    np.testing.assert_allclose(bins, four, rtol=0.1)


def test_the_majority_gives_the_label(full):
    """Else a label would be something else than what raters agree on."""
    for emotion, votes in zip(full["emotion"], full["votes"], strict=True):
        winner, count = Counter(votes.split("; ")).most_common(1)[0]
        assert emotion == (winner if count > 1 else "undecided")


def test_alignments(full):
    """Else words and phones would be shifted, have holes, or be where it is silent."""
    inside, outside = [], []
    for row in full[::100].itertuples():
        words, phones = (read_alignment(alignment_path(row.path, kind)) for kind in ("wdseg", "phseg"))
        wave, rate = soundfile.read(row.path)
        for part in (words, phones):
            assert part["start"][0] == 0 and list(part["start"][1:]) == list(part["end"][:-1])
            assert 0 <= row.duration - part["end"].iloc[-1] < 0.011
        assert list(words["label"][words["is_speech"]]) == re.findall(r"[\w']+", row.transcript.upper())
        for start, end, _, is_speech in words[words["end"] - words["start"] > 0.06].itertuples(index=False):
            part = wave[round((start + 0.02) * rate) : round((end - 0.02) * rate)]
            (inside if is_speech else outside).append(10 * np.log10(np.mean(part**2)))
    assert np.median(inside) > np.median(outside) + 25


def test_one_alignment_is_missing_as_in_the_release(full):
    """Else code that has never met the gap would meet it on IEMOCAP."""
    missing = [row.utterance_id for row in full.itertuples() if not alignment_path(row.path).is_file()]
    assert missing == [WITHOUT_WORDS]


def test_no_wav_is_opened(root, monkeypatch):
    """Else looking at the corpus would be a wait."""
    monkeypatch.setattr(soundfile, "info", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr(soundfile, "SoundFile", lambda *_: pytest.fail("opened"))
    assert len(read_iemocap(root)) == 10039


def test_lines_are_shared_between_sessions(full):
    """Else what scripted speech does to random splits could not be seen: the same line is in training and in test."""
    scripted = full[full["scenario"] == "scripted"]
    first, *others = ({*rows["transcript"]} for _, rows in scripted.groupby("session"))
    assert all(len(first & other) > 0.9 * len(first) for other in others)
    assert {"Yeah.", "Yeah. I don't know."} <= {*full["transcript"]}


def text_uar(rows):
    """Unweighted average recall of naive Bayes on counts of words, leaving one session out."""
    machine = make_pipeline(CountVectorizer(), MultinomialNB(fit_prior=False))
    labels, texts = rows["emotion"].to_numpy(object), rows["transcript"].to_numpy(object)
    return recall_score(
        labels,
        cross_val_predict(machine, texts, labels, groups=rows["session"], cv=LeaveOneGroupOut()),
        average="macro",
    )


def test_emotion_is_in_the_words_of_the_script_only(full):
    """Else a text classifier would do for improvised speech, or could not be fooled by a script as on IEMOCAP."""
    four = full[full["emotion"].isin(protocols.FOUR_EMOTIONS)]
    scenario = four.groupby("scenario")
    assert text_uar(scenario.get_group("improvised")) < 0.3
    assert text_uar(scenario.get_group("scripted")) > 0.5


def test_its_difficulty_is_on_record():
    """Else it could be too easy or too hard to learn from: eGeMAPS and a linear SVM, a session left out, 60 to 80 %."""
    kept = runs.reference("protocols", corpus="synthetic:full", protocol="common_loso")
    scores = {record.model: record.scores()["uar"][0] for record in kept}
    assert 0.6 < scores["eGeMAPS + linear SVM"] < 0.8 and abs(scores["words + naive Bayes"] - 0.25) < 0.05
    assert all(len(record.predictions()) == 2280 and record.is_current() for record in kept)


@pytest.mark.parametrize(("size", "longest", "most"), [(16, 15, 0.05), (32, np.inf, 0.08)])
def test_batches_of_like_length_waste_little(full, size, longest, most):
    """Else the pages would promise less padding than there is: chapter 2 crops at 15 s, chapter 3 does not."""
    lengths = (full["duration"].clip(upper=longest) * 100).astype(int).tolist()
    for seed in range(3):
        batches = buckets(lengths, size, torch.Generator().manual_seed(seed))
        assert padding_waste(lengths, batches) < most
