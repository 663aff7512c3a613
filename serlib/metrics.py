"""The fifth room: scores, and how sure of them one may be."""

from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn.metrics import recall_score
from statsmodels.stats.proportion import proportion_confint


def overall_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Correct utterances / all utterances; what Li 2018 calls WA. Page: notebooks/01."""
    return float(np.mean(np.asarray(labels) == np.asarray(predicted)))


def uar(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall, the mean over classes of the part found; what Li 2018 calls UA.

    A class without an utterance among the labels is left out of the mean. Page: notebooks/01.
    """
    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro"))


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion, as if utterances were independent draws (Wilson 1927). Page: notebooks/01."""
    return proportion_confint(correct, total, method="wilson")


def interval_over_speakers(
    score: Callable, labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, other=None, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `score(labels, predicted)`, drawing whole speakers.

    A speaker's utterances succeed and fail together, so drawing utterances would promise too much. With `other`, a
    second system's predictions, the interval is that of the difference of their scores. Page: notebooks/01.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    rows = [np.flatnonzero(np.asarray(speakers) == speaker) for speaker in np.unique(speakers)]

    def statistic(drawn: np.ndarray) -> float:
        chosen = np.concatenate([rows[speaker] for speaker in drawn])
        value = score(labels[chosen], predicted[chosen])
        return value - score(labels[chosen], np.asarray(other)[chosen]) if other is not None else value

    options = {"vectorized": False, "n_resamples": 1000, "method": "percentile", "rng": seed}
    low, high = stats.bootstrap((np.arange(len(rows)),), statistic, **options).confidence_interval
    return float(low), float(high)
