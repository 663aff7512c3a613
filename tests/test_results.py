"""Run records: what was run is what is shown, and nothing that was run is lost."""

import dataclasses
import json
import os
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from serlib import results
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.protocols import common_levels, li2018
from serlib.results import (
    Record,
    code_hash,
    compare,
    cross_validate,
    cross_validate_network,
    describe,
    fullest,
    read_record,
    reference,
)
from serlib.training import batches, fit, predict

PACKAGE = Path(results.__file__).parent
SOURCE = "papers.li2018.reproduce"


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")


@pytest.fixture
def task(corpus):
    return li2018(read_folder(corpus))


@pytest.fixture
def runs(tmp_path):
    """The folder of a run."""
    return tmp_path / "runs"


def scores_of(task, fold):
    """Probabilities that are mostly right, different in each fold."""
    rng = np.random.default_rng(len(fold.name) + ord(fold.name[-1]))
    noisy = rng.random((len(fold.test), 4)) + 0.7 * np.eye(4)[task.labels[fold.test]]
    return noisy / noisy.sum(1, keepdims=True)


def validate(task, test_fold=None, model="a model", settings=None, **options):
    """`cross_validate` with a model that needs no training."""
    return cross_validate(
        task,
        test_fold or (lambda fold, place: {"scores": scores_of(task, fold), "updates": 7, "loss": 0.5}),
        model=model,
        source=SOURCE,
        settings={"batch_size": 16, "milestones": (20, 30)} if settings is None else settings,
        **options,
    )


def without_times(record):
    return [{key: value for key, value in fold.items() if key != "seconds"} for fold in record.folds]


def test_a_record_holds_what_was_tested(task):
    """Else a prediction would be credited to another utterance, speaker or fold."""
    record = validate(task, seed=3)
    rows = record.predictions().set_index("utterance_id")
    assert len(rows) == 24 and set(rows.index) == set(task.table["utterance_id"])
    for fold in task.folds:
        tested = rows.loc[task.table["utterance_id"].iloc[fold.test]]
        assert set(tested["fold"]) == {fold.name} == set(tested["speaker"])
        np.testing.assert_array_equal(tested["label"], task.labels[fold.test])
        np.testing.assert_array_equal(tested["predicted"], scores_of(task, fold).argmax(1))
    np.testing.assert_allclose(record.folds[1]["scores"], scores_of(task, task.folds[1]), atol=5e-5)
    assert (record.corpus, record.protocol, record.seed) == ("tones", "li2018", 3)
    assert record.classes == ["anger", "happiness", "neutral", "sadness"] and record.updates() == 7
    for key in ("device", "precision", "threads", "python", "torch", "numpy", "librosa", "scikit-learn", "opensmile"):
        assert record.environment[key]


def test_predictions_instead_of_scores(task):
    """Else a machine without probabilities could not be recorded."""
    record = validate(task, lambda fold, place: {"predicted": task.labels[fold.test][::-1]})
    assert record.folds[0]["predicted"] == task.labels[task.folds[0].test][::-1].tolist()
    assert "scores" not in record.folds[0] and record.updates() == 0


def test_scores_are_scikit_learns(task):
    """Else the tables of the book would not follow from the predictions that are stored."""
    record = validate(task)
    rows = record.predictions()
    labels, predicted = rows["label"], rows["predicted"]
    found = record.scores()
    assert found["overall_accuracy"][0] == pytest.approx(accuracy_score(labels, predicted))
    assert found["uar"][0] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert all(low <= value <= high and low < high for value, low, high in found.values())
    np.testing.assert_array_equal(record.confusion(), confusion_matrix(labels, predicted))
    recalls = record.recalls()
    assert recalls.pop("overall") == pytest.approx(accuracy_score(labels, predicted))
    assert list(recalls.values()) == pytest.approx(recall_score(labels, predicted, average=None))
    assert list(recalls) == record.classes


def test_confusion(task):
    """Else rows and columns would be swapped, or a class without predictions be left out."""
    record = validate(task, folds=1)
    record.folds[0] |= {"utterance_id": [*"abcd"], "speaker": ["s0"] * 4, "label": [0, 0, 1, 3]}
    record.folds[0] |= {"predicted": [0, 1, 1, 1]}
    np.testing.assert_array_equal(record.confusion(), [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])


