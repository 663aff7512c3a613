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
from serlib.metrics import uar
from serlib.protocols import Fold, Task
from serlib.runs import Record, Run, run_all


def functionals_svm(
    task: Task, folder: Path | None = None, folds: int | None = None, choose_on: str = "training", only: str = ""
) -> Record:
    """eGeMAPS functionals, standardised, and a linear SVM, trained on the fold's training rows. C is chosen by UAR.

    C is taken from 10⁻⁴ to 1: by an inner cross-validation of the training rows that keeps speakers apart, or, with
    `choose_on="development"`, on the fold's validation rows. The mean and the deviation of a functional come from the
    fold's rows `normalise`. Rows without a label neither train nor choose. `only` keeps the functionals whose names
    begin so: "loudness" keeps eleven. Raises InputError where there is nothing to choose on. Page: notebooks/01.
    """
    if choose_on not in ("training", "development"):
        raise InputError(f"C is chosen on training or on development, not on {choose_on!r}.")
    features = np.stack(extract(task.table, functionals))
    kept = [number for number, name in enumerate(functional_names()) if name.startswith(only)]
    if not kept:
        raise InputError(f"No functional of eGeMAPS has a name that begins with {only!r}.")
    features = features[:, kept]
    speakers, choices = task.table["speaker"].to_numpy(), np.logspace(-4, 0, 9)

    def chosen_in_training(scaled: np.ndarray, fold: Fold) -> GridSearchCV:
        train = labelled(task, fold.train)
        heard = len(set(speakers[train]))
        if heard < 2:
            raise InputError("C is chosen across speakers: training needs at least two of them.")
        inner = GroupKFold(min(5, heard))
        search = GridSearchCV(SVC(kernel="linear"), {"C": choices}, scoring="balanced_accuracy", cv=inner)
        return search.fit(scaled[train], task.labels[train], groups=speakers[train])

    def chosen_in_development(scaled: np.ndarray, fold: Fold) -> SVC:
        train, chosen = labelled(task, fold.train), labelled(task, fold.validation)
        if not len(chosen):
            raise InputError(f"C is chosen on development, and fold {fold.name!r} of {task.protocol} has none.")
        machines = [SVC(kernel="linear", C=choice).fit(scaled[train], task.labels[train]) for choice in choices]
        return max(machines, key=lambda machine: uar(task.labels[chosen], machine.predict(scaled[chosen])))

    def test_fold(fold: Fold, place: Path | None) -> dict:
        scaled = StandardScaler().fit(features[fold.normalise]).transform(features)
        if choose_on == "training":
            return {"predicted": chosen_in_training(scaled, fold).predict(scaled[fold.test])}
        machine = chosen_in_development(scaled, fold)
        seen = {"predicted": machine.predict(scaled[fold.validation])}
        return {"predicted": machine.predict(scaled[fold.test]), "validation": seen}

    settings = {"C": "development" if choose_on == "development" else "inner cross-validation"}
    settings |= {"only": only} if only else {}
    name = f"{only or 'eGeMAPS'} + linear SVM"
    return run_all([Run(task, name, "baselines.functionals_svm", settings, test_fold, folds=folds)], folder)[0]


def functional_names() -> list[str]:
    """The names of the 88 functionals, in their order. Page: notebooks/02."""
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals).feature_names


def labelled(task: Task, rows: np.ndarray) -> np.ndarray:
    """Of some rows of a task those that have a label. Page: notebooks/01."""
    return rows[task.labels[rows] >= 0]


def words_bayes(task: Task, folder: Path | None = None, folds: int | None = None) -> Record:
    """What the words alone give away: counts of words and pairs of words, and naive Bayes with equal priors.

    Raises InputError where utterances have no transcript. Page: book/which_corpora.
    """
    if missing := int(task.table["transcript"].isna().sum()):
        raise InputError(f"{missing} utterances of {task.corpus} have no transcript, and this classifier reads words.")
    texts = task.table["transcript"].to_numpy(dtype=object)

    def test_fold(fold: Fold, place: Path | None) -> dict:
        machine = make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB(fit_prior=False))
        train = labelled(task, fold.train)
        machine.fit(texts[train], task.labels[train])
        return {"predicted": machine.predict(texts[fold.test])}

    name, settings = "words + naive Bayes", {"words": "1 to 2"}
    return run_all([Run(task, name, "baselines.words_bayes", settings, test_fold, folds=folds)], folder)[0]
