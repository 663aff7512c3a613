"""The training loop: it learns, repeats itself, goes on where it was stopped, and refuses what is not its own."""

import contextlib
import errno
import functools
import math
import os
import pickle
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, ReduceLROnPlateau

from serlib.device import autocast
from serlib.errors import InputError
from serlib.papers.li2018 import POOLINGS, EmotionCNN
from serlib.sequences import mask_of, padded_batches
from serlib.training import batches, best_epoch, fit, predict, supervised

LABELS = torch.arange(16) % 4
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
PLATEAU = partial(ReduceLROnPlateau, mode="max", factor=0.1)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor, unless a test asks for another."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")


@pytest.fixture(autouse=True)
def float16_here(monkeypatch):
    """The loss scaling of an older GPU can be tried on a CPU too, with layers that it has in float16."""
    monkeypatch.setattr("serlib.device._has_float16", lambda device: True)


def pictures():
    """Sixteen spectrograms `(16, 40, 20)` in which a class is a band of frequencies."""
    found = torch.rand(16, 40, 20, generator=torch.Generator().manual_seed(0))
    for picture, label in zip(found, LABELS, strict=True):
        picture[10 * label : 10 * label + 5] += 1
    return found


def small(width=8):
    """Normalisation, dropout and a layer: all that a checkpoint has to remember, trained in no time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(800, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 4)
    )


def train(model=None, epochs=6, optimiser=SGD, size=6, inputs=None, labels=LABELS, **options):
    inputs = pictures() if inputs is None else inputs
    return fit(model or small(), partial(batches, inputs, labels, size), optimiser, epochs=epochs, **options)


@functools.cache
def by_heart(name):
    """A model of the chapter that knows the sixteen pictures."""
    torch.manual_seed(0)
    return train(EmotionCNN(POOLINGS[name]()), 40, partial(SGD, lr=0.1), 16)


def losses(history):
    """The loss of every update, from the first epoch to the last."""
    return [loss for entry in history for loss in entry["losses"]]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def restless(model):
    """A score that goes up and down, by the weights alone; it must be asked in eval mode."""
    assert not model.training
    return math.sin(1e4 * model[1].weight.sum().item())


def stop_after(epochs):
    """A `watch` that interrupts training."""

    def watch(history):
        if len(history) == epochs:
            raise KeyboardInterrupt

    return watch


def test_batches_hold_every_example_once():
    """Else an epoch would miss examples, repeat some, or pair them with labels of others."""
    inputs = torch.arange(11)
    plain = list(batches(inputs, inputs * 10, 4))
    assert [len(x) for x, _ in plain] == [4, 4, 3]
    assert torch.equal(torch.cat([x for x, _ in plain]), inputs)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat([x for x, _ in batches(inputs, inputs, 4, generator)]) for _ in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, inputs)
    assert torch.equal(first.sort().values, inputs)
    assert all(torch.equal(y, 10 * x) for x, y in batches(inputs, inputs * 10, 4, generator))


@pytest.mark.parametrize("name", list(POOLINGS)[:3])
def test_the_loss_falls(name):
    """Else a model of the chapter could not even learn sixteen segments by heart."""
    model, history = by_heart(name)
    assert losses(history)[0] > 1.3 and losses(history)[-1] < 0.5
    assert not model.training
    assert torch.equal(predict(model, pictures()).argmax(1), LABELS)


def test_a_seed_repeats_itself():
    """Else a number in the book could not be had again."""
    (first, history), (second, again), (other, _) = train(seed=1), train(seed=1), train(seed=2)
    assert equal(first, second) and losses(history) == losses(again)
    assert not equal(first, other)


def test_history():
    """Else the learning curve would be of other updates or losses than those that were made."""
    _, history = train(epochs=3, size=6)
    assert [entry["updates"] for entry in history] == [3, 6, 9]
    assert all(entry["seconds"] > 0 for entry in history)
    assert all(entry.keys() == {"losses", "learning_rate", "updates", "seconds"} for entry in history)
    values = []

    def loss(outputs, targets):
        values.append(nn.functional.cross_entropy(outputs, targets))
        return values[-1]

    _, history = train(epochs=2, size=6, backward=supervised(loss))
    assert [len(entry["losses"]) for entry in history] == [3, 3]
    assert losses(history) == pytest.approx([value.item() for value in values])


@pytest.mark.parametrize(("most", "epochs", "updates"), [(1, 1, 1), (3, 1, 3), (5, 2, 5), (100, 3, 9)])
def test_most_updates(most, epochs, updates):
    """Else "matched updates" would be another number of updates."""
    steps = []

    class Counting(torch.optim.SGD):
        def step(self, *arguments):
            steps.append(1)
            return super().step(*arguments)

    _, history = train(epochs=3, size=6, most_updates=most, optimiser=partial(Counting, lr=0.05))
    assert (len(history), history[-1]["updates"], len(steps)) == (epochs, updates, updates)
    assert len(losses(history)) == updates


def test_the_learning_rate_falls_at_the_milestones():
    """Else "divided by 10 at epochs 21, 31, 41" would happen an epoch early or late."""
    _, history = train(epochs=6, make_schedule=partial(MultiStepLR, milestones=(2, 4), gamma=0.1))
    rates = [entry["learning_rate"] for entry in history]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])


def test_watch_sees_the_history_grow():
    """Else the live curve would stand still."""
    seen = []
    train(epochs=3, watch=lambda history: seen.append(len(history)))
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize(
    "schedule", [None, partial(MultiStepLR, milestones=(2, 4)), partial(CosineAnnealingLR, T_max=6)]
)
def test_a_stopped_run_goes_on_as_if_nothing_had_been(tmp_path, stop, schedule):
    """Else a run that was interrupted would end in another model: momentum, order, dropout, rate, statistics."""
    whole, history = train(make_schedule=schedule)
    options = {"make_schedule": schedule, "checkpoint": tmp_path / "a.checkpoint"}
    with pytest.raises(KeyboardInterrupt):
        train(watch=stop_after(stop), **options)
    torch.manual_seed(99)
    resumed, again = train(**options)
    assert equal(whole, resumed)
    for key in ("losses", "learning_rate", "updates"):
        assert [entry[key] for entry in history] == [entry[key] for entry in again]


def given(values):
    """A score that says these values, one an epoch."""
    values = iter(values)
    return lambda model: next(values)


@pytest.mark.parametrize("minimise", [False, True])
@pytest.mark.parametrize("best", [1, 2, 3, 4])
def test_the_best_epoch_is_returned(best, minimise):
    """Else a model would be tested that was not chosen, or to score it would change how it is trained."""
    scores = [0.1] * (best - 1) + [0.5] + [0.5, 0.3, 0.4][: 4 - best]
    scores = [-score for score in scores] if minimise else scores
    model, history = train(epochs=4, score=given(scores), minimise=minimise)
    assert [entry["score"] for entry in history] == scores and best_epoch(history) == best
    assert [entry["is_best"] for entry in history] == [number in (1, best) for number in range(1, 5)]
    assert not model.training and equal(model, train(epochs=best)[0])
    assert losses(history) == losses(train(epochs=4)[1])  # dropout and statistics go on after each score


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([5, 4, 3, 6, 7, 8], 2, 3),
        ([5, 5, 5, 5, 5, 5], 2, 3),  # as good is not better
        ([5, 4, 6, 5, 5, 7], 2, 5),
        ([1, 2, 3, 4, 5, 6], 1, 6),
        ([2, 1, 0, 0, 0, 0], 9, 6),
    ],
)
def test_patience(scores, patience, epochs):
    """Else training would end an epoch early or late, or count epochs that are not in a row."""
    model, history = train(score=given(scores), patience=patience)
    assert [entry["score"] for entry in history] == scores[:epochs]
    assert equal(model, train(epochs=best_epoch(history))[0])
    _, other = train(score=given([-score for score in scores]), patience=patience, minimise=True)
    assert len(other) == epochs and best_epoch(other) == best_epoch(history)


@pytest.mark.parametrize(
    ("scores", "patience", "rates"),
    [
        ([1, 2, 3, 4, 5, 6], 0, [5e-2] * 6),
        ([3, 2, 1, 4, 5, 6], 0, [5e-2, 5e-2, 5e-3, 5e-4, 5e-4, 5e-4]),
        ([3, 2, 1, 4, 5, 6], 1, [5e-2, 5e-2, 5e-2, 5e-3, 5e-3, 5e-3]),
        ([5, 5, 5, 6, 6, 6], 1, [5e-2, 5e-2, 5e-2, 5e-3, 5e-3, 5e-3]),  # as good is not better
        ([-3, -2, -4, -4, -4, -1], 1, [5e-2, 5e-2, 5e-2, 5e-2, 5e-3, 5e-3]),
        ([6, 5, 4, 3, 2, 1], 2, [5e-2, 5e-2, 5e-2, 5e-2, 5e-3, 5e-3]),
    ],
)
def test_a_schedule_that_waits_for_a_plateau(scores, patience, rates):
    """Else the learning rate would fall with the loss or the epochs, or one epoch early or late."""
    _, history = train(score=given(scores), make_schedule=partial(PLATEAU, patience=patience))
    optimiser, expected = torch.optim.SGD([torch.zeros(1)], lr=0.05), []
    schedule = PLATEAU(optimiser, patience=patience)
    for score in scores:  # driven by hand
        expected.append(optimiser.param_groups[0]["lr"])
        schedule.step(score)
    assert [entry["score"] for entry in history] == scores
    assert [entry["learning_rate"] for entry in history] == expected == pytest.approx(rates)
    options = {"make_schedule": partial(PLATEAU, patience=patience, mode="min", threshold_mode="abs"), "minimise": True}
    _, other = train(score=given([-score for score in scores]), **options)
    assert [entry["learning_rate"] for entry in other] == expected


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({"make_schedule": PLATEAU}, "max"),
        ({"make_schedule": ReduceLROnPlateau, "score": restless}, "max"),  # torch waits for a loss, unless told
        ({"make_schedule": PLATEAU, "score": restless, "minimise": True}, "min"),
    ],
    ids=["no score", "a loss by default", "a score"],
)
def test_a_plateau_of_something_else_than_the_score(options, mode):
    """Else the rate would fall whenever the score betters; or training end in an error of torch, an epoch late."""
    with pytest.raises(InputError, match=f"plateau waits for one of `score`.*mode='{mode}'"):
        train(watch=lambda history: pytest.fail("trained"), **options)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "schedule", [partial(MultiStepLR, milestones=(2, 4)), partial(PLATEAU, patience=1, factor=0.9, cooldown=1)]
)
def test_a_stopped_run_remembers_its_best_epoch(tmp_path, stop, schedule):
    """Else a run that was killed would return its last epoch, or the best since; or wait for a plateau anew."""
    options = {"score": restless, "make_schedule": schedule, "clip": 0.5}
    whole, history = train(**options)
    assert 1 < best_epoch(history) < 6 and history[-1]["learning_rate"] < 0.05
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path / "a", watch=stop_after(stop), **options)
    torch.manual_seed(99)
    resumed, again = train(checkpoint=tmp_path / "a", **options)
    assert equal(whole, resumed)
    for key in ("losses", "learning_rate", "updates", "score"):
        assert [entry[key] for entry in history] == [entry[key] for entry in again]


@pytest.mark.parametrize("stop", [1, 2, 3, None])
def test_a_run_that_lost_patience_is_not_trained_on(tmp_path, stop):
    """Else a restart would go on where the run had ended, and return another epoch than it did."""

    def fading(model):
        return -model[5].weight.norm().item()  # which grows as the model learns

    options = {"score": fading, "patience": 2, "checkpoint": tmp_path / "a"}
    whole, history = train(**options | {"checkpoint": None})
    assert len(history) == 3 and best_epoch(history) == 1
    if stop:
        with pytest.raises(KeyboardInterrupt):
            train(watch=stop_after(stop), **options)
    for _ in range(2):
        model, again = train(**options)
        assert equal(model, whole) and losses(again) == losses(history)
    train(watch=lambda history: pytest.fail("trained again"), **options)


@pytest.mark.parametrize("walked", [0, 4, 6])
def test_another_score_chooses_on_the_trail_of_the_same_batches(tmp_path, walked):
    """Else a fold whose development part is another one's test would be trained again, or come out otherwise."""
    (tmp_path / "a.trail").mkdir()
    options = {"make_schedule": partial(MultiStepLR, milestones=(2, 5)), "clip": 0.5}
    alone, history = train(score=restless, **options)
    train(score=given([3, 2, 4, 4, 9, 9]), checkpoint=tmp_path / "a.checkpoint", **options)
    (tmp_path / "a.checkpoint").unlink()
    for number in range(walked + 1, 7):  # the other run stopped earlier
        (tmp_path / "a.trail" / str(number)).unlink()
    torch.manual_seed(99)
    trained = []

    def backward(*args):
        trained.append(1)
        return supervised()(*args)

    options |= {"checkpoint": tmp_path / "a.checkpoint", "backward": backward}
    model, again = train(score=restless, **options)
    assert len(trained) == (6 - walked) * len(history[0]["losses"]) + bool(walked) and equal(model, alone)
    for key in ("losses", "learning_rate", "updates", "score", "is_best"):
        assert [entry[key] for entry in history] == [entry[key] for entry in again]


