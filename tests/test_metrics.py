"""The scores and their intervals, against scikit-learn, scipy and a pencil."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from serlib import metrics

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


def test_the_interval_of_a_difference_is_paired():
    """Else two systems that fail together would look as uncertain as two that do not."""
    low, high = metrics.interval_over_speakers(metrics.uar, LABELS, PREDICTED, SPEAKERS, other=OTHER)
    difference = metrics.uar(LABELS, PREDICTED) - metrics.uar(LABELS, OTHER)
    assert low < difference < high
    same = metrics.interval_over_speakers(metrics.uar, LABELS, PREDICTED, SPEAKERS, other=PREDICTED)
    assert same == (0, 0)
