"""What the tests of runs share: two tasks of tones, a model that needs no training, and other behaviour."""

import json
from functools import partial

import numpy as np
import pytest

from serlib.corpora import read_folder
from serlib.corpora.heal import load_synthetic
from serlib.protocols import common_levels, li2018
from serlib.runs import Run, record, run_all


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")


@pytest.fixture
def task(corpus):
    return li2018(read_folder(corpus))


@pytest.fixture
def levels(corpus):
    """Low and high activation of the tones, valence beside it: each fold trains, chooses and tests on a speaker."""
    return common_levels(read_folder(corpus))


@pytest.fixture
def folder(tmp_path):
    """The folder of runs; each has its own in it."""
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def scores_of():
    """Probabilities of a fold's test rows that are mostly right, different in each fold."""

    def scores_of(task, fold):
        rng = np.random.default_rng(len(fold.name) + ord(fold.name[-1]))
        noisy = rng.random((len(fold.test), 4)) + 0.7 * np.eye(4)[task.labels[fold.test]]
        return noisy / noisy.sum(1, keepdims=True)

    return scores_of


@pytest.fixture(scope="session")
def a_run(scores_of):
    """The run of a model that needs no training."""

    def scored(task, fold, place):
        return {"scores": scores_of(task, fold), "updates": 7, "loss": 0.5}

    def a_run(task, test_fold=None, model="a model", settings=None, **options):
        settings = {"batch_size": 16, "milestones": (20, 30)} if settings is None else settings
        return Run(task, model, "papers.li2018", settings, test_fold or partial(scored, task), **options)

    return a_run


@pytest.fixture(scope="session")
def validate(a_run):
    """The record of `a_run`."""
    return lambda task, test_fold=None, folder=None, **options: run_all([a_run(task, test_fold, **options)], folder)[0]


@pytest.fixture
def behave(tmp_path, monkeypatch):
    """A function: from now on, what is recorded of today's code differs in a fingerprint."""

    def behave(name):
        kept = json.loads(record.BEHAVIOUR.read_text("utf-8"))
        assert name in kept["fingerprints"]
        kept["fingerprints"][name] = {"otherwise": True}
        monkeypatch.setattr(record, "BEHAVIOUR", tmp_path / "behaviour.json")
        record.BEHAVIOUR.write_text(json.dumps(kept), "utf-8")
        record._ids.cache_clear()

    yield behave
    record._ids.cache_clear()


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory):
    """A cache in which the small synthetic corpus is."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", str(folder))
        load_synthetic()
    return folder


@pytest.fixture
def said(capsys):
    """A function: what stands on stderr, one line and no traceback."""

    def said():
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    return said