def test_a_record_of_one_fold(task):
    """Else the quick profile, which tests one speaker, could not show its numbers."""
    record = validate(task, folds=1)
    value, low, high = record.scores()["overall_accuracy"]
    assert low < value < high and np.isnan(record.scores()["uar"][1])
    assert "nan" not in record.shown("uar") and "[" in record.shown("overall_accuracy")


def test_a_record_round_trips_through_json(task, runs):
    """Else what is read back would not be what was run."""
    record = validate(task, folder=runs)
    [path] = runs.iterdir()
    assert read_record(path) == record
    assert Record(**json.loads(json.dumps(dataclasses.asdict(record)))) == record


def test_folds_that_were_run_are_not_run_again(task, runs):
    """Else a killed run of ten hours would begin from the start."""
    whole = validate(task)
    run = []

    def test_fold(fold, place):
        run.append(fold.name)
        if len(run) == 3:
            raise KeyboardInterrupt
        return {"scores": scores_of(task, fold), "updates": 7, "loss": 0.5}

    with pytest.raises(KeyboardInterrupt):
        validate(task, test_fold, folder=runs)
    [path] = runs.iterdir()
    assert len(read_record(path).folds) == 2
    resumed = validate(task, test_fold, folder=runs)
    assert run == ["s0", "s1", "s2", "s2"] and without_times(resumed) == without_times(whole)
    again = validate(task, lambda fold, place: pytest.fail("run again"), folder=runs)
    assert again == resumed == read_record(path)


def test_more_folds_go_on_from_fewer(task, runs):
    """Else a first fold that was run to look at it would have to be run again."""
    validate(task, folder=runs, folds=1)
    record = validate(task, folder=runs)
    assert [fold["name"] for fold in record.folds] == ["s0", "s1", "s2"]


