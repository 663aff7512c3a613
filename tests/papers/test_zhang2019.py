"""Zhang 2019: the network against loops over the equations, alone and in a batch, and all that a table is made of."""

import copy
import dataclasses
from functools import partial

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import log_loss
from torch import nn
from torch.nn.functional import conv1d, max_pool1d, max_pool2d

from serlib import baselines, results
from serlib.audio import read_row
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.features import descriptors
from serlib.metrics import uar
from serlib.papers import zhang2019 as paper
from serlib.papers.zhang2019 import (
    PARTS,
    PUBLISHED,
    FromDescriptors,
    FromWaveform,
    Recogniser,
    Schedule,
    Standardise,
    WaveformCNN,
    all_windows,
    answers,
    attention_over_time,
    dimensions_of,
    each_window,
    follows_loudness,
    inputs_of,
    loudness,
    make_model,
    mean_uar,
    recompute,
    reproduce,
    results_table,
    tasks_of,
    train,
    weighted_loss,
    whole,
    windows_in,
)
from serlib.protocols import zhang2019_inferred, zhang2019_stated
from serlib.sequences import mask_of, pad
from serlib.training import fit

RNG = np.random.default_rng(0)
NAMES = ["e2e STL", "e2e STL+att.", "e2e MTL", "e2e MTL+att."]
DIMENSIONS = ["valence", "activation", "dominance"]
few = settings(max_examples=5, deadline=None, database=None, derandomize=True)
many = settings(max_examples=60, deadline=None, database=None, derandomize=True)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    torch.manual_seed(0)


def noise(*samples):
    """Waveforms of noise that grows, one for each number of samples."""
    return [(torch.randn(n) * torch.linspace(0.05, 0.3, n) + 0.05) for n in samples]


def vectors(*steps):
    """Sequences of 23 descriptors, one for each number of steps."""
    return [torch.randn(n, 23) for n in steps]


def network(name, heard=None):
    """A network of Table 1 in eval mode, with statistics other than 0 and 1."""
    model = make_model(name, 3 if "MTL" in name else 1, 3).eval()
    model.front_end.standardise.measure(heard or noise(3000))
    return model


def gradients(module):
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


def close(found, expected, tolerance=1e-5):
    """Equal, as measured by the largest number there is."""
    scale = max(1e-30, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale)


# The convolutions


@pytest.mark.parametrize(("name", "count"), [*zip(NAMES, [706_579, 706_707, 707_353, 707_737], strict=True)])
def test_parameter_counts(name, count):
    """Else the network would not be the paper's."""
    model = make_model(name, 3 if "MTL" in name else 1, 3)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_where_the_parameters_are():
    """Else a layer would have another size, and another one make up for it."""
    model = make_model("e2e MTL+att.", 3, 3)
    parts = {"first": model.front_end.cnn.first, "second": model.front_end.cnn.second, "gru": model.gru}
    parts |= {"attention": model.attention, "classify": model.classify}
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    expected = {"first": 1640, "second": 64_040, "gru": 541_440 + 99_072, "attention": 3 * 128, "classify": 3 * 387}
    assert counts == expected and not model.gru.bidirectional


def naive_window(cnn, window):
    """Section 4.2 for one window of 640 samples, tap by tap: `(1280,)`."""
    first, first_bias = cnn.first.weight.detach().numpy(), cnn.first.bias.detach().numpy()
    second, second_bias = cnn.second.weight.detach().numpy()[:, :, 0], cnn.second.bias.detach().numpy()
    low = np.zeros((40, 640))
    for time in range(640):
        low[:, time] = first_bias
        for tap in range(40):
            if 0 <= time + tap - 19 < 640:
                low[:, time] += first[:, tap] * window[time + tap - 19]
    low = np.maximum(low, 0)
    low = np.array([np.maximum(low[:, 2 * time], low[:, 2 * time + 1]) for time in range(320)]).T
    high = np.zeros((40, 320))
    for time in range(320):
        high[:, time] = second_bias
        for tap in range(40):
            if 0 <= time + tap - 19 < 320:
                high[:, time] += second[:, :, tap] @ low[:, time + tap - 19]
    high = np.maximum(high, 0)
    return np.concatenate([high[10 * group : 10 * group + 10].max(0) for group in range(4)])


