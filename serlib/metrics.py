"""The fifth room: scores, and how sure of them one may be."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from serlib.errors import InputError

DRAWS = 10_000  # of the bootstrap: with a tenth of them the ends move by half a point from seed to seed


def overall_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Correct utterances / all utterances; what Li 2018 calls WA. Page: notebooks/01."""
    return float(np.mean(np.asarray(labels) == np.asarray(predicted)))


def uar(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall, the mean over classes of the part found; what Li 2018 calls UA.

    A class without an utterance among the labels is left out of the mean. Page: notebooks/01.
    """
    return float(_uar_of(confusion(labels, predicted)))


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int | None = None) -> np.ndarray:
    """Counts `(classes, classes)`, true class in rows; by default of as many classes as there are.

    Page: notebooks/01.
    """
    labels, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    classes = classes or 1 + max(labels.max(initial=0), predicted.max(initial=0))
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _accuracy_of(counts: np.ndarray) -> np.ndarray:
    """Overall accuracy of confusion matrices `(..., classes, classes)`."""
    return counts.diagonal(axis1=-2, axis2=-1).sum(-1) / counts.sum((-2, -1))


def _uar_of(counts: np.ndarray) -> np.ndarray:
    """UAR of confusion matrices `(..., classes, classes)`."""
    of_class = counts.sum(-1)
    recalls = counts.diagonal(axis1=-2, axis2=-1) / np.maximum(of_class, 1)
    return recalls.sum(-1) / (of_class > 0).sum(-1)


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion, as if utterances were independent draws (Wilson 1927). Page: notebooks/01."""
    return proportion_confint(correct, total, method="wilson")


def interval_over_speakers(
    score: Callable, labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, other=None, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `overall_accuracy` or `uar`, drawing whole speakers, 10,000 times.

    A speaker's utterances succeed and fail together, so drawing utterances would promise too much. With `other`, a
    second system's predictions, the interval is that of the difference of their scores. Page: notebooks/01.
    """
    of_counts = {overall_accuracy: _accuracy_of, uar: _uar_of}[score]
    names, speaker = np.unique(np.asarray(speakers), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    systems = [np.asarray(predicted)] if other is None else [np.asarray(predicted), np.asarray(other)]
    labels = np.asarray(labels)
    classes = 1 + max(int(part.max()) for part in (labels, *systems))

    def redrawn(answers: np.ndarray) -> np.ndarray:
        rows = [speaker == number for number in range(len(names))]
        of_speaker = np.stack([confusion(labels[own], answers[own], classes) for own in rows])
        return of_counts(np.tensordot(drawn, of_speaker, 1))  # scores of (draws, classes, classes)

    first, *second = map(redrawn, systems)
    low, high = np.percentile(first - second[0] if second else first, [2.5, 97.5])
    return float(low), float(high)


def krippendorff_alpha(ratings: pd.DataFrame, scale: str = "nominal") -> float:
    """How far raters agree beyond chance: 1 is always, 0 as chance would. NA where a rater was not asked.

    `ratings` has a row for each utterance and a column for each rater. On the `nominal` scale two ratings are the same
    or not; on the `interval` scale, of numbers, their difference counts squared (Hayes and Krippendorff 2007; NLTK).
    Raises InputError for another scale, and where no utterance has two ratings. Page: notebooks/f2.
    """
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import binary_distance, interval_distance

    distances = {"nominal": binary_distance, "interval": interval_distance}
    if scale not in distances:
        raise InputError(f"Raters are compared on a nominal or an interval scale, not on {scale!r}.")
    given = ratings.reset_index(drop=True).stack().dropna()
    given = given[given.groupby(level=0).transform("size") > 1]  # nobody agrees or disagrees with one rating
    if given.empty:
        raise InputError("Agreement needs two raters: no utterance here has more than one rating.")
    return AnnotationTask([(rater, row, said) for (row, rater), said in given.items()], distances[scale]).alpha()
