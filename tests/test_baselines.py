"""The baseline: what is tested leaves no trace in what is trained."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from serlib import baselines
from serlib.baselines import functionals_svm, words_bayes
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.protocols import li2018
from serlib.results import read_record

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


def predicted(record):
    return [fold["predicted"] for fold in record.folds]


def test_the_svm_tells_tones_apart(task, tmp_path):
    """Else the baseline beside our numbers would be weaker than what a user gets in ten lines."""
    record = functionals_svm(task, tmp_path)
    assert (record.model, record.corpus, record.protocol) == ("eGeMAPS + linear SVM", "tones", "li2018")
    assert len(record.folds) == 3 and len(record.predictions()) == 24
    assert record.scores()["overall_accuracy"][0] > 0.75
    assert record.updates() == 0 and record.is_current()
    [path] = tmp_path.glob("*.json")
    assert predicted(read_record(path)) == predicted(record)


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


def test_a_corpus_of_two_speakers(tmp_path, write_corpus):
    """Else a protocol would accept a corpus that the baseline cannot choose C on, and end in an error of sklearn."""
    task = li2018(read_folder(write_corpus(tmp_path / "two", speakers=2)))
    try:
        record = functionals_svm(task)
    except InputError as error:
        assert "speaker" in str(error)
    else:
        assert len(record.predictions()) == 16