def test_a_window_is_the_papers_layers():
    """Else padding, ReLU, one of the poolings or the order in the vector would be another than the paper's."""
    cnn, windows = WaveformCNN().double(), torch.randn(1, 2, 640, dtype=torch.float64)
    found = each_window(cnn, windows)
    assert found.shape == (1, 2, 1280)
    for number in range(2):
        expected = naive_window(cnn, windows[0, number].numpy())
        np.testing.assert_allclose(found[0, number].detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_a_window_is_what_pytorch_makes_of_same():
    """Else "same" would not be what everybody's library calls so."""
    cnn, windows = WaveformCNN().double(), torch.randn(2, 3, 640, dtype=torch.float64)
    maps = windows.reshape(6, 1, 640)
    maps = max_pool1d(conv1d(maps, cnn.first.weight[:, None], cnn.first.bias, padding="same").relu(), 2)
    maps = conv1d(maps, cnn.second.weight[:, :, 0], cnn.second.bias, padding="same").relu()
    expected = max_pool2d(maps[:, None], (10, 1)).reshape(2, 3, 1280)  # the channels are the rows of a picture
    torch.testing.assert_close(each_window(cnn, windows), expected, rtol=1e-10, atol=1e-12)


def assert_shared_is_separate(batch, samples, kind, tolerance):
    """Computing once what windows share changes neither their vectors nor any gradient."""
    cnn, found = WaveformCNN().to(kind), {}
    waveforms = torch.randn(batch, samples, dtype=kind)
    waveforms[0, samples // 2 :] = 0  # as padding is
    direction = torch.randn(batch, windows_in(torch.tensor(samples)), 1280, dtype=kind)
    for way in (each_window, all_windows):
        heard = waveforms.clone().requires_grad_()
        cnn.zero_grad()
        output = way(cnn, heard.unfold(1, 640, 160) if way is each_window else heard)
        (output * direction).sum().backward()
        found[way] = {"output": output.detach(), "input": heard.grad, **gradients(cnn)}
    for name, expected in found[each_window].items():
        assert found[all_windows][name].shape == expected.shape
        close(found[all_windows][name], expected, tolerance)


@few
@given(st.integers(640, 2500), st.integers(1, 2))
@example(640, 1)
@example(641, 1)
@example(799, 1)
@example(800, 1)
@example(960, 2)
@example(1279, 1)
@example(1280, 1)
def test_shared_windows_are_the_same_to_twelve_digits(samples, batch):
    """Else sharing the work of overlapping windows would be another network, or train another one."""
    assert_shared_is_separate(batch, samples, torch.float64, 1e-12)


@pytest.mark.parametrize(("batch", "samples"), [(1, 640), (2, 800), (3, 1700), (1, 6000)])
def test_shared_windows_are_the_same_in_single_precision(batch, samples):
    """Else the numbers that networks are trained with would differ."""
    assert_shared_is_separate(batch, samples, torch.float32, 1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("steps", [320, 321, 640, 1000])
def test_pieces_are_the_whole(steps):
    """Else what lies at the border of two pieces would be padded."""
    cnn, low = WaveformCNN().double(), torch.rand(2, steps, 40, dtype=torch.float64)
    expected = conv1d(low.mT, cnn.second.weight[:, :, 0], cnn.second.bias, padding="same").relu()
    expected = expected.view(2, 4, 10, steps).amax(2)
    for piece in (320, 47):
        torch.testing.assert_close(whole(cnn, low, piece), expected, rtol=1e-10, atol=1e-12)


def test_what_fills_no_window_is_not_heard():
    """Else an utterance would be heard otherwise when padding follows it."""
    cnn, waveforms = WaveformCNN(), torch.randn(2, 1279)
    changed = waveforms.clone()
    changed[:, 1120:] = 1000.0
    changed.requires_grad_()
    output = all_windows(cnn, changed)
    assert output.shape == (2, 4, 1280)
    close(output, all_windows(cnn, waveforms), 1e-6)
    output.sum().backward()
    assert not changed.grad[:, 1120:].any() and changed.grad[:, :1120].any()


@many
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_windows_in(samples):
    """Else the recurrent layers would read padding, or lose the last window."""
    expected = [max(1, sum(start + 640 <= n for start in range(0, n, 160))) for n in samples]
    assert windows_in(torch.tensor(samples)).tolist() == expected
    assert windows_in(torch.tensor([72_000, 546_080])).tolist() == [447, 3410]


# Alone and in a batch


@pytest.mark.parametrize("samples", [1, 300, 639])
def test_an_utterance_shorter_than_a_window(samples):
    """Else a short utterance would stop training; or silence be added to it in a batch and something else alone."""
    front_end = FromWaveform().eval()
    front_end.standardise.measure(noise(2000))
    short, long = noise(samples, 1500)
    alone, steps = front_end(pad([short]))
    assert alone.shape == (1, 1, 1280) and steps.tolist() == [1]
    together, steps = front_end(pad([short, long]))
    assert steps.tolist() == [1, 6]
    close(together[0, :1], alone[0])
    filled = front_end.standardise(nn.functional.pad(short, (0, 640 - samples)))
    close(alone, each_window(front_end.cnn, filled[None, None]))


@pytest.mark.parametrize("name", [*NAMES, "OS+RNNs"])
def test_an_utterances_scores_do_not_depend_on_the_others(name):
    """Else a test set in another order, or a part of it, would give other predictions."""
    heard = vectors(9, 3, 1, 30) if name == "OS+RNNs" else noise(1500, 900, 500, 2600)
    model = network(name, heard)
    with torch.no_grad():
        together = model(pad(heard))
        assert together.shape == (4, 3 if "MTL" in name else 1, 3)
        order = [2, 0, 3, 1]
        close(model(pad([heard[row] for row in order])), together[order])
        for row in range(4):
            close(model(pad(heard[row : row + 1]))[0], together[row])


@pytest.mark.parametrize("name", ["e2e MTL", "e2e MTL+att.", "OS+RNNs"])
def test_padding_trains_nothing(name):
    """Else a gradient would depend on how long the longest of a batch is."""
    heard = vectors(4, 1, 20) if name == "OS+RNNs" else noise(1100, 700, 2000)
    model, levels = network(name, heard), torch.tensor([[0, 1, 2], [2, 2, 1], [1, 0, 0]])
    levels = levels[:, : len(model.classify)]
    weights = torch.ones(levels.shape[1])
    alone = []
    for row in range(3):
        model.zero_grad()
        weighted_loss(model(pad(heard[row : row + 1])), levels[row : row + 1], weights).backward()
        alone.append(gradients(model))
    model.zero_grad()
    weighted_loss(model(pad(heard)), levels, weights).backward()
    for key, found in gradients(model).items():
        close(found, sum(each[key] for each in alone) / 3, 3e-5)


def test_the_recurrent_layers_see_no_future():
    """Else "unidirectional" would not hold, and attention at a time be informed by what comes later."""
    model, heard = network("e2e STL+att."), noise(3000)[0]
    with torch.no_grad():
        states = model.gru(model.front_end(pad([heard]))[0])[0][0]
        for window in (0, 5, 13):
            changed = heard.clone()
            changed[160 * window + 640 :] += 1.0
            others = model.gru(model.front_end(pad([changed]))[0])[0][0]
            close(others[: window + 1], states[: window + 1], 1e-6)
            moved = (others - states).abs().amax(1) > 1e-4
            assert moved.nonzero()[0] == window + 1


def test_the_last_step_is_the_utterances_own():
    """Else the baseline would answer with what the padding left in the recurrent layers."""
    heard = vectors(7, 1, 12)
    model = network("OS+RNNs", heard)
    with torch.no_grad():
        [found], weights = model.summaries(pad(heard))
        assert weights == []
        for row, sequence in enumerate(heard):
            close(found[row], model.gru(model.front_end.standardise(sequence))[0][-1])


def test_attention_lies_on_the_utterance_alone():
    """Else padding would be listened to, or the weights of short utterances not sum to 1."""
    heard = noise(640, 1300, 2500)
    model = network("e2e MTL+att.")
    with torch.no_grad():
        found, weights = model.summaries(pad(heard))
        inputs, lengths = model.front_end(pad(heard))
        states = model.gru(inputs)[0].double().numpy()
    assert lengths.tolist() == [1, 5, 12] and len(found) == len(weights) == 3
    for task in range(3):
        assert weights[task].shape == (3, 12)
        assert not weights[task][~mask_of(lengths, 12)].any() and (weights[task][0, 0] == 1)
        torch.testing.assert_close(weights[task].sum(1), torch.ones(3))
        vector = model.attention[task].score.weight[0].detach().double().numpy()
        for row, steps in enumerate(lengths):
            scores = np.array([np.exp(sum(vector * states[row, step])) for step in range(steps)])
            summary = sum(score * states[row, step] for step, score in enumerate(scores / scores.sum()))
            np.testing.assert_allclose(weights[task][row, :steps], scores / scores.sum(), atol=1e-6)
            np.testing.assert_allclose(found[task][row], summary, atol=1e-6)
    assert not torch.allclose(weights[0], weights[1])


def test_each_task_has_its_own_answer():
    """Else two dimensions would share an output layer, or stand in each other's place."""
    heard = vectors(5, 8)
    model = Recogniser(FromDescriptors(), tasks=3, attention=True).eval()
    with torch.no_grad():
        before = model(pad(heard))
        model.classify[1].bias += 5
        model.attention[2].score.weight.neg_()
        moved = (model(pad(heard)) - before).abs().amax((0, 2))
    assert (moved > 1e-6).tolist() == [False, True, True]


# Statistics and dropout


def test_standardise_is_what_numpy_computes():
    """Else mean or deviation would be the mean over utterances, not over all samples."""
    heard = [RNG.normal(3, 2, n) for n in (5, 900, 77)]
    standardise = Standardise()
    standardise.measure([torch.from_numpy(x.astype(np.float32)) for x in heard])
    everything = np.concatenate(heard)
    assert standardise.mean.item() == pytest.approx(everything.mean(), rel=1e-6)
    assert standardise.deviation.item() == pytest.approx(everything.std(), rel=1e-6)
    expected = torch.from_numpy((heard[0] - everything.mean()) / everything.std()).float()
    close(standardise(torch.from_numpy(heard[0]).float()), expected)


def test_descriptors_are_standardised_each_by_itself():
    """Else loudness would be scaled by hertz; or a descriptor that never changes become NaN."""
    heard = [RNG.normal(size=(n, 23)) * np.logspace(-3, 4, 23) for n in (30, 1, 12)]
    for sequence in heard:
        sequence[:, 7] = 5.0
    front_end = FromDescriptors()
    front_end.standardise.measure([torch.from_numpy(sequence.astype(np.float32)) for sequence in heard])
    everything = np.concatenate(heard)
    deviation = np.where(np.arange(23) == 7, 1, everything.std(0))
    np.testing.assert_allclose(front_end.standardise.deviation, deviation, rtol=1e-5)
    found, lengths = front_end(pad([torch.from_numpy(sequence).float() for sequence in heard]))
    assert found.shape == (3, 30, 23) and lengths.tolist() == [30, 1, 12] and front_end.size == 23
    np.testing.assert_allclose(found[0], (heard[0] - everything.mean(0)) / deviation, atol=1e-3)


def test_silence_gives_no_nan():
    """Else a training set or an utterance of zeros would end in scores that are not numbers."""
    model = make_model("e2e MTL+att.", 3, 3).eval()
    model.front_end.standardise.measure([torch.zeros(900), torch.zeros(700)])
    assert model.front_end.standardise.deviation == 1
    for heard in (torch.zeros(900), torch.randn(900)):
        assert torch.isfinite(model(pad([heard]))).all()


@pytest.mark.parametrize("name", ["e2e STL", "OS+RNNs"])
def test_the_statistics_travel_with_the_weights(name):
    """Else a network that is loaded would hear another scale than the one that was trained."""
    heard = vectors(5) if name == "OS+RNNs" else noise(900)
    one, other = network(name, heard), make_model(name, 1, 3).eval()
    other.load_state_dict(one.state_dict())
    assert {"front_end.standardise.mean", "front_end.standardise.deviation"} <= one.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(one(pad(heard)), other(pad(heard)))
    assert not one.front_end.standardise.mean.requires_grad


def test_both_places_of_dropout_are_one_network_when_it_is_tested():
    """Else the switch would change more than where dropout acts, or dropout act in the test."""
    heard = pad(noise(1500, 700))
    one, other = (make_model("e2e STL+att.", 1, 3, place).eval() for place in ("vector", "input"))
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(heard), other(heard))
    assert "dropout_at=input" in str(other)  # so a checkpoint of one is not taken for the other's


def test_dropout_on_vectors():
    """Else dropout would act elsewhere, or at another rate than a tenth."""
    front_end, heard = FromWaveform(), pad(noise(3000))
    assert front_end.dropout_at == "vector" and front_end.dropout.p == 0.1
    kept, found = front_end.eval()(heard)[0], front_end.train()(heard)[0]
    dropped = (found == 0) & (kept != 0)
    torch.testing.assert_close(found[~dropped], kept[~dropped] / 0.9)
    assert 0.08 < dropped.sum() / (kept != 0).sum() < 0.12


def test_dropout_on_the_input_is_drawn_for_each_window(monkeypatch):
    """Else windows would share their masks, and the short cut that is forbidden there be allowed."""
    monkeypatch.setattr(paper, "each_window", lambda cnn, windows: windows)
    monkeypatch.setattr(paper, "all_windows", lambda *_: pytest.fail("shared"))
    windows, steps = FromWaveform("input").train()(pad([torch.ones(4000)]))
    assert windows.shape == (1, 22, 640) and steps.tolist() == [22]
    dropped = windows == 0
    torch.testing.assert_close(windows[~dropped], torch.full_like(windows[~dropped], 1 / 0.9))
    assert 0.08 < dropped.float().mean() < 0.12
    both = dropped[0, :-1, 160:] & dropped[0, 1:, :-160]  # the same sample, in two windows
    assert 0.005 < both.float().mean() < 0.015


def test_dropout_on_the_input_trains():
    """Else the other reading of the paper could be asked for, and not be run."""
    model = make_model("e2e MTL+att.", 3, 3, "input").train()
    weighted_loss(model(pad(noise(900, 640))), torch.tensor([[0, 1, 2], [2, 1, 0]]), torch.ones(3)).backward()
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in gradients(model).values())


# The loss


def test_the_loss_by_hand():
    """Else equation 5 would be weighted or averaged otherwise."""
    scores = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [0.5, 0.4, 0.1]]]).log() + 3
    levels = torch.tensor([[0, 2], [1, -1]])
    expected = 0.7 * (np.log(2) + np.log(5)) / 2 + 0.3 * np.log(1 / 0.8)
    assert weighted_loss(scores, levels, torch.tensor([0.7, 0.3])).item() == pytest.approx(expected, rel=1e-6)