def test_who_waits_for_a_plateau_of_the_score_leaves_no_trail(tmp_path):
    """Else a rate that fell by one fold's score would train another fold."""
    (tmp_path / "a.trail").mkdir()
    options = {
        "make_schedule": partial(PLATEAU, patience=1),
        "score": restless,
        "checkpoint": tmp_path / "a.checkpoint",
    }
    train(**options)
    assert not [*(tmp_path / "a.trail").iterdir()]


@pytest.mark.parametrize("options", [{"patience": 3}, {"patience": 0, "score": restless}])
def test_patience_without_a_score(options):
    """Else "stopped early" would be said of a run that was not, or one without an epoch be returned."""
    with pytest.raises(InputError, match="patience counts epochs, from 1.*score"):
        train(**options)


def test_a_score_that_is_not_a_number():
    """Else the first epoch would be returned, whatever the later ones are worth."""
    with pytest.raises(InputError, match="score is not a number"):
        train(score=lambda model: math.nan)


def moved(clip, precision, monkeypatch):
    """How far one step of plain gradient descent, at a rate of 1, takes a small model."""
    monkeypatch.setenv("SERLIB_PRECISION", precision)
    before, model = small(), small()
    fit(model, partial(batches, pictures(), LABELS, 16), partial(torch.optim.SGD, lr=1.0), epochs=1, clip=clip)
    steps = [(one - other).norm() for one, other in zip(before.parameters(), model.parameters(), strict=True)]
    return torch.stack(steps).norm().item()


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_clipping_bounds_the_step(monkeypatch, precision):
    """Else a burst of one batch would throw a recurrent network back; or, in half precision, its scale be clipped."""
    free = moved(None, precision, monkeypatch)
    assert free > 0.1
    assert moved(0.01, precision, monkeypatch) == pytest.approx(0.01, rel=1e-2)
    assert moved(0.5 * free, precision, monkeypatch) == pytest.approx(0.5 * free, rel=1e-2)
    assert moved(1e6, precision, monkeypatch) == free


