"""What a user would try before any network: hand-made functionals and a linear support vector machine."""

from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from serlib.errors import InputError
from serlib.features import extract, functionals
from serlib.protocols import Fold, Task
from serlib.results import Record, cross_validate


def functionals_svm(task: Task, folder: Path | None = None, folds: int | None = None) -> Record:
    """eGeMAPS functionals, standardised, and a linear SVM whose C is chosen by UAR on training speakers only.

    C is taken from 10⁻⁴ to 1 by an inner cross-validation that keeps speakers apart. Page: notebooks/01.
    """
    features = np.stack(extract(task.table, functionals))
    speakers = task.table["speaker"].to_numpy()

    def test_fold(fold: Fold, place: Path | None) -> dict:
        heard = len(set(speakers[fold.train]))
        if heard < 2:
            raise InputError("C is chosen across speakers: training needs at least two of them.")
        inner = GroupKFold(min(5, heard))
        machine = make_pipeline(StandardScaler(), SVC(kernel="linear"))
        search = GridSearchCV(machine, {"svc__C": np.logspace(-4, 0, 9)}, scoring="balanced_accuracy", cv=inner)
        search.fit(features[fold.train], task.labels[fold.train], groups=speakers[fold.train])
        return {"predicted": search.predict(features[fold.test])}

    name, settings = "eGeMAPS + linear SVM", {"C": "inner cross-validation"}
    return cross_validate(task, test_fold, name, "baselines.functionals_svm", settings, folder=folder, folds=folds)
