"""The scores and their intervals, against scikit-learn, scipy and a pencil."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from serlib import metrics
from serlib.errors import InputError

RNG = np.random.default_rng(0)
LABELS = RNG.choice(4, 200, p=[0.1, 0.2, 0.3, 0.4])
PREDICTED = np.where(RNG.random(200) < 0.6, LABELS, RNG.integers(0, 4, 200))
OTHER = np.where(RNG.random(200) < 0.5, LABELS, RNG.integers(0, 4, 200))
SPEAKERS = np.repeat([f"s{n}" for n in range(10)], 20)


def test_accuracy_and_uar():
    """Else every table of the book would be wrong."""
    assert metrics.overall_accuracy(LABELS, PREDICTED) == pytest.approx(accuracy_score(LABELS, PREDICTED))
    assert metrics.uar(LABELS, PREDICTED) == pytest.approx(balanced_accuracy_score(LABELS, PREDICTED))
    assert metrics.overall_accuracy([0, 0, 0, 1], [0, 0, 0, 0]) == 0.75
    assert metrics.uar([0, 0, 0, 1], [0, 0, 0, 0]) == 0.5


def test_an_absent_class_is_left_out():
    """Else a fold without one emotion would count it as never found, and lose a quarter of its UAR."""
    assert metrics.uar([0, 0, 2, 2], [0, 1, 2, 3]) == 0.5


@pytest.mark.parametrize("classes", [None, 4, 6])
def test_confusion(classes):
    """Else rows and columns would be swapped, or a class that nobody is, or nobody is taken for, be left out."""
    labels, predicted = np.where(LABELS == 1, 0, LABELS), np.where(PREDICTED == 3, 0, PREDICTED)
    expected = confusion_matrix(labels, predicted, labels=range(classes or 4))
    np.testing.assert_array_equal(metrics.confusion(labels, predicted, classes), expected)
    assert metrics.confusion([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("correct", "total"), [(0, 20), (1, 7), (1636, 2280), (99, 100), (20, 20)])
def test_wilson_interval(correct, total):
    """Else an interval would reach below 0, above 1, or be too narrow."""
    expected = stats.binomtest(correct, total).proportion_ci(method="wilson")
    assert metrics.wilson_interval(correct, total) == pytest.approx(tuple(expected), abs=1e-12)


def test_the_bootstrap_over_single_utterances_is_scipys():
    """Else our intervals would not be those of the textbook where the two must agree."""
    found = metrics.interval_over_speakers(metrics.overall_accuracy, LABELS, PREDICTED, np.arange(200), seed=3)
    right = (LABELS == PREDICTED).astype(float)
    expected = stats.bootstrap((right,), np.mean, n_resamples=9999, method="percentile", rng=1).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.012)
    assert found == metrics.interval_over_speakers(metrics.overall_accuracy, LABELS, PREDICTED, np.arange(200), seed=3)


def test_the_bootstrap_draws_whole_speakers():
    """Else utterances of one speaker would count as independent, and the interval be too narrow."""
    predicted = np.where(SPEAKERS < "s5", LABELS, (LABELS + 1) % 4)  # half of the speakers always right, half never
    low, high = metrics.interval_over_speakers(metrics.overall_accuracy, LABELS, predicted, SPEAKERS)
    share = stats.binom(10, 0.5)  # how many of ten drawn speakers are of the better half
    assert (low, high) == pytest.approx((share.ppf(0.025) / 10, share.ppf(0.975) / 10), abs=0.1)
    independent = metrics.interval_over_speakers(metrics.overall_accuracy, LABELS, predicted, np.arange(200))
    assert high - low > 3 * (independent[1] - independent[0])


def naive(score, labels, predicted):
    """The score by scikit-learn; a class that was not drawn is left out."""
    if score is metrics.overall_accuracy:
        return accuracy_score(labels, predicted)
    return recall_score(labels, predicted, labels=np.unique(labels), average="macro")


@pytest.mark.parametrize("other", [None, OTHER])
@pytest.mark.parametrize("score", [metrics.overall_accuracy, metrics.uar])
def test_the_bootstrap_is_that_of_a_naive_loop(monkeypatch, score, other):
    """Else counting per speaker would give other ends than to score the drawn utterances, or no paired difference."""
    monkeypatch.setattr(metrics, "DRAWS", 200)
    labels = np.where((LABELS == 0) & (SPEAKERS > "s1"), 1, LABELS)  # a class of two speakers: not in every draw
    found = metrics.interval_over_speakers(score, labels, PREDICTED, SPEAKERS, other, seed=5)
    values, names = [], np.unique(SPEAKERS)
    for times in np.random.default_rng(5).multinomial(10, np.full(10, 0.1), 200):
        rows = np.concatenate([np.flatnonzero(drawn == SPEAKERS) for drawn in np.repeat(names, times)])
        lost = 0 if other is None else naive(score, labels[rows], other[rows])
        values.append(naive(score, labels[rows], PREDICTED[rows]) - lost)
    assert found == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-12) and found[0] < found[1]


def test_two_equal_systems_do_not_differ():
    """Else two systems that fail together would look as uncertain as two that do not."""
    assert metrics.interval_over_speakers(metrics.uar, LABELS, PREDICTED, SPEAKERS, other=PREDICTED) == (0, 0)


def test_enough_draws():
    """Else the ends of an interval would move from seed to seed, where others' tables have them fixed."""
    ends = [metrics.interval_over_speakers(metrics.uar, LABELS, PREDICTED, SPEAKERS, seed=seed) for seed in range(4)]
    assert np.ptp(ends, axis=0).max() < 0.005 and len(set(ends)) == 4


def test_alpha_is_krippendorff_s():
    """Else agreement would be another number than the field's: his own example, four observers with gaps."""
    observed = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    rows = [[np.nan if mark == "." else float(mark) for mark in row] for row in observed]
    ratings = pd.DataFrame(rows).T
    assert metrics.krippendorff_alpha(ratings) == pytest.approx(0.743, abs=5e-4)
    assert metrics.krippendorff_alpha(ratings, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_by_pencil():
    """Two raters, four utterances, one disagreement: observed 1/4, expected 2 · 3 · 5 / (8 · 7)."""
    ratings = pd.DataFrame({"A": ["x", "x", "y", "y"], "B": ["x", "x", "y", "x"]})
    assert metrics.krippendorff_alpha(ratings) == pytest.approx(1 - (1 / 4) / (30 / 56))
    alone = pd.DataFrame({"A": ["y"], "B": [None]})  # one rating says nothing, however often there is one
    assert metrics.krippendorff_alpha(pd.concat([ratings, alone, alone])) == pytest.approx(1 - (1 / 4) / (30 / 56))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_alpha_of_complete_votes_is_fleiss_kappa_but_for_the_sample(seed):
    """Else one of two published coefficients would be wrong: alpha = kappa + (1 - kappa) / ratings (Krippendorff)."""
    votes = np.random.default_rng(seed).integers(0, 3, (20, 3))
    kappa = fleiss_kappa(aggregate_raters(votes)[0])
    alpha = metrics.krippendorff_alpha(pd.DataFrame(votes))
    assert alpha == pytest.approx(kappa + (1 - kappa) / votes.size)


def test_agreement_needs_two_raters():
    """Else one rater would agree perfectly, with nobody."""
    with pytest.raises(InputError, match="needs two raters"):
        metrics.krippendorff_alpha(pd.DataFrame({"A": ["x", "y"]}))
    with pytest.raises(InputError, match="not on 'ordinal'"):
        metrics.krippendorff_alpha(pd.DataFrame({"A": ["x"], "B": ["x"]}), "ordinal")