def test_a_finished_run_is_not_trained_again(tmp_path):
    """Else to look at a result would change it."""
    first, history = train(checkpoint=tmp_path / "a")
    again, same_history = train(checkpoint=tmp_path / "a", watch=lambda history: pytest.fail("trained again"))
    assert equal(first, again) and history == same_history and not again.training


def test_most_updates_holds_over_a_restart(tmp_path):
    """Else a run that was stopped would make more updates than one that was not."""
    with pytest.raises(KeyboardInterrupt):
        train(most_updates=5, checkpoint=tmp_path / "a", watch=stop_after(1))
    for _ in range(2):
        _, history = train(most_updates=5, checkpoint=tmp_path / "a")
        assert history[-1]["updates"] == len(losses(history)) == 5


OTHERS = {
    "layers": {"model": lambda: small(9)},
    "epochs": {"epochs": 7},
    "seed": {"seed": 1},
    "learning rate": {"optimiser": partial(SGD, lr=0.01)},
    "optimiser": {"optimiser": torch.optim.Adam},
    "updates": {"most_updates": 20},
    "plateau": {"make_schedule": PLATEAU},  # torch waits for 10 epochs
    "schedule": {"make_schedule": partial(MultiStepLR, milestones=(2, 4))},
    "no schedule": {"make_schedule": None},
    "clipping": {"clip": 1.0},
    "patience": {"patience": 4},
    "no patience": {"patience": None},
    "no score": {"score": None, "patience": None, "make_schedule": None},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, change):
    """Else a run would go on from the weights, with the schedule, or to the end of another."""
    options = {"score": restless, "patience": 5, "checkpoint": tmp_path / "a.checkpoint"}
    options["make_schedule"] = partial(PLATEAU, patience=2)
    with pytest.raises(KeyboardInterrupt):
        train(watch=stop_after(2), **options)
    before = (tmp_path / "a.checkpoint").read_bytes()
    changed = options | change
    if "model" in changed:
        changed["model"] = changed["model"]()
    with pytest.raises(InputError, match=r"a\.checkpoint: this checkpoint is of another model, schedule.*Delete"):
        train(**changed)
    assert (tmp_path / "a.checkpoint").read_bytes() == before
    train(**options)


