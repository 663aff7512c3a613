"""How records are made: nothing is run twice, nothing that was run is lost, and no two runs are mixed."""

import dataclasses
import gc
import json
import os
import re
import shutil
import signal
import time
import warnings
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from safetensors.torch import load_file
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from serlib.errors import InputError
from serlib.protocols import Fold, li2018
from serlib.protocols.folds import Folds
from serlib.runs import Chapter, load, make, read_record, reproduce, run_all
from serlib.training import batches, fit, predict, supervised


def untimed(record):
    """All that a record says but when, and in how many seconds."""
    record = json.loads(json.dumps(dataclasses.asdict(record)))
    for fold in record["folds"]:
        for entry in (fold, fold.get("curve", {})):
            entry.pop("seconds", None)
    return record


# Folds


def test_folds_that_were_run_are_not_run_again(task, validate, scores_of, folder):
    """Else a killed run of ten hours would begin from the start, or a fold be made of what was run before."""
    run, whole = [], validate(task)

    def test_fold(fold, place):
        run.append(fold.name)
        if len(run) == 3:
            raise KeyboardInterrupt
        return {"scores": scores_of(task, fold), "updates": 7, "loss": 0.5}

    with pytest.raises(KeyboardInterrupt):
        validate(task, test_fold, folder=folder)
    assert len(read_record(*folder.iterdir()).folds) == 2
    resumed = validate(task, test_fold, folder=folder)
    assert run == ["s0", "s1", "s2", "s2"] and untimed(resumed) == untimed(whole)
    again = validate(task, lambda fold, place: pytest.fail("run again"), folder=folder)
    assert again == resumed == read_record(*folder.iterdir())


def test_folds_are_run_in_any_order(task, a_run, validate, folder):
    """Else a first fold that was run to look at it would be run again, or a record depend on what was run when."""
    parts = make.plan(a_run(task), folder)
    told = []
    for part in (parts[2], parts[0]):
        make.records_of([part], progress=told.append)
    assert [path.name for path in sorted(folder.glob("*/*.json"))] == ["01-s0.json", "03-s2.json"]
    assert [fold["name"] for fold in validate(task, folder=folder, folds=1).folds] == ["s0"]
    assert untimed(validate(task, folder=folder)) == untimed(validate(task))
    assert told[0].startswith("a model (tones, li2018, seed 0), fold s2: 0.0 min") and len(told) == 2


def test_several_runs_at_once(task, a_run, folder):
    """Else the record of one model would hold a fold of another, or progress not say what is left."""
    told = []
    runs = [a_run(task, model="a"), a_run(task, model="b", folds=2), a_run(task, model="a", seed=1)]
    records = run_all(runs, folder, progress=told.append)
    found = [(record.model, record.seed, len(record.folds)) for record in records]
    assert found == [("a", 0, 3), ("b", 0, 2), ("a", 1, 3)]
    assert [line.rsplit("; ")[1] for line in told] == [f"{left} left" for left in reversed(range(8))]
    assert len(list(folder.iterdir())) == 3


def fewer(task):
    return dataclasses.replace(li2018(task.table.drop(index=0).reset_index(drop=True)), corpus=task.corpus)


def renamed(task):
    ids = ["another", *task.table["utterance_id"][1:]]
    return dataclasses.replace(task, table=task.table.assign(utterance_id=ids))


def rerecorded(task):
    path = Path(task.table["path"][0])
    path.write_bytes(path.read_bytes()[:-2] + b"\1\0")
    return task


