"""The baseline: what is tested leaves no trace in what is trained."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from serlib import baselines
from serlib.baselines import functional_names, functionals_svm, words_bayes
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.protocols import common_loso, li2018
from serlib.runs import read_record

RNG = np.random.default_rng(0)


@pytest.fixture
def task(corpus):
    return li2018(read_folder(corpus))


@pytest.fixture
def features(task, monkeypatch):
    """Eighty-eight numbers an utterance that tell the classes apart, most of the time, in place of eGeMAPS."""
    found = RNG.normal(size=(len(task.table), 88)) + 2 * np.eye(4, 88)[task.labels]
    monkeypatch.setattr(baselines, "extract", lambda table, function: list(found))
    return found


@pytest.mark.parametrize("only, kept", [("loudness", 11), ("F0semitone", 10)])
def test_some_of_the_functionals(task, features, only, kept):
    """Else a classifier that is said to hear loudness alone would hear the rest too, or not all of loudness."""
    names = functional_names()
    columns = [number for number, name in enumerate(names) if only in name]
    assert len(names) == 88 and len(columns) == kept
    everything, record = functionals_svm(task), functionals_svm(task, only=only)
    assert record.model == f"{only} + linear SVM" and record.settings == {"C": "inner cross-validation", "only": only}
    features[:, np.setdiff1d(np.arange(88), columns)] = RNG.normal(size=(len(features), 88 - kept))
    assert predicted(functionals_svm(task, only=only)) == predicted(record)
    assert predicted(functionals_svm(task)) != predicted(everything)
    features[:, columns] = RNG.normal(size=(len(features), kept))
    assert predicted(functionals_svm(task, only=only)) != predicted(record)
    with pytest.raises(InputError, match="No functional of eGeMAPS .* 'noise'"):
        functionals_svm(task, only="noise")


def predicted(record):
    return [fold["predicted"] for fold in record.folds]


def test_the_svm_tells_tones_apart(task, tmp_path):
    """Else the baseline beside our numbers would be weaker than what a user gets in ten lines."""
    record = functionals_svm(task, tmp_path)
    assert (record.model, record.corpus, record.protocol) == ("eGeMAPS + linear SVM", "tones", "li2018")
    assert len(record.folds) == 3 and len(record.predictions()) == 24
    assert record.scores()["overall_accuracy"][0] > 0.75
    assert record.updates() == 0 and record.is_current()
    [place] = (path for path in tmp_path.iterdir() if path.name.startswith("eGeMAPS"))
    assert read_record(place) == record == functionals_svm(task, tmp_path)


def test_labels_of_the_tested_speaker_are_not_used(task, features):
    """Else C or the machine would be chosen with the answers at hand."""
    honest = predicted(functionals_svm(task, folds=1))
    labels = task.labels.copy()
    labels[task.folds[0].test] = RNG.permutation(labels[task.folds[0].test])
    assert predicted(functionals_svm(dataclasses.replace(task, labels=labels), folds=1)) == honest


def test_features_of_the_tested_speaker_are_not_used(task, features):
    """Else scaling would look at the test set: an utterance's class would depend on who is tested beside it."""
    honest = predicted(functionals_svm(task, folds=1))[0]
    features[task.folds[0].test[1:]] *= 1000
    assert predicted(functionals_svm(task, folds=1))[0][0] == honest[0]


def test_scaling_over_everything_looks_at_the_test_set(task, features):
    """Else the protocol that shows this leak would leak nothing: one loud test utterance changes all other answers."""
    fold = task.folds[0]
    leaky = dataclasses.replace(task, folds=(dataclasses.replace(fold, normalise=np.arange(len(task.table))),))
    before = predicted(functionals_svm(leaky))[0][:-1]
    honest = predicted(functionals_svm(task, folds=1))[0][:-1]
    features[fold.test[-1]] = 1e6
    assert len(set(before)) > 1 == len(set(predicted(functionals_svm(leaky))[0][:-1]))
    assert predicted(functionals_svm(task, folds=1))[0][:-1] == honest


def test_words_are_read_and_only_those_of_training(task):
    """Else what words give away would be measured on words that were learnt from the test."""
    said = np.array(["no never", "oh great", "well so", "ah alas"])[task.labels]
    table = task.table.assign(transcript=pd.array(said, dtype="string"))
    known = dataclasses.replace(task, table=table)
    record = words_bayes(known)
    assert record.scores()["uar"][0] == 1 and record.source == "baselines.words_bayes" and record.is_current()
    tested = task.folds[0].test
    strange = table["transcript"].mask(table.index.isin(tested), "hm")  # words that nobody has learnt
    record = words_bayes(dataclasses.replace(task, table=table.assign(transcript=strange)), folds=1)
    assert len(set(record.folds[0]["predicted"])) == 1
    with pytest.raises(InputError, match="24 utterances of tones have no transcript"):
        words_bayes(task)


def test_c_is_chosen_across_speakers(task, features, monkeypatch):
    """Else C would be chosen on speakers that the machine has heard."""
    seen = []

    class Spy(baselines.GroupKFold):
        def split(self, X, y=None, groups=None):
            for train, test in super().split(X, y, groups):
                seen.append(set(groups[train]) & set(groups[test]))
                yield train, test

    monkeypatch.setattr(baselines, "GroupKFold", Spy)
    functionals_svm(task)
    assert seen and not any(seen)