@many
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 10**6))
def test_the_loss_against_scikit_learn(batch, tasks, seed):
    """Else a task would be averaged over utterances that nobody rated in it."""
    rng = np.random.default_rng(seed)
    scores, weights = rng.normal(size=(batch, tasks, 3)), rng.random(tasks)
    levels = rng.integers(-1, 3, (batch, tasks))
    probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = 0.0
    for task in range(tasks):
        rated = levels[:, task] >= 0
        if rated.any():
            loss = log_loss(levels[rated, task], probabilities[rated, task], labels=[0, 1, 2])
            expected += weights[task] * loss
    found = weighted_loss(torch.from_numpy(scores), torch.from_numpy(levels), torch.from_numpy(weights))
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_task_without_a_label_learns_nothing():
    """Else a batch that nobody rated in one dimension would make the loss NaN."""
    scores = torch.randn(2, 3, 3, requires_grad=True)
    levels = torch.tensor([[0, -1, -1], [2, -1, 1]])
    weighted_loss(scores, levels, torch.ones(3)).backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad.abs().sum(-1).gt(0).tolist() == [[True, False, False], [True, False, True]]
    nothing = weighted_loss(scores, torch.full((2, 3), -1), torch.ones(3))
    assert nothing.item() == 0
    scores.grad = None
    nothing.backward()
    assert not scores.grad.any()