CHANGES = {
    "model": lambda task: (task, {"model": "another"}),
    "settings": lambda task: (task, {"settings": {"batch_size": 1}}),
    "seed": lambda task: (task, {"seed": 9}),
    "behaviour": lambda task: (task, {}),
    "sound": lambda task: (rerecorded(task), {}),
    "fewer utterances": lambda task: (fewer(task), {}),
    "other utterances": lambda task: (renamed(task), {}),
    "labels": lambda task: (dataclasses.replace(task, labels=np.roll(task.labels, 1)), {}),
    "ratings": lambda task: (dataclasses.replace(task, auxiliary={"valence": task.labels}), {}),
    "folds": lambda task: (dataclasses.replace(task, folds=task.folds[::-1]), {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_run_has_a_folder_of_its_own(task, validate, scores_of, folder, behave, change):
    """Else half of a record would be of one model, code or corpus and half of another, or the earlier half be lost."""

    def test_fold(fold, place):
        ran.append(place)
        return {"scores": scores_of(now, fold)}

    now, ran = task, []
    validate(task, test_fold, folder=folder, folds=1)
    [first] = folder.iterdir()
    before = (first / "01-s0.json").read_bytes()
    if change == "behaviour":
        behave("feature segments_for_training")
    now, options = CHANGES[change](task)
    record = validate(now, test_fold, folder=folder, **options)
    [second] = set(folder.iterdir()) - {first}
    assert ran[1:] == [second / f"{number:02}-{fold.name}" for number, fold in enumerate(now.folds, 1)]
    assert [path.name for path in first.iterdir()] == ["01-s0.json"] and (first / "01-s0.json").read_bytes() == before
    assert read_record(second) == record and len(record.folds) == 3


def test_names_that_no_disk_accepts(task, validate, folder):
    """Else a fold that is named after sixty speakers, or a model with a slash, could not be kept."""
    folds = [dataclasses.replace(fold, name=f"a/b: {'ä long name, ' * 30}{fold.name}") for fold in task.folds]
    named = dataclasses.replace(task, folds=tuple(folds))
    record = validate(named, lambda fold, place: {"predicted": task.labels[fold.test]}, folder, model="../x*y?")
    assert [fold["name"] for fold in record.folds] == [fold.name for fold in folds]
    [place] = folder.iterdir()
    assert read_record(place) == record and len(list(place.iterdir())) == 3


def of_another_fold(path):
    shutil.copy(path.with_name("01-s0.json"), path)


def of_another_seed(path):
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


def of_both_folds(path):
    one, two = json.loads(path.with_name("01-s0.json").read_text()), json.loads(path.read_text())
    path.write_text(json.dumps(one | {"folds": one["folds"] + two["folds"]}))


@pytest.mark.parametrize("damage", [of_another_fold, of_another_seed, of_both_folds])
def test_the_file_of_another_fold_is_named(task, validate, folder, damage):
    """Else a copy at the wrong place would be taken for this fold's answers: a speaker twice, and one never."""
    whole = validate(task, folder=folder)
    [path] = folder.glob("*/02-s1.json")
    damage(path)
    message = "02-s1.json: this is not a model (tones, li2018, seed 0), fold s1. Move the file away"
    with pytest.raises(InputError, match=re.escape(message)):
        validate(task, folder=folder)
    path.unlink()
    assert untimed(validate(task, folder=folder)) == untimed(whole)


# Networks: a linear one on random inputs


@dataclasses.dataclass(frozen=True)
class Schedule:
    epochs: int = 3
    learning_rate: float = 0.1
    most_updates: int | None = None
    scores: tuple[float, ...] = ()  # what is said of the epochs


def inputs_of(task):
    return torch.randn(len(task.table), 5, generator=torch.Generator().manual_seed(0))


def make_model(name):
    return nn.Linear(5, 4)


def train(task, fold, name, schedule, seed=0, checkpoint=None, watch=None, scale=1.0):
    targets = torch.from_numpy(task.labels[fold.train])
    said, options = iter(schedule.scores), {}
    if schedule.scores:
        options["score"] = lambda model: next(said)
        options["make_schedule"] = partial(ReduceLROnPlateau, mode="max", factor=0.1, patience=0)
    torch.manual_seed(seed)
    return fit(
        make_model(name),
        partial(batches, scale * inputs_of(task)[fold.train], targets, 8),
        partial(torch.optim.SGD, lr=schedule.learning_rate, momentum=0.9),
        epochs=schedule.epochs,
        most_updates=schedule.most_updates,
        seed=seed,
        checkpoint=checkpoint,
        watch=watch,
        **options,
    )


def answers(network, task, fold, name):
    assert not network.training
    return {"scores": predict(network, inputs_of(task)[fold.test]).softmax(1).numpy()}


CHAPTER, USUAL = Chapter("li2018", make_model, train, answers), Schedule()


def linear(task, folder=None, schedule=USUAL, chapter=CHAPTER, **options):
    return reproduce(chapter, task, "linear", schedule, folder=folder, **options)


def test_a_network_is_cross_validated(task, folder):
    """Else a fold would be scored with another fold's network, or its record name other weights."""
    record = linear(task, folder, seed=4)
    assert (record.model, record.source, record.seed) == ("linear", "papers.li2018", 4)
    assert record.settings == {"epochs": 3, "learning_rate": 0.1, "scores": []}  # none that is None
    for fold, entry in zip(task.folds, record.folds, strict=True):
        network, history = train(task, fold, "linear", USUAL, 4)
        scores = network(inputs_of(task)[fold.test]).softmax(1).detach()
        np.testing.assert_allclose(entry["scores"], scores, atol=5e-5)
        assert entry["predicted"] == scores.argmax(1).tolist()
        assert torch.equal(load_file(folder / entry["weights"])["weight"], network.weight)
        loaded = load(make_model("linear").train(), folder, record, fold.name)
        assert torch.equal(loaded.weight, network.weight) and not loaded.training
        assert entry["first_loss"] == history[0]["losses"][0] and entry["loss"] == np.mean(history[-1]["losses"])
        assert (entry["updates"], "best_epoch" in entry, "score" in entry["curve"]) == (6, False, False)
    assert {path.suffix for path in folder.glob("*/*")} == {".json", ".safetensors"}  # nothing else is left behind
    plain = linear(task, seed=4)
    assert [fold["scores"] for fold in plain.folds] == [fold["scores"] for fold in record.folds]
    with pytest.raises(InputError, match="run of linear kept no weights of fold .*: give it a folder"):
        load(make_model("linear"), folder, plain, "s0")


def test_a_record_keeps_its_learning_curve(task, folder):
    """Else nobody could see which epoch was chosen, or repeat a rate that waited for a plateau of what he has not."""
    for scores, best, rates in (((1, 0, 2), 3, [0.1, 0.1, 0.01]), ((3, 2, 1), 1, [0.1, 0.1, 0.01])):
        record = linear(task, folder, Schedule(scores=scores), folds=1)
        _, history = train(task, task.folds[0], "linear", Schedule(scores=scores))
        [fold] = read_record((folder / record.folds[0]["weights"]).with_suffix(".json")).folds
        curve = fold["curve"]
        assert curve.keys() == {"loss", "learning_rate", "seconds", "score"} and curve["score"] == list(scores)
        assert curve["loss"] == pytest.approx([np.mean(epoch["losses"]) for epoch in history], abs=5e-5)
        assert curve["learning_rate"] == pytest.approx(rates) and fold["best_epoch"] == best
        assert fold["seconds"] == pytest.approx(sum(curve["seconds"]), rel=1e-2)


def killed(*_, **__):
    raise KeyboardInterrupt


def test_a_stopped_network_goes_on(task, folder):
    """Else a fold that was killed would begin from the start, or folds that were done be trained again."""
    epochs = []

    def watch(history):
        epochs.append(len(history))
        if len(epochs) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        linear(task, folder, watch=watch)
    assert epochs == [1, 2, 3, 1, 2]
    resumed = linear(task, folder, watch=watch)
    assert epochs[5:] == [3, 1, 2, 3]
    for fold in resumed.folds:
        assert fold.pop("weights") and fold.pop("weights_digest")
    assert untimed(resumed) == untimed(linear(task))


def both_ways(task):
    """s0 trains, s1 chooses and s2 is tested, and the other way round; and in a third fold s1 trains."""
    zero, one, two = (fold.test for fold in task.folds)
    sides = {"s2": (zero, one, two), "s1": (zero, two, one), "s0": (one, two, zero)}
    return dataclasses.replace(task, folds=[Fold(name, *rows, rows[0]) for name, rows in sides.items()])


@pytest.mark.parametrize("stop", [None, 2, 6, 8, 17])
def test_folds_with_the_same_training_rows_are_trained_once(task, folder, stop):
    """Else two speakers, tested and chosen on in turn, would cost two trainings; or one get the other's epoch."""
    task, epochs, computed = both_ways(task), [], []

    def train(task, fold, name, schedule, seed=0, checkpoint=None, watch=None):
        own, labels = inputs_of(task), torch.tensor(task.labels)

        def backward(*args):
            computed.append(fold.name)
            return supervised()(*args)

        def score(model):  # what the folds choose differs
            return np.sin(1e3 * model.weight.sum().item()) * (1 if fold.name == "s2" else -1)

        torch.manual_seed(seed)
        examples = partial(batches, own[fold.train], labels[fold.train], len(fold.train))
        options = {"score": score, "backward": backward, "watch": watch, "checkpoint": checkpoint}
        return fit(make_model(name), examples, partial(torch.optim.SGD, lr=1.0), epochs=schedule.epochs, **options)

    def watch(history):
        epochs.append(len(history))
        if len(epochs) == stop:
            raise KeyboardInterrupt

    chapter, schedule = CHAPTER._replace(train=train), Schedule(epochs=6)
    alone = linear(task, None, schedule, chapter)
    assert len(computed) == 18 and alone.folds[0]["best_epoch"] != alone.folds[1]["best_epoch"]
    computed.clear()
    if stop:
        with pytest.raises(KeyboardInterrupt):
            linear(task, folder, schedule, chapter, watch=watch)
    found = linear(task, folder, schedule, chapter)
    assert len(computed) == 13 + bool(stop)  # one update an epoch, and one for each comparison with what was before
    for fold in found.folds:
        assert fold.pop("weights") and fold.pop("weights_digest")
    assert untimed(found) == untimed(alone)
    assert {path.suffix for path in folder.glob("*/*")} == {".json", ".safetensors"}  # nothing else is left behind


def test_a_checkpoint_stays_until_its_fold_is_recorded(task, folder, monkeypatch):
    """Else a run killed between clean-up and record would train the fold again."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(make, "write_atomically", killed)
        linear(task, folder, folds=1)
    assert [path.name for path in folder.glob("*/*.checkpoint")] == ["01-s0.checkpoint"]
    record = linear(task, folder, folds=1, watch=lambda history: pytest.fail("trained again"))
    assert record.updates() == 6 and not list(folder.glob("*/*.checkpoint"))


def test_a_checkpoint_without_its_record_is_of_the_same_run(task, folder):
    """Else an edited network would go on from old weights, and be recorded as trained by the new code."""
    with pytest.raises(KeyboardInterrupt):
        linear(task, folder, watch=killed)
    edited = CHAPTER._replace(train=partial(train, scale=2.0))
    with pytest.raises(InputError, match=r"01-s0\.checkpoint: the first update lost .* and loses .* now"):
        linear(task, folder, chapter=edited)
    assert linear(task, folder, folds=1).updates() == 6


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "missing or torn. Delete 02-s1.json beside them to train the fold again"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "missing or torn. Delete 02-s1.json"),
        (lambda path: path.write_bytes(b""), "missing or torn. Delete 02-s1.json"),
        (lambda path: shutil.copy(path.with_name("01-s0.safetensors"), path), "are not those that the run ended with"),
    ],
    ids=["missing", "half", "empty", "another"],
)
def test_lost_weights_are_named(task, folder, damage, message):
    """Else a notebook that is opened again would end in an error that does not say what to do."""
    record = linear(task, folder)
    weights = folder / record.folds[1]["weights"]
    kept = weights.read_bytes()
    damage(weights)
    with pytest.raises(InputError, match=re.escape(f"{weights}: these weights") + ".*" + re.escape(message)):
        load(make_model("linear"), folder, record, "s1")
    weights.with_suffix(".json").unlink()
    assert untimed(linear(task, folder)) == untimed(record) and weights.read_bytes() == kept
    with pytest.raises(InputError, match=f"{weights}: these weights are of another network than Linear"):
        load(nn.Linear(3, 4), folder, record, "s1")


def test_an_edited_cell_is_noticed(task, folder):
    """Else a reader who edits a cell and runs all would be shown the numbers of the cell before."""
    record, epochs = linear(task, folder), []

    def cell(*arguments):
        epochs.append(arguments[3].epochs)
        return train(*arguments)

    def edited(*arguments):
        return train(*arguments, scale=1.1)

    cell.__module__ = edited.__module__ = "__main__"
    assert linear(task, folder, chapter=CHAPTER._replace(train=cell)) == record
    assert epochs == [1, 1, 1]  # one update of each fold is replayed
    with pytest.raises(InputError, match=r"01-s0\.json: the first update lost .* and loses .* now: a cell or the data"):
        linear(task, folder, chapter=CHAPTER._replace(train=edited))
    assert read_record(*folder.iterdir()) == record


# Several processes


@pytest.fixture(scope="module")
def workers():
    """Worker processes of one thread, which are gone afterwards."""
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        yield
    get_reusable_executor().shutdown(wait=True, kill_workers=True)


def slow(task, log, fold, place):
    with log.open("a") as file:
        file.write(f"{fold.name}\n")
    time.sleep(0.5)  # so that the other process asks meanwhile
    return {"predicted": task.labels[fold.test]}


def test_two_processes_on_one_folder(task, a_run, folder, tmp_path, workers):
    """Else each fold would be made twice, and the weights of one process lie beside the record of the other."""
    run = a_run(task, partial(slow, task, tmp_path / "log"))
    one, other = joblib.Parallel(n_jobs=2)(joblib.delayed(run_all)([run], folder) for _ in range(2))
    assert sorted((tmp_path / "log").read_text().split()) == ["s0", "s1", "s2"]
    assert one == other == [read_record(*folder.iterdir())]


@pytest.mark.parametrize("seconds", [0, 3])
def test_who_stops_between_two_folds_hears_no_more(task, a_run, folder, tmp_path, workers, seconds):
    """Else a Ctrl-C that comes while a line is printed would end in joblib's warning about tasks, begun or finished."""

    def stop(line):
        time.sleep(seconds)  # so that the other two folds are finished, and not used
        raise KeyboardInterrupt

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            run_all([a_run(task, partial(slow, task, tmp_path / "log"))], folder, jobs=2, progress=stop)
        gc.collect()
    assert not [str(each.message) for each in said]


def dying(notes, times, history):
    """Die in the second epoch, `times` times in all; note every epoch."""
    if len(history) == 2 and len(list(notes.glob("died*"))) < times:
        (notes / f"died {os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (notes / "epochs").open("a") as file:
        file.write(f"{len(history)}\n")


@pytest.mark.parametrize("times", [0, 1])
def test_two_jobs_give_the_record_of_one(task, folder, tmp_path, workers, times):
    """Else a record would depend on how many processes made it; or a fold whose worker was killed begin anew."""
    (notes := tmp_path / "notes").mkdir()
    record = linear(task, folder / "two", jobs=2, watch=partial(dying, notes, times))
    assert untimed(record) == untimed(linear(task, folder / "one"))
    died, epochs = len(list(notes.glob("died*"))), (notes / "epochs").read_text().split()
    assert bool(died) == bool(times)
    for epoch, most in ("1", 3), ("2", 3 - died), ("3", 3):  # none twice; who dies with a neighbour may note one less
        assert epochs.count(epoch) <= most and (died or epochs.count(epoch) == most)


def deadly(task, notes, fold, place):
    if fold.name == "s2":
        (notes / f"died {os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (notes / "made").open("a") as file:
        file.write(f"{fold.name}\n")
    return {"predicted": task.labels[fold.test]}


def test_a_worker_that_dies_again_and_again(task, a_run, validate, folder, tmp_path, workers):
    """Else a run that needs too much memory would never end, or end in a traceback and take what was finished along."""
    (notes := tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="killed, 3 times over.*fewer jobs.*What was finished stays"):
        run_all([a_run(task, partial(deadly, task, notes))], folder, jobs=2)
    assert len(list(notes.glob("died*"))) == 3
    kept = {path.name: path.read_bytes() for path in folder.glob("*/*.json")}
    assert kept and "03-s2.json" not in kept
    validate(task, folder=folder)
    assert all(path.read_bytes() == kept.get(path.name, path.read_bytes()) for path in folder.glob("*/*.json"))


def test_of_many_folds_only_those_that_run_are_made(task, a_run, folder, monkeypatch):
    """Else a run on a few of forty thousand speakers would first list all rows for each of them."""
    monkeypatch.setattr(make, "MANY", 2)
    made, of = [], Folds.__getitem__
    monkeypatch.setattr(
        Folds, "__getitem__", lambda self, at: (isinstance(at, int) and made.append(at), of(self, at))[1]
    )
    [part] = make.plan(a_run(task, folds=1), folder)
    assert len(make.plan(a_run(task), folder)) == 3 and not made, "the rows of a fold were listed before it runs"
    assert part.fold.name == "s0" and made == [0]
    other = dataclasses.replace(task, folds=Folds(len(task.labels), task.folds.sides[::-1]))
    assert make.plan(a_run(other, folds=1), folder)[0].place.parent != part.place.parent, "other folds, one folder"


def test_folds_that_train_on_the_same_rows_are_known(task, a_run, folder):
    """Else what one fold computed would be computed again for the next, or serve one that is scaled by other rows."""
    first = task.folds[0]
    folds = (first, dataclasses.replace(first, name="b"), dataclasses.replace(first, name="c", normalise=first.test))
    parts = make.plan(a_run(dataclasses.replace(task, folds=(*folds, task.folds[1]))), folder)
    found = [[place.name for place in part.alike] for part in parts]
    assert found == [["01-s0", "02-b"], ["01-s0", "02-b"], ["03-c"], ["04-s1"]]