def test_the_checkpoint_of_the_other_sign_is_refused(tmp_path):
    """Else the best epoch would be the best of one half of a run, and the worst of the other."""
    with pytest.raises(KeyboardInterrupt):
        train(score=restless, checkpoint=tmp_path / "a", watch=stop_after(2))
    with pytest.raises(InputError, match="another model"):
        train(score=restless, checkpoint=tmp_path / "a", minimise=True)


CHANGED = {
    "data": {"inputs": pictures().roll(1, 0)},
    "labels": {"labels": LABELS.roll(1)},
    "loss": {"backward": supervised(partial(nn.functional.cross_entropy, label_smoothing=0.1))},
    "batches": {"size": 5},
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_run_whose_first_update_changed_does_not_go_on(tmp_path, change):
    """Else a model would be trained half on one corpus, or by one cell, and half by another."""
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=path, watch=stop_after(2))
    before = path.read_bytes()
    message = r"a\.checkpoint: the first update lost [\d.]+ and loses [\d.]+ now: code or data.*Undo.*or delete it"
    with pytest.raises(InputError, match=message):
        train(checkpoint=path, watch=lambda history: pytest.fail("trained"), **change)
    assert path.read_bytes() == before
    assert equal(train(checkpoint=path)[0], train()[0])  # the refusal left no trace: to the last bit