def trained_on(model, heard, levels, weights):
    """A network after six updates; dropout draws the same numbers for every network."""
    batch = [(pad(heard[:2]), levels[:2]), (pad(heard[2:]), levels[2:])]
    loss = partial(weighted_loss, weights=torch.tensor(weights))
    adam = partial(torch.optim.Adam, lr=1e-3, weight_decay=1e-5, eps=1e-3)  # smaller, it would enlarge rounding errors
    return fit(model, lambda _: batch, adam, epochs=3, loss=loss, clip=5.0)[0].state_dict()


@pytest.mark.parametrize("scored", [0, 2])
@pytest.mark.parametrize("attention", ["", "+att."])
def test_one_weight_at_1_is_a_task_alone(attention, scored):
    """Else tasks would reach each other by another way than the layers that they share."""
    heard, levels = noise(900, 640, 1200), torch.tensor([[0, 1, 2], [1, 1, 0], [2, 0, 1]])
    several, alone = network(f"e2e MTL{attention}"), network(f"e2e STL{attention}")
    state = several.state_dict()
    own = {
        key: key.replace(".0.", f".{scored}.") if key.startswith(("att", "cla")) else key for key in alone.state_dict()
    }
    alone.load_state_dict({key: state[name] for key, name in own.items()})
    before = copy.deepcopy(alone.state_dict())
    together = trained_on(several, heard, levels, [float(task == scored) for task in range(3)])
    for key, found in trained_on(alone, heard, levels[:, scored : scored + 1], [1.0]).items():
        torch.testing.assert_close(together[own[key]], found, rtol=0, atol=1e-6)
        assert "standardise" in key or not torch.equal(found, before[key])


# Training


def test_the_schedule_of_the_paper():
    """Else the full run would not be the paper's, or not what the chapter says where the paper is silent."""
    assert dataclasses.asdict(Schedule()) == {
        "epochs": 60,
        "batch_size": 16,
        "learning_rate": 1e-4,
        "patience": 10,
        "longest": 15.0,
        "weights": None,
        "dropout_at": "vector",
        "most_updates": None,
    }