def killed(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def leaving_checkpoints(task):
    """A fold's test that writes into its checkpoint what made it, and a list of what it found there."""
    found = []

    def test_fold(fold, place):
        here, checkpoint = f"{fold.name} {results.code_hash(SOURCE, 'li2018')}", Path(f"{place}.checkpoint")
        found.append(checkpoint.read_text() == here if checkpoint.exists() else None)
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.write_text(here)
        if len(found) in stops:
            raise KeyboardInterrupt
        return {"scores": scores_of(task, fold)}

    stops = []
    return test_fold, found, stops


def test_a_stopped_fold_finds_its_checkpoint(task, runs, leaving_checkpoints):
    """Else a fold that was killed after an hour would begin from the start."""
    test_fold, found, stops = leaving_checkpoints
    stops.append(2)
    with pytest.raises(KeyboardInterrupt):
        validate(task, test_fold, folder=runs)
    validate(task, test_fold, folder=runs)
    assert found == [None, None, True, None]
    assert [path.suffix for path in runs.iterdir()] == [".json"]


def test_every_fold_has_a_place_of_its_own(task, runs):
    """Else the weights of one fold would overwrite, or a checkpoint continue, those of another; or lie elsewhere."""
    places = []

    def test_fold(fold, place):
        places.append(place)
        return {"scores": scores_of(task, fold)}

    validate(task, test_fold, folder=runs)
    [path] = runs.iterdir()
    assert [place.name for place in places] == [f"{path.stem}_{fold.name}" for fold in task.folds]
    assert {place.parent for place in places} == {runs}
    places.clear()
    validate(task, test_fold)
    assert places == [None] * 3


def test_a_checkpoint_stays_until_its_fold_is_recorded(task, runs, leaving_checkpoints, monkeypatch):
    """Else a run killed between clean-up and record would train the fold again."""
    test_fold, found, _ = leaving_checkpoints
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(results, "write_atomically", killed)
        validate(task, test_fold, folder=runs)
    validate(task, test_fold, folder=runs)
    assert found == [None, True, None, None]


def test_a_checkpoint_is_not_taken_for_the_next_fold(task, runs, leaving_checkpoints, monkeypatch):
    """Else a run killed between record and clean-up would test a speaker on a model that was trained on them."""
    test_fold, found, _ = leaving_checkpoints

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        unlink = Path.unlink
        patch.setattr(Path, "unlink", lambda path, **o: (killed if path.suffix == ".checkpoint" else unlink)(path, **o))
        validate(task, test_fold, folder=runs)
    assert found == [None] and len(list(runs.glob("*.checkpoint"))) == 1
    validate(task, test_fold, folder=runs)
    assert found == [None, None, None]


def test_a_checkpoint_of_earlier_code_is_not_taken(task, runs, leaving_checkpoints, monkeypatch):
    """Else a run killed in its first fold would go on with old weights, and be recorded as made by the new code."""
    test_fold, found, stops = leaving_checkpoints
    stops.append(1)
    with pytest.raises(KeyboardInterrupt):
        validate(task, test_fold, folder=runs)
    monkeypatch.setattr(results, "code_hash", lambda source, protocol: "the code of today")
    validate(task, test_fold, folder=runs)
    assert found == [None, None, None, None]


def test_records_of_other_settings_are_kept_apart(task, runs):
    """Else one run would continue or overwrite another."""
    for model, settings, seed in (("a", {}, 0), ("b", {}, 0), ("a", {"batch_size": 2}, 0), ("a", {}, 1)):
        record = validate(task, folder=runs, model=model, settings=settings, seed=seed)
        assert (record.model, record.settings, record.seed) == (model, settings, seed)
    assert len(list(runs.glob("*.json"))) == 4


CHANGES = {
    "code": lambda task: (task, {}),
    "settings": lambda task: (task, {"settings": {"batch_size": 1}}),
    "seed": lambda task: (task, {"seed": 9}),
    "fewer utterances": lambda task: (fewer(task), {}),
    "other utterances": lambda task: (renamed(task), {}),
    "labels": lambda task: (dataclasses.replace(task, labels=np.roll(task.labels, 1)), {}),
    "folds": lambda task: (dataclasses.replace(task, folds=task.folds[::-1]), {}),
}


def fewer(task):
    table = task.table.drop(index=0).reset_index(drop=True)
    return dataclasses.replace(li2018(table), corpus=task.corpus)


def renamed(task):
    ids = ["another", *task.table["utterance_id"][1:]]
    return dataclasses.replace(task, table=task.table.assign(utterance_id=ids))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_run_has_a_record_of_its_own(task, runs, change, monkeypatch):
    """Else half of a record would be of one model, code or corpus and half of another, or the earlier half be lost."""

    def test_fold(fold, place):
        ran.append((fold.name, place))
        return {"scores": scores_of(now, fold), "updates": 7, "loss": 0.5}

    now, ran = task, []
    begun = validate(task, test_fold, folder=runs, folds=1)
    [first] = runs.iterdir()
    before = first.read_bytes()
    now, options = CHANGES[change](task)
    with monkeypatch.context() as patch:
        if change == "code":
            patch.setattr(results, "code_hash", lambda source, protocol: "0123456789abcdef")
        record = validate(now, test_fold, folder=runs, **options)
    assert [name for name, _ in ran[1:]] == [fold.name for fold in now.folds]  # from the start, every fold
    assert first.read_bytes() == before
    [second] = set(runs.iterdir()) - {first}
    assert read_record(second) == record and len(record.folds) == 3
    now = task
    whole = validate(task, test_fold, folder=runs)  # as it was: the first record goes on
    assert [name for name, _ in ran[4:]] == ["s1", "s2"] and whole.folds[0] == begun.folds[0]
    assert read_record(first) == whole and read_record(second) == record
    places = dict.fromkeys(place for _, place in ran)
    assert len(places) == len(ran), "a changed run would find the checkpoint of the other"


# Further dimensions, and what was chosen on


@pytest.fixture
def levels(corpus):
    """Low and high activation of the tones, valence beside it: each fold trains, chooses and tests on a speaker."""
    return common_levels(read_folder(corpus))


def answers(task, rows, seed):
    """Class numbers of some rows, right or wrong at random."""
    return np.random.default_rng([seed, *rows]).integers(0, len(task.classes), len(rows))


def all_answers(task, as_scores=False):
    """A `test_fold` that answers on both dimensions and parts, each time something else."""

    def shaped(rows, seed):
        found = answers(task, rows, seed)
        return np.eye(len(task.classes))[found] if as_scores else found

    def test_fold(fold, place):
        kind = "scores" if as_scores else "predicted"
        return {
            kind: shaped(fold.test, 0),
            "tasks": {"valence": shaped(fold.test, 1)},
            "validation": {kind: shaped(fold.validation, 2), "tasks": {"valence": shaped(fold.validation, 3)}},
            "updates": 7,
        }

    return test_fold


@pytest.mark.parametrize("as_scores", [False, True])
@pytest.mark.parametrize(
    ("dimension", "part", "seed"),
    [
        *((None, "test", 0), ("activation", "test", 0), ("valence", "test", 1)),
        *((None, "validation", 2), ("activation", "validation", 2), ("valence", "validation", 3)),
    ],
)
def test_every_dimension_and_part_has_its_own_answers(levels, runs, dimension, part, seed, as_scores):
    """Else a score of the development part, or of another dimension, would be shown as that of the test."""
    validate(levels, all_answers(levels, as_scores), folder=runs)
    [path] = runs.iterdir()
    record = read_record(path)
    shown = record.on(dimension, part)
    rows = shown.predictions()
    parts = [getattr(fold, part) for fold in levels.folds]
    chosen = np.concatenate(parts)
    assert rows["utterance_id"].tolist() == levels.table["utterance_id"].iloc[chosen].tolist()
    assert rows["speaker"].tolist() == levels.table["speaker"].iloc[chosen].tolist()
    np.testing.assert_array_equal(rows["label"], levels.auxiliary[dimension or "activation"][chosen])
    np.testing.assert_array_equal(rows["predicted"], np.concatenate([answers(levels, part, seed) for part in parts]))
    assert rows["fold"].tolist() == [fold.name for fold in levels.folds for _ in fold.test]
    np.testing.assert_array_equal(shown.confusion(), confusion_matrix(rows["label"], rows["predicted"]))
    assert shown.settings["dimension"] == (dimension or "activation") and record.settings["dimension"] == "activation"
    assert (shown.model, shown.code, shown.updates()) == (record.model, record.code, 7)
    if seed == 0:
        pd.testing.assert_frame_equal(rows, record.predictions())


def test_only_the_scores_of_the_test_are_kept(levels):
    """Else records would grow fourfold."""
    record = validate(levels, all_answers(levels, as_scores=True))
    for fold in record.folds:
        assert np.shape(fold["scores"]) == (8, 2) and fold["tasks"]["valence"].keys() == {"label", "predicted"}
        assert fold["validation"].keys() == {"utterance_id", "speaker", "label", "predicted", "tasks"}


def test_what_a_record_does_not_hold(task, levels):
    """Else another dimension or part would be shown in the place of the one that was asked for."""
    plain, full = validate(task), validate(levels, all_answers(levels))
    for record, wanted, missing in (
        (plain, {"part": "validation"}, "validation"),
        (plain, {"task": "valence"}, "valence, test"),
        (full, {"task": "dominance"}, "dominance, test"),
        (full, {"task": "dominance", "part": "validation"}, "dominance, validation"),
        (full, {"part": "tasks"}, "tasks"),
        (full.on("valence"), {"task": "activation"}, "activation, test"),
    ):
        with pytest.raises(InputError, match=f"a model .*does not hold: {missing}"):
            record.on(**wanted)
    pd.testing.assert_frame_equal(plain.on().predictions(), plain.predictions())
    assert "dimension" not in plain.settings


def test_what_nobody_rated_is_not_scored(levels):
    """Else an utterance without a label would count as a mistake, or as a class of its own."""
    unrated = np.arange(24) % 5 == 2
    valence = np.where(unrated, -1, levels.auxiliary["valence"])
    activation = np.where(np.roll(unrated, 1), -1, levels.labels)
    partly = dataclasses.replace(levels, labels=activation, auxiliary={"valence": valence, "activation": activation})
    record = validate(partly, all_answers(partly))
    for name, labels in (("activation", activation), ("valence", valence)):
        for part in ("test", "validation"):
            shown = record.on(name, part)
            rows = shown.predictions()
            ids = partly.table["utterance_id"][labels >= 0]
            assert {*rows["utterance_id"]} == {*ids} and len(rows) == len(ids) < 24
            assert {*rows["label"]} == {0, 1} and rows.index.equals(pd.RangeIndex(len(rows)))
            assert shown.confusion().sum() == len(rows)
    shown = record.on("valence")
    rows, table = shown.predictions(), describe([shown])
    expected = balanced_accuracy_score(rows["label"], rows["predicted"])
    assert shown.scores()["uar"][0] == pytest.approx(expected)
    assert table["utterances"].tolist() == [len(rows)] and table["UAR"].iloc[0].startswith(f"{100 * expected:.1f} ")


def test_nothing_to_score(levels):
    """Else a table of three dimensions would end in an error where a fold has no rating of one."""
    nobody = np.full(24, -1)
    record = validate(
        dataclasses.replace(levels, auxiliary=levels.auxiliary | {"valence": nobody}), all_answers(levels)
    )
    empty = record.on("valence")
    assert empty.scores().keys() == record.scores().keys() and np.isnan([*empty.scores().values()]).all()
    assert {empty.shown(score) for score in empty.scores()} == {"no label"}
    assert empty.predictions().columns.tolist() == record.predictions().columns.tolist() and not empty.confusion().any()
    assert np.isnan(empty.recalls()["overall"])
    table = describe([record, empty])
    assert table["UAR"].tolist().count("no label") == 1 and sorted(table["utterances"]) == [0, 24]


def test_other_ratings_of_a_further_dimension_have_a_record_of_their_own(levels, runs):
    """Else half of a record would be scored by old ratings."""
    validate(levels, all_answers(levels), folder=runs, folds=1)
    other = levels.auxiliary | {"valence": 1 - levels.auxiliary["valence"]}
    record = validate(dataclasses.replace(levels, auxiliary=other), all_answers(levels), folder=runs, folds=1)
    assert len(list(runs.iterdir())) == 2
    assert record.folds[0]["tasks"]["valence"]["label"] == other["valence"][levels.folds[0].test].tolist()


# Networks


class Network:
    """A linear network on random inputs, with its arguments for `cross_validate_network`; it counts what it trains."""

    def __init__(self, task, score=None, bare=False, schedule=None):
        self.task, self.score, self.bare, self.epochs, self.checkpoints = task, score, bare, [], []
        self.schedule = schedule
        self.inputs = torch.randn(len(task.table), 5, generator=torch.Generator().manual_seed(0))

    def train(self, fold, checkpoint):
        self.checkpoints.append(checkpoint)
        targets = torch.from_numpy(self.task.labels[fold.train])
        epoch_of, optimiser = partial(batches, self.inputs[fold.train], targets, 8), partial(torch.optim.SGD, lr=0.1)
        torch.manual_seed(0)
        options = {"epochs": 3, "score": self.score, "make_schedule": self.schedule}
        options |= {"checkpoint": checkpoint, "watch": self.watch}
        return fit(self.make(), epoch_of, optimiser, **options)

    def watch(self, history):
        self.epochs.append(len(history))

    def make(self):
        return nn.Linear(5, len(self.task.classes))

    def test(self, network, fold):
        scores = predict(network, self.inputs[fold.test]).softmax(1).numpy()
        return scores if self.bare else {"scores": scores}

    def run(self, **options):
        about = {"model": "linear", "source": SOURCE, "settings": {}, **options}
        return cross_validate_network(self.task, self.make, self.train, self.test, **about)


@pytest.mark.parametrize("bare", [False, True])
def test_a_network_is_cross_validated(task, runs, bare):
    """Else a fold would be scored with another fold's network, or its record name other weights."""
    network = Network(task, bare=bare)
    record, trained = network.run(folder=runs, seed=4)
    assert list(trained) == [fold.name for fold in task.folds] and record.seed == 4
    for fold, entry in zip(task.folds, record.folds, strict=True):
        module = trained[fold.name]
        scores = module(network.inputs[fold.test]).softmax(1).detach()
        np.testing.assert_allclose(entry["scores"], scores, atol=5e-5)
        assert entry["predicted"] == scores.argmax(1).tolist() and not module.training
        assert (entry["updates"], "best_epoch" in entry) == (6, False) and entry["seconds"] > 0
        stored = load_file(runs / entry["weights"])
        assert all(torch.equal(stored[key], value) for key, value in module.state_dict().items())
    assert len({tuple(module.bias.tolist()) for module in trained.values()}) == 3
    assert sorted(path.suffix for path in runs.iterdir()) == [".json", *[".safetensors"] * 3]
    plain, _ = Network(task).run()
    assert [entry["predicted"] for entry in plain.folds] == [entry["predicted"] for entry in record.folds]
    assert "weights" not in plain.folds[0]


def test_the_loss_of_a_record_is_that_of_the_last_epoch(task):
    """Else the training loss beside a score would be that of a network that had not been trained."""
    network = Network(task)
    record, _ = network.run(folds=1)
    _, history = network.train(task.folds[0], None)
    assert record.folds[0]["loss"] == pytest.approx(np.mean(history[-1]["losses"])) != history[-1]["losses"][0]


def test_the_best_epoch_is_recorded(task):
    """Else nobody could see that an epoch was chosen, or which."""
    values = iter([1, 3, 2] + [3, 2, 1] + [1, 2, 3])
    record, _ = Network(task, score=lambda module: next(values)).run()
    assert [fold["best_epoch"] for fold in record.folds] == [2, 1, 3]


def test_the_learning_rates_are_recorded(task, runs):
    """Else nobody could repeat a training whose rate waits for a plateau of something that he has not."""
    plain, _ = Network(task).run()
    assert [fold["learning_rates"] for fold in plain.folds] == [[0.1] * 3] * 3
    schedule = partial(ReduceLROnPlateau, mode="max", factor=0.1, patience=0)
    values = iter([1, 0, 2] + [1, 2, 3] + [1, 1, 1])
    record, _ = Network(task, score=lambda module: next(values), schedule=schedule).run(folder=runs)
    rates = [fold["learning_rates"] for fold in record.folds]
    assert rates == [pytest.approx(each) for each in ([0.1, 0.1, 0.01], [0.1] * 3, [0.1, 0.1, 0.01])]
    assert read_record(*runs.glob("*.json")).folds == record.folds


def test_a_stopped_network_goes_on(task, runs):
    """Else a fold that was killed would begin from the start, or folds that were done be trained again."""
    whole, modules = Network(task).run()
    network = Network(task)
    stop = lambda history: network.epochs.append(len(history)) or (len(network.epochs) == 5 and killed())  # noqa: E731
    network.watch = stop
    with pytest.raises(KeyboardInterrupt):
        network.run(folder=runs)
    assert network.epochs == [1, 2, 3, 1, 2]
    resumed, trained = network.run(folder=runs)
    assert network.epochs[5:] == [3, 1, 2, 3]
    assert [path.suffix for path in network.checkpoints] == [".checkpoint"] * 4
    keys = ("predicted", "scores", "updates", "loss", "learning_rates")
    assert [[fold[key] for key in keys] for fold in resumed.folds] == [
        [fold[key] for key in keys] for fold in whole.folds
    ]
    assert list(trained) == list(modules) and not any(module.training for module in trained.values())
    for name, module in modules.items():
        assert torch.equal(trained[name].weight, module.weight)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_lost_weights_are_named(task, runs, damage):
    """Else a notebook that is opened again would end in an error that does not say what to do."""
    record, _ = Network(task).run(folder=runs)
    [path] = runs.glob("*.json")
    weights = runs / record.folds[1]["weights"]
    damage(weights)
    remedy = f"{weights}: these weights are missing or torn. Delete {path.name} beside them to train again."
    with pytest.raises(InputError, match=re.escape(remedy)):
        Network(task).run(folder=runs)
    path.unlink()
    assert [fold["scores"] for fold in Network(task).run(folder=runs)[0].folds] == [f["scores"] for f in record.folds]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: '"text"',
        lambda text: "null",
        lambda text: '{"model": "a"}',
        lambda text: text.replace('"seed"', '"sead"'),
        lambda text: text.encode("utf-16"),
    ],
    ids=["half", "empty", "list", "text", "null", "too little", "another key", "another encoding"],
)
def test_a_torn_record_is_named(task, runs, damage):
    """Else a file that broke off in a copy would end in an error that does not say which to delete."""
    validate(task, folder=runs)
    [path] = runs.iterdir()
    damaged = damage(path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(InputError, match=rf"{path.name}: not a whole run record .*Delete it"):
        read_record(path)
    with pytest.raises(InputError, match=rf"{path.name}: not a whole run record"):
        validate(task, folder=runs)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package in which `code_hash` looks; the fixture is a function that edits a file of it."""
    shutil.copytree(PACKAGE, tmp_path / "serlib", ignore=shutil.ignore_patterns("__pycache__", "reference"))
    monkeypatch.setattr(results, "__file__", str(tmp_path / "serlib" / "results.py"))

    def edit(module, old, new):
        path = tmp_path / "serlib" / f"{module}.py"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        return hashed()

    code_hash.cache_clear()
    yield edit
    code_hash.cache_clear()


def hashed(source=SOURCE, protocol="li2018"):
    code_hash.cache_clear()
    return code_hash(source, protocol)


SAME = {
    "a comment": ("features", "    spectrum = torch", "    # short-time\n    spectrum = torch"),
    "a docstring": ("features", '"""Magnitude spectrogram', '"""The magnitude spectrogram'),
    "the docstring of a module": ("training", '"""The fourth room', '"""The room number four'),
    "layout": ("training", "updates += len(losses)\n", "updates += (\n            len(losses)\n        )\n"),
    "a function that is not called": ("features", "to_numpy(dtype=np.float32)[0]", "to_numpy()[0]"),
    "another protocol": ("protocols", "folds: int = 5", "folds: int = 6"),
}
OTHER = {
    "a default": ("features", "window=640", "window=641"),
    "a constant": ("audio", "RATE = 16_000", "RATE = 16_001"),
    "reading": ("audio", "samples.mean(axis=1)", "samples.sum(axis=1)"),
    "the loop": ("training", "updates += len(losses)", "updates += 2 * len(losses)"),
    "the model": ("papers/li2018", "nn.Conv2d(1, 8, (10, 2))", "nn.Conv2d(1, 8, (12, 2))"),
    "the protocol": ("protocols", "count != found.get(key, 0)", "count != found.get(key, 1)"),
    "a constant of the protocol": ("protocols", '"neutral", "sadness")', '"neutral", "boredom")'),
    "the precision": ("device", "(8, 0)", "(9, 0)"),
    "who is tested": ("folds", "units.isin(names)", "~units.isin(names)"),
    "attention": ("attention", "-torch.inf", "-1e9"),
    "padding": ("sequences", "batch_first=True", "batch_first=True, padding_value=1.0"),
}


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_the_hash_stays(package, edit):
    """Else every record would be marked as earlier code when a word of a comment changes."""
    before = hashed()
    assert package(*edit) == before


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_the_hash_changes(package, edit):
    """Else a number of earlier code would be shown as one of today's."""
    before = hashed()
    assert package(*edit) != before


def test_the_hash_is_of_one_source_and_protocol():
    """Else a change of one chapter's model would mark the records of all."""
    assert len({hashed(), hashed(protocol="common_loso"), hashed("baselines.functionals_svm")}) == 3


def test_the_hash_of_a_choice_is_of_what_it_is_chosen_by(package):
    """Else a machine that was chosen by another score would be shown as one of today's."""
    before, of_a_network = hashed("baselines.functionals_svm"), hashed()
    assert package("metrics", 'average="macro"', 'average="micro"') == of_a_network
    assert hashed("baselines.functionals_svm") != before


def test_a_number_of_earlier_code_has_a_dagger(task, package):
    """Else nobody could see that the code behind a number has changed."""
    record = validate(task)
    assert record.is_current() and "†" not in record.shown("uar")
    package("training", "updates += len(losses)", "updates += 2 * len(losses)")
    assert not record.is_current() and record.shown("uar").endswith(" †")


def test_a_number_is_shown_in_per_cent_with_its_interval(task):
    """Else the tables would show shares, or other ends than the interval has."""
    record = validate(task)
    value, low, high = record.scores()["overall_accuracy"]
    assert record.shown("overall_accuracy") == f"{100 * value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def trained(task, model, updates, right, **options):
    """The record of a model with so many updates, right or wrong on everything."""
    outcome = {"updates": updates, "loss": 0.1}
    return validate(
        task, lambda fold, place: outcome | {"predicted": task.labels[fold.test] ^ (not right)}, model, **options
    )


def test_the_fullest_record_is_chosen_by_effort(task):
    """Else the best of many tries would be shown as the result."""
    lucky, long = trained(task, "GAP", 100, True), trained(task, "GAP", 5000, False)
    other = trained(task, "Att", 7, True)
    for order in ([lucky, long, other], [long, other, lucky]):
        assert {record.model: record.updates() for record in fullest(order)} == {"GAP": 5000, "Att": 7}
    assert fullest([]) == []


def test_what_was_not_run_says_so(task):
    """Else an empty cell of the comparison could be read as a zero, or as a number that was left out."""
    published = pd.DataFrame({"WA": [71.35, 71.75], "UA": [67.54, 68.06]}, index=["GAP", "Att"])
    ours, mine = trained(task, "Att", 5000, True), trained(task, "SVM", 0, False, folds=1)
    table = compare(published, [ours], [mine])
    assert list(table.index) == ["GAP", "Att", "SVM"]
    assert table["published"].loc["Att"].tolist() == ["71.75", "68.06"]
    assert table["reference: tones"].loc["Att"].tolist() == ["100.0 [100, 100]"] * 2
    assert set(table["reference: tones"].loc[["GAP", "SVM"]].to_numpy().ravel()) == {"not run"}
    assert table["this run: tones"].loc["SVM", "accuracy"].startswith("0.0 ")
    assert set(table["this run: tones"].loc[["GAP", "Att"]].to_numpy().ravel()) == {"not run"}


def test_a_comparison_with_nothing_run(task):
    """Else the chapter would stop where a corpus has no reference run."""
    published = pd.DataFrame({"WA": [71.35]}, index=["GAP"])
    for references, this_run in ([], []), ([trained(task, "GAP", 5, True)], []), ([], [trained(task, "GAP", 5, True)]):
        table = compare(published, references, this_run)
        assert not table.isna().any(axis=None) and "not run" in table.to_numpy()


def test_a_comparison_takes_generators(task):
    """Else a model of this run would be missing, although what is asked for is any iterable."""
    published = pd.DataFrame({"WA": [71.35]}, index=["GAP"])
    assert "SVM" in compare(published, iter(()), iter([trained(task, "SVM", 0, True)])).index


def test_a_model_that_is_only_in_the_references(task):
    """Else the baseline that wins would be left out of the table that compares."""
    published = pd.DataFrame({"WA": [71.35]}, index=["GAP"])
    assert "SVM" in compare(published, [trained(task, "SVM", 0, True)], []).index


def test_describe(task):
    """Else the compute card would leave out what made a number believable."""
    records = [trained(task, "SVM", 0, True, folds=1), trained(task, "GAP", 5000, True, seed=2)]
    table = describe(records)
    assert list(table.index) == [("tones", "GAP"), ("tones", "SVM")]
    row = table.loc[("tones", "GAP")]
    assert (row["utterances"], row["folds"], row["updates a fold"], row["seed"]) == (24, 3, 5000, 2)
    assert row["accuracy"] == "100.0 [100, 100]" and row["batch"] == 16
    assert table.loc[("tones", "SVM"), "updates a fold"] == ""


def test_reference_finds_what_is_wanted(task, tmp_path, monkeypatch):
    """Else a table could show the record of another corpus."""
    monkeypatch.setattr(results, "REFERENCE", tmp_path)
    assert reference("li2018") == []
    for model in ("a", "b"):
        validate(task, folder=tmp_path / "li2018", model=model)
    assert {record.model for record in reference("li2018")} == {"a", "b"}
    assert [record.model for record in reference("li2018", model="b", corpus="tones")] == ["b"]
    assert reference("li2018", corpus="emodb") == []


def test_every_reference_record_reads():
    """Else a record that ships with the package would be torn, doubly count an utterance, or hold no score."""
    paths = sorted(results.REFERENCE.glob("*/**/*.json"))  # a folder for each paper; speed.json beside them is no run
    assert paths
    for path in paths:
        record = read_record(path)
        rows = record.predictions()
        assert not rows["utterance_id"].duplicated().any(), path
        assert rows[["label", "predicted"]].isin(range(len(record.classes))).all(axis=None), path
        for value, *_ in record.scores().values():
            assert 0 < value <= 1, path
        assert os.path.sep not in record.model and record.environment["torch"], path
        for fold in record.folds:
            if "scores" in fold:
                found = np.array(fold["scores"])
                np.testing.assert_allclose(found.sum(1), 1, atol=1e-3)
                rounded = found[np.arange(len(found)), fold["predicted"]]
                assert (rounded >= found.max(1) - 1e-4).all(), path