def two_batches(model, batch, scale):
    """First-order gradients of a meta-learner: each half of a batch leaves its own, and they add up."""
    inputs, targets = batch
    values = []
    for half in (slice(0, 3), slice(3, None)):
        with autocast():
            values.append(nn.functional.cross_entropy(model(inputs[half]), targets[half]))
        scale(values[-1]).backward()
    return torch.stack(values).sum()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gradients_may_be_of_several_batches(monkeypatch, tmp_path, precision):
    """Else a meta-learner would need a loop of its own, or its gradients be scaled, clipped or dropped in part."""
    monkeypatch.setenv("SERLIB_PRECISION", precision)
    scales = []

    def backward(model, batch, scale):
        scales.append(scale(torch.ones(())).item())
        return two_batches(model, batch, scale)

    def make():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(800, 4))

    options = {"size": 16, "optimiser": partial(torch.optim.SGD, lr=0.05), "clip": 0.2, "backward": backward}
    model, history = train(make(), epochs=3, **options)
    assert scales == [2.0**16 if precision == "float16" else 1.0] * 3
    expected, order = make(), torch.Generator().manual_seed(0)
    for epoch in history:
        [(inputs, targets)] = batches(pictures(), LABELS, 16, order)
        logits = expected(inputs)
        value = sum(nn.functional.cross_entropy(logits[h], targets[h]) for h in (slice(0, 3), slice(3, None)))
        found = torch.autograd.grad(value, list(expected.parameters()))
        norm = torch.cat([part.flatten() for part in found]).norm().item()
        assert norm > 0.2  # else nothing is clipped
        for parameter, part in zip(expected.parameters(), found, strict=True):
            parameter.data -= 0.05 * part * 0.2 / norm
        tolerance = 1e-5 if precision == "float32" else 2e-2
        assert epoch["losses"] == pytest.approx([value.item()], rel=tolerance)
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6 if precision == "float32" else 2e-4)
    with pytest.raises(KeyboardInterrupt):
        train(make(), epochs=3, checkpoint=tmp_path / "a", watch=stop_after(1), **options)
    assert equal(train(make(), epochs=3, checkpoint=tmp_path / "a", **options)[0], model)


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("write", [lambda o, p: torch.save(o, p), lambda o, p: p.write_bytes(pickle.dumps(o, 2))])
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, write):
    """Else a checkpoint from a stranger could do anything that you can."""
    write({"run": Trap(tmp_path / "sprung")}, tmp_path / "a.checkpoint")
    with pytest.raises(InputError, match=r"(?s)a\.checkpoint.*Delete") as error:
        train(checkpoint=tmp_path / "a.checkpoint")
    assert "weights_only" not in str(error.value)  # torch's advice is to run the code all the same
    assert not (tmp_path / "sprung").exists()