def write_rated(folder, change=None):
    """Five speakers, six utterances each of 0.1 s and more, whose loudness is their activation; `change(table)`."""
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(1), []
    for speaker in range(5):
        for take in range(6):
            level, file = take % 3, f"s{speaker}_{take}.wav"
            wave = rng.normal(0, 0.01 * 5**level, 1600 + 160 * take + 7 * speaker)
            soundfile.write(folder / file, wave.clip(-1, 1), 16_000)
            ratings = {"valence": 1.5 + 1.5 * ((take + 1) % 3), "activation": 1.5 + 1.5 * level}
            ratings["dominance"] = 1.5 + 1.5 * (take // 2)
            rows.append({"file": file, "speaker": f"s{speaker}", "emotion": "neutral", **ratings})
    table = pd.DataFrame(rows)
    (change(table) if change else table).to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """The folder of that corpus."""
    return write_rated(tmp_path_factory.mktemp("rated") / "rated")


@pytest.fixture
def table(rated):
    return read_folder(rated)


@pytest.fixture
def task(table):
    return zhang2019_inferred(table)


@pytest.fixture
def stand_ins(monkeypatch):
    """Random numbers in place of what openSMILE would compute: what is tested is who gets them."""
    rng = np.random.default_rng(5)
    monkeypatch.setattr(baselines, "extract", lambda table, _: [rng.normal(size=88) for _ in range(len(table))])
    sequences = lambda table, _: [rng.normal(size=(20, 23)).astype(np.float32) for _ in range(len(table))]  # noqa: E731
    monkeypatch.setattr(paper, "extract", sequences)


TINY = Schedule(epochs=2, batch_size=8, longest=0.08, most_updates=1)


def without_times(record):
    return [{key: value for key, value in fold.items() if key != "seconds"} for fold in record.folds]


def test_tasks_of(task):
    """Else a single task would be trained on three, or the one that is scored not be trained."""
    assert [tasks_of(name, task) for name in NAMES[:2] + ["OS+RNNs"]] == [["activation"]] * 3
    assert [tasks_of(name, task) for name in NAMES[2:]] == [DIMENSIONS] * 2


def test_inputs_of(task):
    """Else an utterance would be cropped to another length, or at its beginning; or in another order."""
    rows = task.table.iloc[[3, 0]]
    for name, function, rate in [("e2e MTL", None, 16_000), ("OS+RNNs", descriptors, 100)]:
        expected = [read_row(row) for row in rows.itertuples()]
        expected = [function(waveform) for waveform in expected] if function else expected
        for longest, kept in ((np.inf, None), (0.08, rate * 8 // 100), (50.0, None)):
            found = inputs_of(name, rows, longest)
            assert len(found) == 2 and all(sequence.dtype == torch.float32 for sequence in found)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other[:kept])


class Answers(nn.Module):
    """A model that answers what the first samples of each utterance say."""

    def __init__(self, tasks):
        super().__init__()
        self.scale, self.tasks = nn.Parameter(torch.ones(1)), tasks

    def forward(self, padded):
        return self.scale * nn.functional.one_hot(padded[0][:, : self.tasks].long(), 3)


def test_mean_uar():
    """Else the epoch would be chosen on labels that are not there, or on the accuracy."""
    said = np.array([[0, 1], [0, 2], [0, 2], [1, 0], [0, 0]])
    heard = [torch.tensor([*answers, 9] * (3 + n), dtype=torch.float32) for n, answers in enumerate(said)]
    levels = np.array([[0, -1], [0, 2], [0, 1], [1, -1], [2, -1]])
    expected = ((1 + 1 + 0) / 3 + (1 + 0) / 2) / 2
    assert mean_uar(Answers(2), heard[::-1], levels[::-1]) == pytest.approx(expected)
    levels[:, 1] = -1
    assert mean_uar(Answers(2), heard, levels) == pytest.approx(2 / 3)  # nobody rated the other task
    with pytest.raises(InputError, match="No utterance of the development part has a rating"):
        mean_uar(Answers(2), heard, np.full((5, 2), -1))


def seen_by_fit(monkeypatch, *arguments):
    """What `train` hands to `fit`, with the batches of an epoch."""
    seen = {}

    def instead(model, epoch_of, make_optimiser, **options):
        optimiser = make_optimiser(model.parameters())
        pairs = list(epoch_of(torch.Generator().manual_seed(0)))
        seen.update(options, model=model, optimiser=optimiser, sizes=sorted(len(levels) for _, levels in pairs))
        seen["examples"] = [
            (sequence[:length], target)
            for (padded, lengths), levels in pairs
            for sequence, length, target in zip(padded, lengths, levels, strict=True)
        ]

    monkeypatch.setattr(paper, "fit", instead)
    train(*arguments)
    return seen


@pytest.mark.parametrize("name", ["e2e STL", "e2e MTL+att."])
def test_training_hears_the_training_speakers_only(task, name, monkeypatch):
    """Else a tested speaker would be in training; or development be cropped, or the optimiser not be the paper's."""
    schedule = Schedule(5, 8, 3e-4, 4, 0.1251, (0.5, 0.3, 0.2), "input", 9)
    [fold], names = task.folds, tasks_of(name, task)
    seen = seen_by_fit(monkeypatch, fold, None, task, name, schedule, 4)
    wanted = {"epochs": 5, "patience": 4, "most_updates": 9, "seed": 4, "clip": 5.0, "checkpoint": None}
    assert {key: seen[key] for key in wanted} == wanted
    assert type(seen["optimiser"]) is torch.optim.Adam and seen["model"].front_end.dropout_at == "input"
    assert (seen["optimiser"].defaults["lr"], seen["optimiser"].defaults["weight_decay"]) == (3e-4, 1e-5)
    torch.testing.assert_close(
        seen["loss"].keywords["weights"], torch.tensor([0.5, 0.3, 0.2] if len(names) > 1 else [1.0])
    )
    assert seen["sizes"] == [2, 8, 8]

    whole = [read_row(row) for row in task.table.itertuples()]
    cropped = {whole[row][:2002].tobytes(): row for row in fold.train}
    assert len({*map(len, cropped)}) > 1 and max(map(len, whole)) > 2002
    rows = [cropped[sequence.numpy().tobytes()] for sequence, _ in seen["examples"]]
    assert sorted(rows) == fold.train.tolist() != rows
    for row, (_, target) in zip(rows, seen["examples"], strict=True):
        assert target.tolist() == [task.auxiliary[dimension][row] for dimension in names]
    standardise = seen["model"].front_end.standardise
    heard = np.concatenate([whole[row][:2002] for row in fold.train])
    assert standardise.deviation.item() == pytest.approx(heard.std(), rel=1e-5)
    assert standardise.mean.item() == pytest.approx(heard.mean(), rel=1e-3)

    chosen = seen["score"].keywords
    for row, sequence in zip(fold.validation, chosen["inputs"], strict=True):
        np.testing.assert_array_equal(sequence, whole[row])
    expected = np.stack([task.auxiliary[dimension][fold.validation] for dimension in names], 1)
    np.testing.assert_array_equal(chosen["levels"], expected)


def test_equal_weights_by_default(task, monkeypatch):
    """Else the default would not be a third each."""
    for name, count in (("e2e STL", 1), ("e2e MTL", 3)):
        weights = seen_by_fit(monkeypatch, task.folds[0], None, task, name, Schedule())["loss"].keywords["weights"]
        torch.testing.assert_close(weights, torch.full((count,), 1 / count))


def some_unrated(table):
    """Nobody rated the valence of every fifth utterance; of two training utterances nobody rated anything but it."""
    table.loc[::5, "valence"] = np.nan
    table.loc[[13, 21], ["activation", "dominance"]] = np.nan
    return table


@pytest.mark.parametrize(("name", "gone"), [("e2e STL", [13, 21]), ("e2e MTL", [])])
def test_unrated_utterances_train_what_they_can(tmp_path, name, gone, monkeypatch):
    """Else one missing rating would cost all three tasks an utterance, or count as a level."""
    task = zhang2019_inferred(read_folder(write_rated(tmp_path / "gaps", some_unrated)))
    [fold] = task.folds
    seen = seen_by_fit(monkeypatch, fold, None, task, name, Schedule())
    levels = np.array([target.tolist() for _, target in seen["examples"]])
    kept = sorted({*fold.train} - {*gone})
    expected = np.stack([task.auxiliary[dimension][kept] for dimension in tasks_of(name, task)], 1)
    assert sorted(levels.tolist()) == sorted(expected.tolist())
    assert (levels.min() == -1) == ("MTL" in name)


def test_an_utterance_that_nobody_rated_is_not_heard(task, monkeypatch):
    """Else a batch could hold nothing to learn from."""
    levels = {name: labels.copy() for name, labels in task.auxiliary.items()}
    for labels in levels.values():
        labels[task.folds[0].train[:3]] = -1
    task = dataclasses.replace(task, auxiliary=levels, labels=levels["activation"])
    for name in ("e2e STL", "e2e MTL"):
        seen = seen_by_fit(monkeypatch, task.folds[0], None, task, name, Schedule())
        assert len(seen["examples"]) == 15 and min(target.max() for _, target in seen["examples"]) >= 0


def test_training_learns_what_is_loud(task):
    """Else a network could be trained for a night and answer by chance."""
    schedule = Schedule(epochs=6, batch_size=6, learning_rate=2e-3, longest=0.08)
    record, _ = reproduce(task, "e2e MTL+att.", schedule)
    rows = record.predictions()
    assert uar(rows["label"], rows["predicted"]) > 0.4
    assert 1 <= record.folds[0]["best_epoch"] <= 6 and record.folds[0]["updates"] == 18


@pytest.mark.parametrize("name", ["e2e STL+att.", "e2e MTL"])
def test_answers(task, name):
    """Else answers to one dimension would stand under the name of another, or those of development under test."""
    [fold], names = task.folds, tasks_of(name, task)
    model = network(name, inputs_of(name, task.table))
    found = answers(model, fold, task, name)
    assert found.keys() == {"scores", "tasks", "validation"} and found["validation"].keys() == {"scores", "tasks"}
    for rows, part in ((fold.test, found), (fold.validation, found["validation"])):
        own = {**part["tasks"], "activation": part["scores"]}
        assert own.keys() == {*names} and list(part["tasks"]) == [n for n in names if n != "activation"]
        with torch.no_grad():
            expected = model(pad(inputs_of(name, task.table.iloc[rows]))).softmax(-1)
        for number, dimension in enumerate(names):
            np.testing.assert_allclose(own[dimension], expected[:, number], atol=1e-5)


@pytest.mark.parametrize("protocol", [zhang2019_inferred, zhang2019_stated])
def test_a_record_answers_for_all_dimensions_and_both_parts(table, protocol):
    """Else a column of the table would show the answers to other labels."""
    task = protocol(table, "valence")
    record, trained = reproduce(task, "e2e MTL+att.", TINY)
    [fold] = task.folds
    assert list(trained) == [fold.name] and record.settings["dimension"] == "valence"
    assert record.source == "papers.zhang2019.reproduce" and record.is_current()
    for dimension in DIMENSIONS:
        for rows, part in ((fold.test, "test"), (fold.validation, "validation")):
            seen = record.on(dimension, part).predictions()
            assert seen["utterance_id"].tolist() == task.table["utterance_id"].iloc[rows].tolist()
            assert seen["label"].tolist() == task.auxiliary[dimension][rows].tolist()
    single, _ = reproduce(task, "e2e STL", TINY)
    with pytest.raises(InputError, match="does not hold: activation, test"):
        single.on("activation")


def test_a_finished_run_is_not_trained_again(task, tmp_path, monkeypatch):
    """Else a second look would cost another night, or show other weights than were tested."""
    schedule = dataclasses.replace(TINY, dropout_at="input")
    record, trained = reproduce(task, "e2e STL+att.", schedule, folder=tmp_path)
    monkeypatch.setattr(paper, "train", lambda *_, **__: pytest.fail("trained again"))
    again, found = reproduce(task, "e2e STL+att.", schedule, folder=tmp_path)
    assert without_times(again) == without_times(record) and again.settings == record.settings
    [before], [after] = trained.values(), found.values()
    assert not after.training and after.front_end.dropout_at == before.front_end.dropout_at == "input"
    for name, weights in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], weights, rtol=0, atol=0)
    with pytest.raises(pytest.fail.Exception):
        reproduce(task, "e2e STL+att.", dataclasses.replace(schedule, weights=(1.0, 0.0, 0.0)), folder=tmp_path)


