"""What a user would try before any network: hand-made functionals or the words, and a linear classifier."""

from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from serlib.errors import InputError
from serlib.features import extract, functionals
from serlib.protocols import Fold, Task
from serlib.results import Record, cross_validate


def functionals_svm(task: Task, folder: Path | None = None, folds: int | None = None) -> Record:
    """eGeMAPS functionals, standardised, and a linear SVM whose C is chosen by UAR on training speakers only.

    C is taken from 10⁻⁴ to 1 by an inner cross-validation that keeps speakers apart; the mean and the deviation of a
    functional come from the fold's rows `normalise`. Page: notebooks/01.
    """
    features = np.stack(extract(task.table, functionals))
    speakers = task.table["speaker"].to_numpy()

    def test_fold(fold: Fold, place: Path | None) -> dict:
        heard = len(set(speakers[fold.train]))
        if heard < 2:
            raise InputError("C is chosen across speakers: training needs at least two of them.")
        scaled = StandardScaler().fit(features[fold.normalise]).transform(features)
        inner, choices = GroupKFold(min(5, heard)), {"C": np.logspace(-4, 0, 9)}
        search = GridSearchCV(SVC(kernel="linear"), choices, scoring="balanced_accuracy", cv=inner)
        search.fit(scaled[fold.train], task.labels[fold.train], groups=speakers[fold.train])
        return {"predicted": search.predict(scaled[fold.test])}

    name, settings = "eGeMAPS + linear SVM", {"C": "inner cross-validation"}
    return cross_validate(task, test_fold, name, "baselines.functionals_svm", settings, folder=folder, folds=folds)


def words_bayes(task: Task, folder: Path | None = None, folds: int | None = None) -> Record:
    """What the words alone give away: counts of words and pairs of words, and naive Bayes with equal priors.

    Raises InputError where utterances have no transcript. Page: book/which_corpora.
    """
    if missing := int(task.table["transcript"].isna().sum()):
        raise InputError(f"{missing} utterances of {task.corpus} have no transcript, and this classifier reads words.")
    texts = task.table["transcript"].to_numpy(dtype=object)

    def test_fold(fold: Fold, place: Path | None) -> dict:
        machine = make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB(fit_prior=False))
        machine.fit(texts[fold.train], task.labels[fold.train])
        return {"predicted": machine.predict(texts[fold.test])}

    name, settings = "words + naive Bayes", {"words": "1 to 2"}
    return cross_validate(task, test_fold, name, "baselines.words_bayes", settings, folder=folder, folds=folds)