TORN = {
    "empty": lambda whole: b"",
    "a byte": lambda whole: whole[:1],
    "a tenth": lambda whole: whole[: len(whole) // 10],
    "half": lambda whole: whole[: len(whole) // 2],
    "all but a byte": lambda whole: whole[:-1],
    "zeros": lambda whole: bytes(len(whole)),
    "no start": lambda whole: whole[100:],
    "text": lambda whole: b"moved to the archive\n",
    "letters": lambda whole: "Sprüche äöü".encode("latin-1") * 20,
    "a pickle of something else": lambda whole: pickle.dumps([1, 2, 3], protocol=2),
    "noise": lambda whole: np.random.default_rng(0).bytes(5000),
    "more noise": lambda whole: np.random.default_rng(3).bytes(5000),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("damage", TORN.values(), ids=TORN)
def test_a_torn_checkpoint_is_named(tmp_path, damage):
    """Else a run on a disk with a fault would end in an error that does not say which file to delete."""
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=path, watch=stop_after(2))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"(?s)a\.checkpoint: this checkpoint is .*Delete"):
        train(checkpoint=path)


def test_a_checkpoint_with_a_flipped_byte(tmp_path):
    """Else a fault of the disk would either go on as other weights, or end in an error that names no file."""
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(small(2), checkpoint=path, watch=stop_after(2))
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.checkpoint"):
            train(small(2), checkpoint=path)


def test_divergence_is_an_error_and_the_good_epochs_stay(tmp_path):
    """Else training would go on with NaN, and overwrite the last weights that were any good."""
    path, bad = tmp_path / "a", pictures()
    bad[3] = torch.inf
    healthy = partial(batches, pictures(), LABELS, 6)
    epochs = iter([healthy, healthy, partial(batches, bad, LABELS, 6)])
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        fit(small(), lambda generator: next(epochs)(generator), SGD, epochs=6, checkpoint=path)
    assert equal(train(checkpoint=path)[0], train()[0])


def test_a_learning_rate_that_is_far_too_high():
    """Else a table would hold the scores of a model that computes NaN."""
    with pytest.raises(FloatingPointError):
        train(epochs=30, optimiser=partial(torch.optim.SGD, lr=1e38))


def test_no_room_for_a_checkpoint(tmp_path, monkeypatch):
    """Else a disk that fills up would take the last good checkpoint with it."""
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=path, watch=stop_after(2))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match=r"No room.*a\.checkpoint"):
            train(checkpoint=path)
    assert os.listdir(tmp_path) == ["a.checkpoint"]
    assert equal(train(checkpoint=path)[0], train()[0])