def test_a_stopped_run_goes_on(task, tmp_path):
    """Else a run that was killed would end in other weights than one that was not."""
    schedule = dataclasses.replace(TINY, epochs=3, most_updates=None)

    def stop(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(task, "e2e STL", schedule, folder=tmp_path, watch=stop)
    epochs = []
    record, trained = reproduce(task, "e2e STL", schedule, folder=tmp_path, watch=lambda h: epochs.append(len(h)))
    assert epochs == [3] and not list(tmp_path.glob("*.checkpoint"))
    expected, whole = reproduce(task, "e2e STL", schedule)
    assert [fold["scores"] for fold in record.folds] == [fold["scores"] for fold in expected.folds]
    [one], [other] = trained.values(), whole.values()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_missing_ratings_go_through(tmp_path):
    """Else a corpus with gaps in its ratings could not be run, or -1 count as a level in the table."""
    task = zhang2019_inferred(read_folder(write_rated(tmp_path / "gaps", some_unrated)))
    record, _ = reproduce(task, "e2e MTL", TINY)
    assert np.isfinite(record.folds[0]["loss"])
    labels = task.auxiliary["valence"][task.folds[0].test]
    assert len(record.on("valence").predictions()) == (labels >= 0).sum() < len(labels)
    assert {"±", "not"} & {*results_table([record]).loc["e2e MTL"]} == set()


# The table


def record_of(model, dimension, predicted, labels=(0, 1, 2, 2), code=None, source="papers.zhang2019.reproduce", **more):
    """A record of four tested utterances; on development everything was answered with 0."""
    who = {"utterance_id": list("abcd"), "speaker": list("aabb")}
    rows = {"name": "s0", **who, "label": list(labels), "predicted": list(predicted)} | more
    rows["validation"] = {**who, "label": list(labels), "predicted": [0] * 4}
    if "tasks" in more:
        rows["validation"]["tasks"] = more["tasks"]
    about = {
        "protocol": "zhang2019_inferred",
        "classes": ["low", "middle", "high"],
        "settings": {"dimension": dimension},
    }
    code = code or results.code_hash(source, "zhang2019_inferred")
    return results.Record(model, source, "rated", **about, seed=0, code=code, environment={}, date="", folds=[rows])


def test_the_table_has_the_papers_layout():
    """Else published and measured could not stand beside each other; or what was not run look as if it had been."""
    empty = results_table([])
    assert empty.index.equals(PUBLISHED.index) and empty.columns.equals(PUBLISHED.columns)
    assert (empty == "not run").all(axis=None)
    svm = record_of("eGeMAPS + linear SVM", "dominance", [0, 1, 2, 2], source="baselines.functionals_svm")
    further = {"valence": {"label": [0, 1, 2, 2], "predicted": [0, 1, 1, 2]}}
    several = record_of("e2e MTL", "activation", [0, 1, 0, 0], tasks=further)
    found = results_table([svm, several])
    assert found.index.equals(PUBLISHED.index) and found.columns.equals(PUBLISHED.columns)
    expected = {
        ("OS+SVMs", "dominance", "dev"): "33.3",
        ("OS+SVMs", "dominance", "test"): "100.0",
        ("e2e MTL", "activation", "dev"): "33.3",
        ("e2e MTL", "activation", "test"): "66.7",
        ("e2e MTL", "valence", "dev"): "83.3",
        ("e2e MTL", "valence", "test"): "83.3",
    }
    cells = {(row, *column): found.loc[row, column] for row in found.index for column in found}
    assert {cell: value for cell, value in cells.items() if value != "not run"} == expected
    assert PARTS == {"dev": "validation", "test": "test"}


def test_the_table_over_seeds():
    """Else one seed would be shown for three, or a number of earlier code look like one of today's."""
    runs = [record_of("e2e STL", "valence", predicted) for predicted in ([0, 1, 2, 2], [0, 1, 0, 2], [0, 0, 0, 2])]
    column = "valence", "test"
    values = [100, 100 * (1 + 1 + 0.5) / 3, 100 * (1 + 0 + 0.5) / 3]
    shown = f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert results_table(runs).loc["e2e STL", column] == shown
    earlier = record_of("e2e STL", "valence", [0, 1, 2, 2], code="earlier")
    assert results_table([*runs[1:], earlier]).loc["e2e STL", column] == f"{shown} †"


def test_a_level_that_nobody_has_is_left_out():
    """Else a test part without loud utterances would cap the UAR at 66.7."""
    found = results_table([record_of("e2e STL", "valence", [0, 1, 2, 0], labels=[0, 1, 1, -1])])
    assert found.loc["e2e STL", ("valence", "test")] == "75.0"


def test_a_part_that_nobody_rated_does_not_stop_the_table():
    """Else a night of training would end in an error, because one dimension has no rating in one part."""
    found = results_table([record_of("e2e STL", "valence", [0, 1, 2, 0], labels=[-1] * 4)])
    assert "nan" not in found.loc["e2e STL", ("valence", "test")]


def test_published():
    """Else the numbers beside ours would not be the paper's."""
    assert PUBLISHED.shape == (6, 6)
    assert PUBLISHED.loc["e2e MTL+att."].tolist() == [48.7, 48.5, 66.2, 63.8, 53.4, 51.6]
    assert PUBLISHED.loc["OS+SVMs", ("dominance", "test")] == 48.7
    assert PUBLISHED.loc["e2e STL", "valence"].tolist() == [60.9, 60.1]


def test_recompute_runs_all_of_the_table_and_goes_on(table, tmp_path, stand_ins, monkeypatch):
    """Else a method would be missing, multi-task networks be trained three times, or all be done again."""
    trained = []
    own = train
    monkeypatch.setattr(
        paper, "train", lambda *a, **k: trained.append((k["name"], k["task"].dimension)) or own(*a, **k)
    )
    records = recompute(table, tmp_path, schedule=TINY, seeds=(0,))
    single = [(name, dimension) for dimension in DIMENSIONS for name in ("OS+RNNs", "e2e STL", "e2e STL+att.")]
    assert sorted(trained) == sorted([*single, ("e2e MTL", "activation"), ("e2e MTL+att.", "activation")])
    assert len(records) == 14 and {record.corpus for record in records} == {"rated"}
    shown = results_table(records)
    assert shown.index.equals(PUBLISHED.index) and shown.columns.equals(PUBLISHED.columns)
    assert shown.map(float).ge(0).all(axis=None)

    monkeypatch.setattr(paper, "train", lambda *_, **__: pytest.fail("trained again"))
    again = recompute(table, tmp_path, schedule=TINY, seeds=(0,))
    assert [without_times(record) for record in again] == [without_times(record) for record in records]


def test_recompute_in_some_dimensions(table, monkeypatch):
    """Else somebody who asks for one dimension would wait for three, or get no multi-task network at all."""
    asked = []
    monkeypatch.setattr(paper, "functionals_svm", lambda task, folder, choose_on: asked.append((task, choose_on)))
    monkeypatch.setattr(paper, "reproduce", lambda *arguments: [asked.append(arguments)])
    recompute(table, "runs", zhang2019_stated, TINY, seeds=(3, 4), dimensions=["dominance", "valence"])
    assert {task.protocol for task, *_ in asked} == {"zhang2019_stated"}
    svm, networks = ([call for call in asked if len(call) == length] for length in (2, 5))
    assert [(task.dimension, choose_on) for task, choose_on in svm] == [
        ("dominance", "development"),
        ("valence", "development"),
    ]
    assert {(schedule, folder) for _, _, schedule, _, folder in networks} == {(TINY, "runs")}
    single = [(name, dimension) for dimension in ("dominance", "valence") for name in PUBLISHED.index[1:4]]
    pairs = [*single, ("e2e MTL", "activation"), ("e2e MTL+att.", "activation")]
    found = [(name, task.dimension, seed) for task, name, _, seed, _ in networks]
    assert sorted(found) == sorted((*pair, seed) for pair in pairs for seed in (3, 4))


def test_dimensions_of():
    """Else a column of the table would be empty although it was answered."""
    further = {"valence": {"label": [0] * 4, "predicted": [0] * 4}}
    assert dimensions_of(record_of("e2e MTL", "dominance", [0] * 4, tasks=further)) == ["dominance", "valence"]
    assert dimensions_of(record_of("e2e STL", "dominance", [0] * 4)) == ["dominance"]


# What it attends to


def test_attention_over_time():
    """Else the picture would show the weights of another task, or other windows than were heard."""
    model, [heard] = network("e2e MTL+att."), noise(3001)
    found = attention_over_time(model.train(), heard.numpy())
    assert found.shape == (3, 15) and not model.training
    with torch.no_grad():
        _, weights = model.summaries(pad([heard, torch.zeros(5000)]))
    for task in range(3):
        np.testing.assert_allclose(found[task], weights[task][0, :15], atol=1e-6)


def test_a_network_without_attention_says_so():
    """Else the error would be one of torch about an empty list."""
    with pytest.raises(InputError, match="no attention"):
        attention_over_time(network("e2e MTL"), noise(3001)[0].numpy())


@pytest.mark.parametrize("samples", [640, 799, 3001])
def test_loudness_is_librosas(samples):
    """Else a window's loudness would be that of another window."""
    [heard] = noise(samples)
    expected = librosa.feature.rms(y=heard.numpy(), frame_length=640, hop_length=160, center=False)[0]
    np.testing.assert_allclose(loudness(heard.numpy()), expected, rtol=1e-5)
    assert len(expected) == windows_in(torch.tensor(samples))


def test_the_loudness_of_what_fills_no_window():
    """Else a short utterance would stop the chapter."""
    np.testing.assert_allclose(loudness(np.full(160, 0.5, np.float32)), [0.25], rtol=1e-6)


class Listener(nn.Module):
    """A network whose first task attends to what is loud, the second to what is quiet, the third to what is late."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def summaries(self, padded):
        loud = padded[0].unfold(1, 640, 160).square().mean(-1)
        late = torch.arange(loud.shape[1])[None]
        return [], [(3 * loud).softmax(-1), (-30 * loud).softmax(-1), (0.1 * late).softmax(-1)]


def test_follows_loudness():
    """Else the paper's claim as a number would be measured along another axis, or with another sign."""
    heard = (np.sin(np.arange(8000) / 700) * RNG.normal(size=8000)).astype(np.float32)
    loud, quiet, late = follows_loudness(Listener(), heard)
    assert loud == pytest.approx(1) and quiet == pytest.approx(-1)
    assert late == pytest.approx(stats.spearmanr(np.arange(47), loudness(heard)).statistic)