@pytest.fixture
def with_development(corpus, monkeypatch):
    """Folds with a speaker to choose on, and features on which it matters which C is taken."""
    task = common_loso(read_folder(corpus))
    rng = np.random.default_rng(9)
    found = rng.normal(size=(24, 88)) + 0.9 * np.eye(4, 88)[task.labels] * rng.choice([0.3, 3], (24, 1))
    monkeypatch.setattr(baselines, "extract", lambda table, function: list(found))
    return task, found


def chosen_by_scikit_learn(task, features, fold):
    """The C that is best on a fold's development rows, and the machine with it, trained on its training rows."""
    scaled = StandardScaler().fit(features[fold.normalise]).transform(features)
    train, chosen = (rows[task.labels[rows] >= 0] for rows in (fold.train, fold.validation))
    both, split = np.concatenate([train, chosen]), np.repeat([-1, 0], [len(train), len(chosen)])
    search = GridSearchCV(
        SVC(kernel="linear"),
        {"C": np.logspace(-4, 0, 9)},
        scoring="balanced_accuracy",
        cv=PredefinedSplit(split),
        refit=False,
    )
    search.fit(scaled[both], task.labels[both])
    machine = SVC(kernel="linear", **search.best_params_).fit(scaled[train], task.labels[train])
    return search.best_params_["C"], machine.predict(scaled[fold.test]), machine.predict(scaled[fold.validation])


@pytest.mark.parametrize("unrated", [[], [1, 9, 12, 17, 22]])
def test_c_chosen_on_development(with_development, unrated):
    """Else the machine would be trained on what it is chosen on, or be chosen by another score."""
    task, features = with_development
    labels = task.labels.copy()
    labels[unrated] = -1
    task = dataclasses.replace(task, labels=labels)
    record = functionals_svm(task, choose_on="development")
    expected = [chosen_by_scikit_learn(task, features, fold) for fold in task.folds]
    assert len({choice for choice, *_ in expected}) > 1  # else any choice would do
    for fold, entry, (_, tested, chosen) in zip(task.folds, record.folds, expected, strict=True):
        assert entry["predicted"] == tested.tolist() and entry["validation"]["predicted"] == chosen.tolist()
        assert entry["validation"]["label"] == labels[fold.validation].tolist()
    assert len(record.predictions()) == 24 - len(unrated) == len(record.on(part="validation").predictions())
    assert record.settings == {"C": "development"}


def test_where_c_cannot_be_chosen(task, with_development):
    """Else C would be chosen on nothing, or on something else than was asked for, without a word."""
    with pytest.raises(InputError, match="C is chosen on development, and fold 's0' of li2018 has none"):
        functionals_svm(task, choose_on="development")
    with pytest.raises(InputError, match="on training or on development, not on 'test'"):
        functionals_svm(task, choose_on="test")
    task, _ = with_development
    unrated = task.labels.copy()
    unrated[task.folds[0].validation] = -1
    with pytest.raises(InputError, match="fold 's0' of common_loso has none"):
        functionals_svm(dataclasses.replace(task, labels=unrated), choose_on="development")


@pytest.mark.parametrize("choose_on", ["training", "development"])
def test_rows_without_a_label_teach_nothing(with_development, choose_on):
    """Else "not rated" would be a class that is learnt, and answered."""
    task, features = with_development
    hidden = task.folds[2].train[::3]
    labels = task.labels.copy()
    labels[hidden] = -1
    (fold,) = [dataclasses.replace(task.folds[2], normalise=np.setdiff1d(task.folds[2].train, hidden))]
    if choose_on == "training":
        fold = dataclasses.replace(fold, train=np.sort(np.concatenate([fold.train, fold.validation])))
    task = dataclasses.replace(task, labels=labels, folds=(fold,))
    before = predicted(functionals_svm(task, choose_on=choose_on))
    features[hidden] *= -100
    assert predicted(functionals_svm(task, choose_on=choose_on)) == before and -1 not in before[0]


def test_words_without_a_label_teach_nothing(task):
    """Else "not rated" would be a class that is learnt from words."""
    said = np.array(["no never", "oh great", "well so", "ah alas"])[task.labels]
    labels = np.where(np.arange(24) % 2, -1, task.labels)
    table = task.table.assign(transcript=pd.array(said, dtype="string"))
    record = words_bayes(dataclasses.replace(task, table=table, labels=labels))
    assert record.scores()["uar"][0] == 1 and len(record.predictions()) == 12
    assert all(-1 not in answers for answers in predicted(record))


def test_a_corpus_of_two_speakers(tmp_path, write_corpus):
    """Else a protocol would accept a corpus that the baseline cannot choose C on, and end in an error of sklearn."""
    task = li2018(read_folder(write_corpus(tmp_path / "two", speakers=2)))
    try:
        record = functionals_svm(task)
    except InputError as error:
        assert "speaker" in str(error)
    else:
        assert len(record.predictions()) == 16