def test_predictions_come_in_the_order_of_the_inputs():
    """Else scores would be credited to other utterances, or depend on the batch."""
    model, inputs = small(), pictures()
    model.train()
    found = predict(model, inputs, batch_size=5)
    assert found.shape == (16, 4) and found.dtype == torch.float32 and not found.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(found, model.eval()(inputs))


def test_answering_takes_batches_no_larger_than_a_small_corpus_trains_with():
    """Else a laptop that can train a network could not ask it: 64 of chapter 1's segments at once took 3 GB."""
    sizes, model = [], nn.Linear(3, 2)
    model.register_forward_hook(lambda module, inputs, outputs: sizes.append(len(outputs)))
    assert len(predict(model, torch.zeros(40, 3))) == 40 and max(sizes) <= 16


class Mean(nn.Module):
    """The mean over a sequence's own steps, and two layers of scores `(batch, 2, 3)`."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 6)

    def forward(self, inputs):
        padded, lengths = inputs
        kept = mask_of(lengths, padded.shape[1])[..., None]
        return self.layer((padded * kept).sum(1) / lengths[:, None]).unflatten(1, (2, 3))


def sequences(seed=0):
    """Twenty sequences `(length, 4)` of 1 to 9 steps."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 10, (20,), generator=generator).tolist()
    return [torch.randn(length, 4, generator=generator) for length in lengths]


@pytest.mark.parametrize("batch_size", [1, 3, 20, 64])
def test_sequences_are_predicted_as_if_each_were_alone(batch_size):
    """Else padding would change a score, or sorting by length credit it to another utterance."""
    model, inputs = Mean().train(), sequences()
    assert [len(sequence) for sequence in inputs] != sorted(len(sequence) for sequence in inputs)
    found = predict(model, inputs, batch_size)
    assert found.shape == (20, 2, 3) and found.dtype == torch.float32 and not found.requires_grad
    alone = torch.cat([predict(model, [sequence]) for sequence in inputs])
    torch.testing.assert_close(found, alone)
    assert len({tuple(row) for row in found.flatten(1).tolist()}) == 20


def test_training_on_sequences():
    """Else only models of one tensor could be trained, or the lengths not reach the model."""
    inputs, targets = sequences(), torch.arange(20) % 3
    torch.manual_seed(0)
    model = Mean()
    epoch_of = partial(padded_batches, inputs, targets, 6)
    _, history = fit(
        model,
        epoch_of,
        partial(torch.optim.Adam, lr=0.1),
        epochs=30,
        backward=supervised(lambda outputs, labels: nn.functional.cross_entropy(outputs[:, 1], labels)),
    )
    assert history[0]["updates"] == 4 and losses(history)[-1] < 0.8 * losses(history)[0]


@pytest.mark.parametrize("name", list(POOLINGS)[:3])
def test_bfloat16_decides_as_float32(name):
    """Else half precision would change reported decisions unnoticed."""
    model, _ = by_heart(name)
    single, half = (predict(model, pictures(), precision=kind) for kind in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32 and not torch.equal(single, half)
    assert torch.equal(single.argmax(1), half.argmax(1))
    torch.testing.assert_close(single.softmax(1), half.softmax(1), atol=0.02, rtol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_half_precision(monkeypatch, tmp_path, precision):
    """Else training on a GPU of today, or on Colab's T4 with its loss scaling, would not learn or not resume."""
    monkeypatch.setenv("SERLIB_PRECISION", precision)
    torch.manual_seed(0)
    options = {"optimiser": partial(SGD, lr=0.1), "size": 16, "epochs": 8, "checkpoint": tmp_path / "a"}
    with pytest.raises(KeyboardInterrupt):
        train(small(32), watch=stop_after(4), **options)
    model, history = train(small(32), **options)
    assert losses(history)[-1] < 0.5 * losses(history)[0]
    assert equal(model, train(small(32), **options | {"checkpoint": None})[0])


def test_the_checkpoint_of_another_precision_is_refused(monkeypatch, tmp_path):
    """Else a run would be half of one precision and half of another, and be recorded as one."""
    monkeypatch.setenv("SERLIB_PRECISION", "bfloat16")
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path / "a", watch=stop_after(2))
    monkeypatch.setenv("SERLIB_PRECISION", "float32")
    with pytest.raises(InputError, match="another"):
        train(checkpoint=tmp_path / "a")


def test_the_folder_of_a_checkpoint_is_made(tmp_path):
    """Else a run would fail after its first epoch because a folder was missing."""
    path = Path(tmp_path / "new" / "folder" / "a")
    train(epochs=1, checkpoint=path)
    assert path.exists()


# A lesson: as many epochs as fit into some minutes


@contextlib.contextmanager
def a_clock(seconds):
    """A clock that only an update moves, by so many seconds: yields the `backward` that moves it."""
    now, step = [0.0], supervised()

    def backward(*how):
        now[0] += seconds
        return step(*how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("serlib.training.time.perf_counter", lambda: now[0])
        yield backward


@hypothesis.given(epochs=st.integers(1, 30), seconds=st.floats(0.1, 100), minutes=st.floats(0.05, 5))
@hypothesis.settings(deadline=None, max_examples=40)
def test_as_many_epochs_as_fit(epochs, seconds, minutes):
    """Else a lesson would outlast its time, stop long before it, or end at a learning rate for its beginning."""
    steps = partial(MultiStepLR, milestones=range(1, epochs + 1), gamma=0.9)
    seen = []
    with a_clock(seconds) as backward:
        how = {"backward": backward, "minutes": minutes, "make_schedule": lambda o: seen.append(steps(o)) or seen[0]}
        history = train(epochs=epochs, **how)[1]
    made, took, budget = len(history), sum(epoch["seconds"] for epoch in history), 60 * minutes
    assert 1 <= made <= epochs and len(history[0]["losses"]) == min(3, max(1, math.floor(budget / seconds) + 1))
    assert made == 1 or took <= budget + 1e-6
    assert made == epochs or took + history[0]["seconds"] > budget - 1e-6
    assert seen[0].last_epoch == epochs, "the schedule did not come to its end"
    ticks = [epochs * done // made for done in range(made)]
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx([0.05 * 0.9**tick for tick in ticks])


def test_a_line_says_how_many_epochs_fit(capsys):
    """Else a reader would not know that a lesson is shorter than its plan, or how long to wait."""
    with a_clock(2) as backward:
        train(epochs=20, backward=backward, minutes=0.5)
        assert capsys.readouterr().out == "6.0 s an epoch: 5 of 20 epochs in 0.5 minutes\n"
        train(epochs=20, backward=backward)
        assert capsys.readouterr().out == ""


def test_a_lesson_that_was_stopped_keeps_its_number_of_epochs(tmp_path):
    """Else a slower hour would change the schedule in the middle of a run."""
    steps = partial(MultiStepLR, milestones=[10, 15], gamma=0.1)
    how = {"epochs": 20, "minutes": 0.5, "make_schedule": steps}
    with a_clock(2) as backward:
        whole, history = train(backward=backward, **how)
        with pytest.raises(KeyboardInterrupt):
            train(backward=backward, checkpoint=tmp_path / "c", watch=stop_after(2), **how)
    with a_clock(9) as slower:
        resumed, continued = train(backward=slower, checkpoint=tmp_path / "c", **how)
    assert len(history) == len(continued) == 5 and equal(whole, resumed)
    with pytest.raises(InputError, match="another model, schedule"):
        train(checkpoint=tmp_path / "c", epochs=20, make_schedule=steps)


def test_a_plateau_is_waited_for_in_a_lesson_too():
    """Else a schedule that waits for a score would be asked without one."""
    with a_clock(2) as backward:
        how = {"make_schedule": PLATEAU, "score": restless, "backward": backward}
        assert len(train(epochs=20, minutes=0.5, **how)[1]) == 5
