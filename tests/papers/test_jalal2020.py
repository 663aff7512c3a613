"""Jalal 2020: attentions against loops over the equations, alone and in a batch; and all that a table is made of."""

import dataclasses
import json
import warnings
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
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau

from serlib import baselines, corpora, protocols, results
from serlib.audio import equal_parts, read_row
from serlib.corpora import read_folder
from serlib.corpora.iemocap import alignment_path
from serlib.errors import InputError
from serlib.features import log_mel
from serlib.metrics import uar
from serlib.papers import jalal2020 as paper
from serlib.papers import li2018
from serlib.papers.jalal2020 import (
    MODELS,
    MOMA,
    PUBLISHED,
    SYSTEMS,
    VARIANTS,
    ContextGatedAttention,
    Schedule,
    answers,
    attention_over_time,
    coverage,
    crops,
    examples,
    heard_of,
    minus_loss,
    over_seeds,
    recompute,
    reproduce,
    residual_share,
    results_table,
    same_steps,
    spectrogram_parts,
    spoken_in,
    spread,
    standardised,
    student,
    train,
    who_says,
)
from serlib.protocols import jalal2020, jalal2020_retrained, leaky_jalal2020_chosen_on_test
from serlib.recurrent import BLSTM
from serlib.sequences import mask_of, pad, padded_batches

RNG = np.random.default_rng(0)
few = settings(max_examples=10, deadline=None, database=None, derandomize=True)
many = settings(max_examples=40, deadline=None, database=None, derandomize=True)
some_lengths = st.lists(st.integers(1, 30), min_size=1, max_size=5)
# The arguments of MOMA behind each name of the ablation.
OPTIONS = {name: getattr(MODELS[name], "keywords", {}) for name in VARIANTS}
every_variant = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    torch.manual_seed(0)


def small_attention():
    """One of 16 numbers a frame, whose weights differ by factors; as it begins they are almost even."""
    attend = ContextGatedAttention(16, 6)
    with torch.no_grad():
        for parameter in attend.parameters():
            parameter.mul_(6)
    return attend


def small(**options):
    """A MOMA with 16 numbers for a frame instead of 1024; `MOMA` itself puts it together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "BLSTM", lambda size, hidden, layers: BLSTM(size, 8, layers))
        patch.setattr(paper, "ContextGatedAttention", small_attention)
        model = MOMA(**options)
    model.project, model.classify = nn.Linear(16, 16), nn.Linear(16, 4)
    return model.eval()


class Mean(nn.Module):
    """Padded spectrograms to four scores: a mean and a linear layer, in place of what trains slowly."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(200, 4)

    def forward(self, padded):
        return self.classify(padded[0].sum(1) / padded[1][:, None])


@pytest.fixture
def small_networks(monkeypatch):
    """Small networks under the names of all."""
    for name, options in OPTIONS.items():
        monkeypatch.setitem(MODELS, name, partial(small, **options))
    monkeypatch.setitem(MODELS, "CNN_LSTM", Mean)


def noise(*lengths, size=23):
    """Sequences of noise around 0.3, one for each length."""
    return [torch.randn(length, size) + 0.3 for length in lengths]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def close(found, expected, tolerance=1e-5):
    """Equal, as measured by the largest number there is."""
    found, expected = torch.as_tensor(found).detach(), torch.as_tensor(expected).detach()
    scale = max(1e-30, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale, check_dtype=False)


# The attention


def naive_attention(attend, features):
    """Equations 4 and 5 for one utterance `(steps, size)`, number by number, in double precision: its weights."""
    values = {name: parameter.detach().double().numpy() for name, parameter in attend.named_parameters()}
    steps, size = features.shape
    hidden = len(values["frame.bias"])
    mean = [sum(features[step, n] for step in range(steps)) / steps for n in range(size)]
    energies = []
    for step in range(steps):
        energy = values["energy.bias"][0]
        for unit in range(hidden):
            of_frame, of_mean = values["frame.bias"][unit], values["context.bias"][unit]
            for n in range(size):
                of_frame += values["frame.weight"][unit, n] * features[step, n]
                of_mean += values["context.weight"][unit, n] * mean[n]
            energy += values["energy.weight"][0, unit] * np.tanh(of_frame) * np.tanh(of_mean)
        energies.append(np.exp(energy))
    return np.array(energies) / sum(energies)


@pytest.mark.parametrize("lengths", [[1], [7], [1, 5, 2], [4, 4], [12, 1, 1, 3]])
def test_the_attention_by_loops(lengths):
    """Else a mean, a gate or a softmax would be another than the paper's, or go over another axis."""
    attend, sequences = small_attention(), noise(*lengths, size=16)
    features, lengths = pad(sequences)
    with torch.no_grad():
        attended, weights = attend(features, mask_of(lengths, features.shape[1]))
    assert attended.shape == features.shape and weights.shape == features.shape[:2]
    for row, sequence in enumerate(sequences):
        sequence = sequence.double().numpy()
        expected = naive_attention(attend, sequence)
        assert len(sequence) < 3 or expected.max() > 2 * expected.min()  # else any weights would do
        close(weights[row, : len(sequence)], expected)
        close(attended[row, : len(sequence)], expected[:, None] * sequence)
        assert not weights[row, len(sequence) :].any() and not attended[row, len(sequence) :].any()


@many
@given(some_lengths, st.integers(0, 4), st.integers(0, 10**6))
def test_weights_lie_on_the_utterance_and_sum_to_1(lengths, more, seed):
    """Else padding would be listened to, or a short utterance count for less."""
    torch.manual_seed(seed)
    attend, (features, lengths) = small_attention(), pad(noise(*lengths, size=16))
    features = nn.functional.pad(features, (0, 0, 0, more))
    mask = mask_of(lengths, features.shape[1])
    with torch.no_grad():
        attended, weights = attend(features, mask)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(lengths)))
    assert (weights[mask] > 0).all() and not weights[~mask].any()
    assert torch.equal(attended, weights[..., None] * features)


@many
@given(some_lengths, st.integers(1, 4), st.sampled_from([1.0, -1e3, 1e6]))
def test_padding_reaches_no_attention(lengths, more, loud):
    """Else what stands after an end would shift the mean, the weights, or what is learned from them."""
    torch.manual_seed(0)
    attend, (features, lengths) = small_attention(), pad(noise(*lengths, size=16))
    features = nn.functional.pad(features, (0, 0, 0, more))
    mask, found = mask_of(lengths, features.shape[1]), {}
    direction = torch.randn(features.shape)
    for name, value in (("silent", 0.0), ("loud", loud)):
        filled = features.masked_fill(~mask[..., None], value).requires_grad_()
        attend.zero_grad()
        attended, weights = attend(filled, mask)
        ((attended * direction).sum() + (weights * direction[..., 0]).sum()).backward()
        found[name] = {"attended": attended, "weights": weights, "input": filled.grad, **gradients(attend)}
        assert not filled.grad[~mask].any()
    assert len(found["loud"]) == 9
    for name, expected in found["silent"].items():
        close(found["loud"][name], expected, 1e-6)


def test_the_attention_has_no_order():
    """Else a weight would depend on where its frame stands, and an exercise of the chapter say what is not true."""
    attend, [frames] = small_attention(), noise(20, size=16)
    order, mask = torch.randperm(20), torch.ones(1, 20, dtype=torch.bool)
    with torch.no_grad():
        attended, weights = attend(frames[None], mask)
        moved, permuted = attend(frames[None, order], mask)
    close(permuted, weights[:, order], 1e-6)
    close(moved, attended[:, order], 1e-6)
    assert weights.max() > 2 * weights.min()


def test_the_context_gates():
    """Else a frame would be weighed by itself alone: equation 4 sees it in the light of the mean."""
    attend, [frames] = small_attention(), noise(6, size=16)
    mask = torch.ones(1, 6, dtype=torch.bool)
    with torch.no_grad():
        _, weights = attend(frames[None], mask)
        frames[5] += 3
        _, others = attend(frames[None], mask)
        ratio = others[0, :5] / weights[0, :5]
    assert ratio.max() > 1.05 * ratio.min()  # of frames that did not change


# MOMA


def test_the_parameters_are_the_papers():
    """Else the network would not be the paper's, or one part make up for another's size."""
    model = MOMA()
    assert count(model) == 10_603_019
    parts = {name: count(part) for name, part in model.named_children()} | {"gammas": model.gammas.numel()}
    expected = {"encoder": 8_499_200, "layer_1": 262_529, "layer_2": 3 * 262_529, "gammas": 3}
    assert parts == expected | {"project": 1_049_600, "classify": 4100}
    assert [count(block) for block in model.layer_2] == [262_529] * 3
    assert count(ContextGatedAttention()) == 2 * (1024 * 128 + 128) + 128 + 1


def naive_summary(model, sequence):
    """Equations 6 to 9 for one utterance `(frames, 23)` alone: its summary, and the weights of both layers."""
    steps = len(sequence)
    with torch.no_grad():
        states = model.encoder(sequence[None], torch.tensor([steps]))[0].double().numpy()
    first = np.full(steps, 1 / steps)
    if model.layer_1 is not None:
        first = naive_attention(model.layer_1, states)
        before, scale = states.copy(), steps if model.first == "mean one" else 1
        for step in range(steps):
            states[step] = scale * first[step] * before[step] + before[step]
    second = first
    if len(model.layer_2):
        second = np.zeros(steps)
        for gamma, block in zip(model.gammas.tolist(), model.layer_2, strict=True):
            second += gamma * naive_attention(block, states)
    return sum(second[step] * states[step] for step in range(steps)), first, second


@every_variant
def test_the_equations_by_loops(options):
    """Else the residual, the mixture or the sum over time would be another, or a variant not what its name says."""
    model, sequences = small(**options), noise(5, 1, 13)
    padded = pad(sequences)
    with torch.no_grad():
        summary, first, second = model.listen(padded)
        scores = model(padded)
    assert summary.shape == (3, 16) and first.shape == second.shape == (3, 13)
    for row, sequence in enumerate(sequences):
        expected, *weights = naive_summary(model, sequence)
        close(summary[row], expected)
        for found, each in zip((first[row], second[row]), weights, strict=True):
            close(found[: len(sequence)], each)
            assert not found[len(sequence) :].any()
        project, classify = (
            [parameter.detach().double().numpy() for parameter in part.parameters()]
            for part in (model.project, model.classify)
        )
        close(scores[row], classify[0] @ (project[0] @ expected + project[1]) + classify[1])  # nothing but linear


@pytest.mark.parametrize("first", ["softmax", "mean one"])
def test_layer_1_alone_pools_what_the_residual_leaves(first):
    """Else layer 1 without layer 2 would not be the sum of Y + Y' by its weights."""
    model, [sequence] = small(first=first, blocks=0), noise(9)
    with torch.no_grad():
        summary, weights, second = model.listen(pad([sequence]))
        states = model.encoder(sequence[None], torch.tensor([9]))[0]
    scaled = (9 if first == "mean one" else 1) * weights[0, :, None]
    close(summary[0], (weights[0, :, None] * (1 + scaled) * states).sum(0))
    assert torch.equal(weights, second)


def test_no_attention_is_the_mean():
    """Else the baseline of the ablation would attend, or count padding."""
    model, sequences = small(first=None, blocks=0), noise(1, 8, 3)
    with torch.no_grad():
        summary, *weights = model.listen(pad(sequences))
        for row, sequence in enumerate(sequences):
            states = model.encoder(sequence[None], torch.tensor([len(sequence)]))[0]
            close(summary[row], states.mean(0), 1e-6)
            assert all(torch.equal(each[row, : len(sequence)].unique(), 1 / each.new_tensor([len(sequence)]))
                       for each in weights)  # fmt: skip


def test_the_context_of_layer_2_is_the_new_mean():
    """Else its blocks would look at the mean of what layer 1 was given."""
    model, heard = small(first="mean one"), noise(11)
    seen = []
    handle = model.layer_2[0].context.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model(pad(heard))
        states = model.encoder(*pad(heard))
        attended, _ = model.layer_1(states, torch.ones(1, 11, dtype=torch.bool))
    handle.remove()
    close(seen[0], (states + 11 * attended).mean(1))


@few
@given(some_lengths, st.sampled_from([*OPTIONS]), st.integers(0, 10**6))
@example([1, 400], "MOMA", 0)
@example([400, 1, 1, 7], "mean one", 1)
@example([1, 400], "no attention", 1)
@example([2, 150], "five blocks", 1)
@example([1], "MOMA", 0)
def test_an_utterances_scores_do_not_depend_on_the_others(lengths, name, seed):
    """Else a test set in another order, or a part of it, would give other predictions."""
    torch.manual_seed(seed)
    model, heard = small(**OPTIONS[name]), noise(*lengths)
    order = torch.randperm(len(heard)).tolist()
    with torch.no_grad():
        together = model(pad(heard))
        assert together.shape == (len(heard), 4) and torch.isfinite(together).all()
        close(model(pad([heard[row] for row in order])), together[order])
        for row in range(len(heard)):
            close(model(pad(heard[row : row + 1]))[0], together[row])


def test_the_whole_network_alone_and_in_a_batch():
    """Else what holds for small networks would not hold for the one that is trained; or utterances sound alike."""
    model, heard = MOMA().eval(), noise(1, 12, 5)
    with torch.no_grad():
        together = model(pad(heard))
        for row in range(3):
            close(model(pad(heard[row : row + 1]))[0], together[row])
    assert together.std(0).min() > 1e-4


@every_variant
def test_padding_trains_nothing(options):
    """Else a gradient would depend on how long the longest of a batch is."""
    model, heard, labels = small(**options), noise(3, 1, 40), torch.tensor([0, 3, 2])
    alone = []
    for row in range(3):
        model.zero_grad()
        cross_entropy(model(pad(heard[row : row + 1])), labels[row : row + 1]).backward()
        alone.append(gradients(model))
    padded, lengths = pad(heard)
    padded = nn.functional.pad(padded, (0, 0, 0, 5))
    padded[~mask_of(lengths, 45)] = 100.0
    padded.requires_grad_()
    model.zero_grad()
    cross_entropy(model((padded, lengths)), labels).backward()
    found = gradients(model)
    assert found.keys() >= {name for name, p in model.named_parameters() if p.requires_grad and p.numel()}
    assert not padded.grad[~mask_of(lengths, 45)].any() and padded.grad[0, :3].any()
    for key, gradient in found.items():
        mean = sum(each[key] for each in alone) / 3
        torch.testing.assert_close(gradient, mean, rtol=1e-3, atol=1e-6)


def test_the_longest_utterance_of_iemocap():
    """Else a test would end at its longest utterance, of 34 seconds, or its scores not be numbers."""
    model, heard = small(), noise(3400)
    with torch.no_grad():
        scores = model(pad(heard))
        _, first, second = model.listen(pad(heard))
    assert scores.shape == (1, 4) and torch.isfinite(scores).all()
    assert first.sum().item() == pytest.approx(1, rel=1e-4)
    assert second.sum().item() == pytest.approx(model.gammas.sum().item(), rel=1e-4)


def test_one_block_at_1_is_a_single_layer():
    """Else layer 2 would do more to the weights than mix them."""
    model, heard = small(first=None, blocks=1), noise(9, 4)
    features, lengths = pad(heard)
    with torch.no_grad():
        model.gammas.fill_(1.0)
        summary, _, weights = model.listen((features, lengths))
        attended, alone = model.layer_2[0](model.encoder(features, lengths), mask_of(lengths, 9))
    close(summary, attended.sum(1), 1e-6)
    close(weights, alone, 1e-6)


@few
@given(st.floats(-1, 2))
def test_equal_blocks_are_one(share):
    """Else gammas would do more than weigh their blocks."""
    torch.manual_seed(0)
    one, two, heard = small(blocks=1), small(blocks=2), pad(noise(9, 4))
    state = one.state_dict()
    state |= {key.replace("2.0.", "2.1."): value for key, value in state.items() if key.startswith("layer_2.0.")}
    two.load_state_dict(state | {"gammas": torch.tensor([share, 1 - share])})
    with torch.no_grad():
        one.gammas.fill_(1.0)
        close(two(heard), one(heard))
        two.gammas.mul_(2)
        assert (two(heard) - one(heard)).abs().max() > 1e-3


def test_gammas_are_drawn_and_learned():
    """Else every network would begin with the same mixture, or keep the one that it was given."""
    drawn = []
    for seed in range(20):
        torch.manual_seed(seed)
        drawn.append(small().gammas.tolist())
    drawn = np.array(drawn)
    assert drawn.shape == (20, 3) and (drawn >= 0).all() and (drawn < 1).all()
    assert len(np.unique(drawn)) == 60 and abs(drawn.mean() - 0.5) < 0.15 and drawn.std() > 0.2
    model = small()
    before = model.gammas.clone()
    step(model)
    assert (model.gammas != before).all()


def step(model):
    """One update of all that a network may learn."""
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    cross_entropy(model(pad(noise(5, 3))), torch.tensor([0, 1])).backward()
    adam.step()


def test_fixed_gammas_stay():
    """Else the variant would learn what it is meant to lack."""
    model = small(**OPTIONS["fixed gammas"])
    weights = model.classify.weight.clone()
    step(model)
    assert model.gammas.grad is None and not model.gammas.requires_grad
    close(model.gammas, torch.full((3,), 1 / 3), 1e-7)
    assert (model.classify.weight != weights).all()


LAYER, REST = 262_529, 8_499_200 + 1_049_600 + 4100
CNN_LSTM = 16 * (16 * 12 + 1) + 24 * (16 * 12 * 8 + 1) + 32 * (24 * 7 * 5 + 1) + 952_320 + 4 * 257


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "MOMA": REST + 4 * LAYER + 3,
        "no attention": REST,
        "layer 1 only": REST + LAYER,
        "layer 2 only": REST + 3 * LAYER + 3,
        "one block": REST + 2 * LAYER + 1,
        "two blocks": REST + 3 * LAYER + 2,
        "five blocks": REST + 6 * LAYER + 5,
        "fixed gammas": REST + 4 * LAYER + 3,
        "mean one": REST + 4 * LAYER + 3,
        "CNN_LSTM": CNN_LSTM,
    }.items(),
)
def test_every_network_learns_from_a_padded_batch(name, expected):
    """Else a night of ablations would end at one that cannot be trained, or compare networks of other sizes."""
    model = MODELS[name]()
    assert count(model) == expected
    scores = model(pad(noise(2, 1, size=200 if name == "CNN_LSTM" else 23)))
    assert scores.shape == (2, 4) and torch.isfinite(scores).all()
    cross_entropy(scores, torch.tensor([1, 2])).backward()
    found = gradients(model)
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    learned = {key for key, p in model.named_parameters() if p.requires_grad and p.numel()}
    assert found.keys() >= learned and len(MODELS) == 10 and [*MODELS][:-1] == VARIANTS


def test_no_variant_is_taken_for_another():
    """Else a checkpoint of one would go on as another: `fit` knows a network by how it is printed."""
    assert len({str(small(**options)) for options in OPTIONS.values()}) == len(OPTIONS) == 9


# What is heard


@pytest.mark.parametrize("frames", [2, 7, 453])
def test_standardised_is_scikit_learns(frames):
    """Else a band would be scaled by the others, or over something else than the utterance."""
    features = (RNG.normal(size=(frames, 23)) * np.logspace(-2, 2, 23) + np.arange(23)).astype(np.float32)
    found = standardised(features)
    assert found.dtype == torch.float32 and found.shape == (frames, 23)
    np.testing.assert_allclose(found, StandardScaler().fit_transform(features.astype(float)), atol=2e-4)
    whole = features.astype(float)
    np.testing.assert_allclose(standardised(features, axis=None), (whole - whole.mean()) / whole.std(), atol=2e-4)


@pytest.mark.parametrize("axis", [0, None])
@pytest.mark.parametrize("frames", [1, 7, 453])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_what_never_changes_is_zero(value, frames, axis):
    """Else a single frame, or a band of silence, would become NaN, with a warning for every utterance."""
    features = RNG.normal(size=(frames, 3)).astype(np.float32)
    features[:, 1] = value
    if axis is None:
        features[:] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = standardised(features, axis)
    assert torch.isfinite(found).all() and not found[:, 1].any()
    assert not found.any() or (axis == 0 and frames > 1)


@pytest.mark.parametrize("frames", [453, 3000])
@pytest.mark.parametrize("value", [0.1, np.log(1e-10)])
def test_rounding_is_not_standardised(value, frames):
    """Else a band of silence would be 1, or -1 in an utterance of another length: what rounding leaves of its mean."""
    assert standardised(np.full((frames, 23), value, np.float32)).abs().max() < 1e-3


def in_decibels(part):
    """A standardised spectrogram `(frames, 200)` of samples, by librosa."""
    shape = {"n_fft": 800, "hop_length": 160, "win_length": 640, "window": "hamming", "pad_mode": "reflect"}
    magnitudes = np.abs(librosa.stft(part.astype(float), **shape))[:200, :-1].T
    decibels = 20 * np.log10(np.maximum(magnitudes, 1e-5))
    return (decibels - decibels.mean()) / decibels.std()


@pytest.mark.parametrize(
    ("samples", "parts"),
    [(960, 1), (16_000, 1), (48_000, 1), (48_001, 2), (70_001, 2), (96_000, 2), (96_160, 3), (200_000, 5)],
)
def test_spectrogram_parts(samples, parts):
    """Else an utterance would be cut otherwise than in chapter 4, lose samples, or be scaled as a whole."""
    waveform = (RNG.normal(size=samples) * np.linspace(0.01, 0.5, samples)).astype(np.float32)
    found = spectrogram_parts(waveform)
    assert len(found) == parts == equal_parts([samples / 16_000])[0]
    lengths = np.array([len(part) for part in found])
    assert samples // 160 - parts < lengths.sum() <= samples // 160 and np.ptp(lengths) <= 1 and lengths.max() <= 300
    starts = np.cumsum([0, *[samples // parts + (n < samples % parts) for n in range(parts)]])
    for number, part in enumerate(found):
        assert part.dtype == torch.float32 and part.shape[1] == 200
        close(part, in_decibels(waveform[starts[number] : starts[number + 1]]), 1e-3)
        assert abs(part.mean()) < 1e-4 and part.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_a_part_of_silence():
    """Else digital silence would be minus infinity, and its scores NaN."""
    waveform = np.zeros(60_000, np.float32)
    waveform[:10_000] = RNG.normal(size=10_000)
    first, second = spectrogram_parts(waveform)
    assert torch.isfinite(first).all() and second.abs().max() < 1e-3
    assert torch.equal(first[-1], first[-1, :1].expand(200)) and first[-1, 0] < first[:50].min()


# A corpus


# How the pitch of an utterance moves; features are standardised within it, so a pitch that stays says nothing.
EMOTIONS = {
    "anger": lambda time: time,
    "happiness": lambda time: 1 - abs(2 * time - 1),
    "neutral": lambda time: abs(2 * time - 1),
    "sadness": lambda time: 1 - time,
}
LONG = 50_000  # samples of one utterance of each speaker


def write_emotional(folder):
    """Five speakers, nine utterances each, whose melody is their emotion; the last, excited, is longer than 3 s."""
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(1), []
    for speaker in range(5):
        for take, emotion in enumerate([*EMOTIONS, *EMOTIONS, "excitement"]):
            file = f"s{speaker}_{take}.wav"
            length = LONG if emotion == "excitement" else 1600 + 320 * take + 7 * speaker
            height = EMOTIONS.get(emotion, EMOTIONS["happiness"])(np.linspace(0, 1, length))
            pitch = (300 + 3000 * height) * (1 + 0.04 * speaker)  # Hz
            wave = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) + rng.normal(0, 0.02, length)
            soundfile.write(folder / file, wave, 16_000)
            rows.append({"file": file, "speaker": f"s{speaker}", "emotion": emotion})
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def emotional(tmp_path_factory):
    """The folder of that corpus."""
    return write_emotional(tmp_path_factory.mktemp("emotional") / "emotional")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A cache that these tests share."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def table(emotional, features, monkeypatch):
    monkeypatch.setenv("SERLIB_CACHE", str(features))
    return read_folder(emotional)


@pytest.fixture
def task(table):
    return jalal2020(table)


TINY = Schedule(epochs=2, batch_size=8, longest=0.1, most_updates=3)


def without_times(record):
    return [{key: value for key, value in fold.items() if key != "seconds"} for fold in record.folds]


def test_the_corpus_has_what_these_tests_need(task):
    """Else they would test less than they say."""
    [fold] = task.folds
    assert [len(part) for part in (fold.train, fold.validation, fold.test)] == [27, 9, 9]
    assert [*np.bincount(task.labels)] == [10, 15, 10, 10]  # excitement is happiness


def test_heard_of(task):
    """Else an utterance would be heard in another one's place, or whole where it is cut."""
    rows = task.table.iloc[[17, 3, 0]]
    sounds = [read_row(row) for row in rows.itertuples()]
    found = heard_of("MOMA", rows)
    assert [len(parts) for parts in found] == [1, 1, 1]
    for [part], sound in zip(found, sounds, strict=True):
        assert torch.equal(part, standardised(log_mel(sound)))
    assert found[0][0].shape == (1 + (LONG - 400) // 160, 23)
    for parts, sound in zip(heard_of("CNN_LSTM", rows), sounds, strict=True):
        expected = spectrogram_parts(sound)
        assert len(parts) == len(expected) == 1 + (len(sound) == LONG)
        assert all(torch.equal(one, other) for one, other in zip(parts, expected, strict=True))


@pytest.mark.parametrize(("name", "parts"), [("mean one", 1), ("CNN_LSTM", 2)])
def test_examples_have_a_label_for_every_part(task, name, parts):
    """Else the labels after a long utterance would be those of others."""
    rows = np.array([8, 2, 17, 0])  # two of them long
    sequences, labels = examples(name, task, rows)
    expected = np.repeat(task.labels[rows], [parts, 1, parts, 1])
    assert labels.tolist() == expected.tolist() and labels.dtype == torch.int64
    whole = [part for each in heard_of(name, task.table.iloc[rows]) for part in each]
    assert all(torch.equal(one, other) for one, other in zip(sequences, whole, strict=True))


def cropped(lengths, longest, generator):
    """What `crops` takes of sequences of these lengths: of each where it starts, and how long it is."""
    sequences = [1000.0 * row + torch.arange(length)[:, None] for row, length in enumerate(lengths)]
    found = {}
    for (padded, kept), rows in crops(sequences, torch.arange(len(lengths)), 4, longest, generator):
        assert len(rows) <= 4
        for sequence, length, row in zip(padded[..., 0], kept.tolist(), rows.tolist(), strict=True):
            start = int(sequence[0]) - 1000 * row
            assert torch.equal(sequence[:length], 1000.0 * row + start + torch.arange(length))  # without a gap
            found[row] = (start, length)
    return [found[row] for row in range(len(lengths))]


@many
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.sampled_from([0.01, 0.07, 1.5]), st.integers(0, 99))
def test_crops_lie_within_their_utterances(lengths, longest, seed):
    """Else a crop would be shorter than it could be, lie over an end, or come with another one's label."""
    found = cropped(lengths, longest, torch.Generator().manual_seed(seed))
    for length, (start, kept) in zip(lengths, found, strict=True):
        assert kept == min(length, round(100 * longest)) and 0 <= start <= length - kept


def test_crops_come_from_anywhere():
    """Else the end of a long utterance would never be heard, or all epochs, or all utterances, hear the same."""
    generator = torch.Generator().manual_seed(0)
    epochs = np.array([cropped([16, 16, 5], 0.1, generator) for _ in range(300)])[..., 0]
    for long in epochs.T[:2]:
        counts = np.bincount(long, minlength=7)
        assert len(counts) == 7 and counts.min() > 20  # of 43
    assert (epochs[:, 0] != epochs[:, 1]).mean() > 0.7 and not epochs[:, 2].any()


def test_crops_are_those_of_the_generator():
    """Else a run that was stopped would go on with other crops than one that was not."""
    lengths = [40, 80, 3, 25]
    drawn = [cropped(lengths, 0.1, torch.Generator().manual_seed(seed)) for seed in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_without_longest_nothing_is_cropped():
    """Else whole utterances could not be trained on; or their batches be others than those of chapter 2."""
    sequences, targets = noise(9, 2, 30, 4), torch.arange(4)
    found, expected = (
        [*batches(torch.Generator().manual_seed(0))]
        for batches in (
            partial(crops, sequences, targets, 2, None),
            partial(padded_batches, sequences, targets, 2),
        )
    )
    for ((one, lengths), rows), ((other, expected_lengths), expected_rows) in zip(found, expected, strict=True):
        assert torch.equal(one, other) and torch.equal(lengths, expected_lengths) and torch.equal(rows, expected_rows)


# Choosing


class Repeats(nn.Module):
    """A model whose scores are what the first frame of each sequence says."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, padded):
        return self.scale * padded[0][:, 0, :4]


@many
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 10**6))
def test_minus_loss_is_scikit_learns(utterances, classes, seed):
    """Else an epoch would be chosen by the loss of other labels, or by its opposite; or a missing class stop it."""
    rng = np.random.default_rng(seed)
    heard = [torch.from_numpy(rng.normal(size=(rng.integers(1, 9), 23))).float() for _ in range(utterances)]
    labels = rng.integers(0, classes, utterances)
    scores = np.stack([sequence[0, :4] for sequence in heard]).astype(float)
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = minus_loss(Repeats(), heard, torch.from_numpy(labels))
    assert isinstance(found, float)
    assert found == pytest.approx(-log_loss(labels, chances, labels=range(4)), rel=1e-4)


def test_nothing_to_choose_on():
    """Else somebody who trains on everything would read an error of torch about an empty list."""
    with pytest.raises(InputError, match="no development part to choose on. Give milestones"):
        minus_loss(Repeats(), [], torch.zeros(0, dtype=torch.int64))


def test_training_without_a_development_part_needs_milestones(table, small_networks):
    """Else it would end in an error of torch's, after an epoch; or choose on the test."""
    with pytest.raises(InputError, match="Give milestones"):
        reproduce(jalal2020_retrained(table), "no attention", TINY)


# Training


def test_the_schedule_of_the_paper():
    """Else the full run would not be the paper's, or not what the chapter says where the paper is silent."""
    assert dataclasses.asdict(Schedule()) == {
        "epochs": 60,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "plateau": 4,
        "patience": 15,
        "milestones": None,
        "longest": None,
        "most_updates": None,
    }


def seen_by_fit(monkeypatch, fold, task, name, schedule, seed=0):
    """What `train` hands to `fit`, with the batches of an epoch."""
    seen = {}

    def instead(model, epoch_of, make_optimiser, **options):
        optimiser = make_optimiser(model.parameters())
        pairs = list(epoch_of(torch.Generator().manual_seed(0)))
        seen.update(options, model=model, optimiser=optimiser, sizes=sorted(len(labels) for _, labels in pairs))
        seen["schedule"] = options["make_schedule"](optimiser)
        seen["examples"] = [
            (sequence[:length], target.item())
            for (padded, lengths), labels in pairs
            for sequence, length, target in zip(padded, lengths, labels, strict=True)
        ]

    monkeypatch.setattr(paper, "fit", instead)
    train(fold, "a checkpoint", task, name, schedule, seed, watch="a watch")
    return seen


@pytest.mark.parametrize("name", ["MOMA", "CNN_LSTM"])
def test_training_hears_the_training_speakers_only(task, name, monkeypatch, small_networks):
    """Else a tested speaker would be in training; or development be cropped, or the optimiser not be the paper's."""
    schedule = Schedule(5, 8, 3e-4, 3, 6, None, 0.1251, 9)
    [fold] = task.folds
    seen = seen_by_fit(monkeypatch, fold, task, name, schedule, 4)
    wanted = {"epochs": 5, "patience": 6, "most_updates": 9, "seed": 4, "clip": 5.0}
    wanted |= {"checkpoint": "a checkpoint", "watch": "a watch"}
    assert {key: seen[key] for key in wanted} == wanted
    assert type(seen["optimiser"]) is torch.optim.Adam and seen["optimiser"].defaults["lr"] == 3e-4
    assert seen["optimiser"].defaults["weight_decay"] == 0
    torch.manual_seed(4)
    begun = MODELS[name]().state_dict()
    assert all(torch.equal(value, begun[key]) for key, value in seen["model"].state_dict().items())
    plateau = seen["schedule"]
    assert type(plateau) is ReduceLROnPlateau and plateau.mode == "max" and plateau.threshold == 0
    assert (plateau.patience, plateau.factor) == (3, 0.1)

    parts = 3 if name == "CNN_LSTM" else 0  # the second halves of three long utterances
    assert sum(seen["sizes"]) == 27 + parts and max(seen["sizes"]) == 8
    rows = np.repeat(fold.train, [len(each) for each in heard_of(name, task.table.iloc[fold.train])])
    whole = [part for each in heard_of(name, task.table.iloc[fold.train]) for part in each]
    assert min(map(len, whole)) < 13 < max(map(len, whole))
    cropped = {
        part[start : start + 13].numpy().tobytes(): row
        for part, row in zip(whole, rows, strict=True)
        for start in range(max(1, len(part) - 12))
    }
    found = [cropped[sequence.numpy().tobytes()] for sequence, _ in seen["examples"]]
    assert max(len(sequence) for sequence, _ in seen["examples"]) == 13
    assert sorted(found) == sorted(rows) != found
    assert [label for _, label in seen["examples"]] == task.labels[found].tolist()

    score = seen["score"]
    assert score.func is minus_loss
    unheard = [part for each in heard_of(name, task.table.iloc[fold.validation]) for part in each]
    assert all(torch.equal(one, other) for one, other in zip(score.keywords["inputs"], unheard, strict=True))
    assert len(unheard) == len(score.keywords["labels"]) == 9 + parts // 3


def test_milestones_wait_for_nothing(task, monkeypatch, small_networks):
    """Else retraining would depend on development, or its rate fall elsewhere than it should."""
    heard = []
    own = heard_of
    monkeypatch.setattr(paper, "heard_of", lambda name, rows: heard.append(rows["speaker"].unique()) or own(name, rows))
    schedule = dataclasses.replace(TINY, milestones=(2, 5), patience=1)
    seen = seen_by_fit(monkeypatch, task.folds[0], task, "MOMA", schedule)
    assert seen["score"] is None and seen["patience"] is None
    assert [{*speakers} for speakers in heard] == [{"s0", "s1", "s2"}]
    rates = []
    for _ in range(7):
        rates.append(seen["optimiser"].param_groups[0]["lr"])
        seen["optimiser"].step()
        seen["schedule"].step()
    assert type(seen["schedule"]) is MultiStepLR
    assert rates == pytest.approx([1e-4] * 2 + [1e-5] * 3 + [1e-6] * 2)


def test_longest_may_be_more_than_there_is(task, monkeypatch, small_networks):
    """Else short utterances would be stretched, or None mean nothing."""
    [fold] = task.folds
    for longest in (None, 50.0):
        seen = seen_by_fit(monkeypatch, fold, task, "MOMA", Schedule(longest=longest))
        assert max(len(sequence) for sequence, _ in seen["examples"]) == 1 + (LONG - 400) // 160


@pytest.fixture
def scripted(monkeypatch):
    """A function that says what the score of each epoch will be, whatever is learned."""

    def script(*scores):
        left = iter(scores)
        monkeypatch.setattr(paper, "minus_loss", lambda model, inputs, labels: next(left))

    return script


def test_the_rate_falls_after_a_plateau_and_the_best_epoch_stays(task, small_networks, scripted):
    """Else the plateau would be waited for too long, or the last epoch be tested instead of the best."""
    schedule = dataclasses.replace(TINY, epochs=9, plateau=1, patience=3, most_updates=None, learning_rate=0.01)
    scripted(-3, -2, -2, -4, -1, -5, -5, -5, -0.5)
    states = []
    keep = lambda history: states.append(history[-1]["score"])  # noqa: E731
    record, trained = reproduce(task, "layer 1 only", schedule, watch=keep)
    [fold] = record.folds
    assert states == [-3, -2, -2, -4, -1, -5, -5, -5] and fold["best_epoch"] == 5  # three without a better one: over
    assert fold["learning_rates"] == pytest.approx([0.01] * 4 + [0.001] * 3 + [0.0001])
    scripted(-3, -2, -2, -4, -1)
    until = dataclasses.replace(schedule, epochs=5)
    [best], [last] = trained.values(), reproduce(task, "layer 1 only", until)[1].values()
    assert all(torch.equal(value, last.state_dict()[key]) for key, value in best.state_dict().items())


def test_what_is_kept_scores_what_the_best_epoch_scored(task, small_networks):
    """Else development would be scored on other utterances than are answered for, or in training mode."""
    schedule = Schedule(epochs=6, batch_size=8, learning_rate=0.1, longest=0.1)
    seen = []
    record, trained = reproduce(task, "MOMA", schedule, watch=lambda history: seen.append(history[-1]["score"]))
    [network] = trained.values()
    assert not network.training
    assert minus_loss(network, *examples("MOMA", task, task.folds[0].validation)) == pytest.approx(max(seen), rel=1e-5)
    assert record.folds[0]["best_epoch"] == 1 + int(np.argmax(seen))


def record_of(predicted, model="MOMA", labels=(0, 1, 2, 3), code=None, seed=0, protocol="jalal2020", **more):
    """A record of four tested utterances of two speakers."""
    who = {"utterance_id": list("abcd"), "speaker": list("aabb")}
    fold = {"name": "s4", **who, "label": list(labels), "predicted": list(predicted)} | more
    source = "baselines.functionals_svm" if "SVM" in model else "papers.jalal2020.reproduce"
    about = {"protocol": protocol, "classes": [*protocols.FOUR_EMOTIONS], "settings": {}, "seed": seed}
    about |= {"code": code or results.code_hash(source, protocol), "environment": {}, "date": ""}
    return results.Record(model, source, "emotional", folds=[fold], **about)


@pytest.mark.parametrize(
    ("rates", "best", "epochs", "milestones"),
    [
        ([1e-4] * 3, 3, 3, ()),  # never fell
        ([1e-4] * 3, 1, 1, ()),
        ([1e-4, 1e-4, 1e-5, 1e-5], 4, 4, (2,)),  # fell before the best epoch
        ([1e-4, 1e-4, 1e-5], 3, 3, (2,)),  # right before it
        ([1e-4, 1e-4, 1e-5, 1e-5], 2, 2, ()),  # after it only
        ([1e-4, 1e-5, 1e-5, 1e-6, 1e-6], 5, 5, (1, 3)),  # twice
        ([1e-4, 1e-5, 1e-5, 1e-6, 1e-6], 3, 3, (1,)),  # once before, once after
    ],
)
def test_same_steps(rates, best, epochs, milestones):
    """Else a network would be retrained longer than the one that was chosen, or with other rates."""
    schedule = Schedule(epochs=60, batch_size=5, longest=2.0, plateau=7)
    found = same_steps(schedule, record_of([0] * 4, learning_rates=rates, best_epoch=best))
    assert found == dataclasses.replace(schedule, epochs=epochs, milestones=milestones)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["milestones"] == [*milestones]


def test_retraining_has_the_rates_of_the_run_before_it(table, task, small_networks, scripted):
    """Else the retrained network would take other steps; or its record claim a development part that it has not."""
    schedule = dataclasses.replace(TINY, epochs=12, plateau=1, patience=5, most_updates=None)
    scripted(1, 2, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0)
    chosen, _ = reproduce(task, "two blocks", schedule)
    again = same_steps(schedule, chosen)
    assert (again.epochs, again.milestones) == (8, (4, 7))
    whole = jalal2020_retrained(table)
    record, _ = reproduce(whole, "two blocks", again)
    [before], [after] = chosen.folds, record.folds
    assert after["learning_rates"] == before["learning_rates"][:8]
    assert after["updates"] == 8 * 5 and before["updates"] == 12 * 4  # 36 and 27 utterances in batches of 8
    assert "best_epoch" not in after and after["utterance_id"] == before["utterance_id"]


def test_training_learns_melodies(task, small_networks):
    """Else a network could be trained for a night and answer by chance."""
    record, _ = reproduce(task, "MOMA", Schedule(epochs=15, batch_size=8, learning_rate=0.02))
    rows = record.predictions()
    assert uar(rows["label"], rows["predicted"]) > 0.6


# Records


@pytest.mark.parametrize("name", ["MOMA", "CNN_LSTM"])
def test_answers(task, name, small_networks):
    """Else an utterance would get the mean of another one's parts, or development stand under test."""
    [fold], model = task.folds, MODELS[name]()
    found = answers(model, fold, task, name)
    assert found.keys() == {"scores", "validation"}
    for rows, part in ((fold.test, found), (fold.validation, found["validation"])):
        assert part["scores"].shape == (9, 4)
        for row, scores in zip(rows, part["scores"], strict=True):
            [heard] = heard_of(name, task.table.iloc[[row]])
            with torch.no_grad():
                chances = [model(pad([part])).double().softmax(-1)[0].numpy() for part in heard]
            np.testing.assert_allclose(scores, np.mean(chances, axis=0), atol=1e-5)


def test_answers_where_nothing_is_chosen_on(table, small_networks):
    """Else a network that was trained on everything could not be tested."""
    task = jalal2020_retrained(table)
    for name in ("MOMA", "CNN_LSTM"):
        found = answers(MODELS[name](), task.folds[0], task, name)
        assert found["scores"].shape == (9, 4) and not len(found.get("validation") or {})


def test_a_record_answers_for_both_parts(task, small_networks):
    """Else nobody could see how well a network did on what it was chosen on."""
    record, trained = reproduce(task, "MOMA", TINY, seed=3)
    [fold] = task.folds
    assert list(trained) == [fold.name] and record.is_current() and record.seed == 3
    assert (record.model, record.source, record.protocol) == ("MOMA", "papers.jalal2020.reproduce", "jalal2020")
    assert record.settings == dataclasses.asdict(TINY) | {"milestones": None}
    for rows, part in ((fold.test, "test"), (fold.validation, "validation")):
        seen = record.on(part=part).predictions()
        assert seen["utterance_id"].tolist() == task.table["utterance_id"].iloc[rows].tolist()
        assert seen["label"].tolist() == task.labels[rows].tolist()


def test_a_retrained_record_has_no_development(table, small_networks):
    """Else the table would show a score on utterances that were trained on; or the run end in an error."""
    record, _ = reproduce(jalal2020_retrained(table), "CNN_LSTM", dataclasses.replace(TINY, milestones=(1,)))
    assert len(record.predictions()) == 9 and record.folds[0]["learning_rates"] == pytest.approx([1e-4])
    with pytest.raises(InputError, match="does not hold: validation"):
        record.on(part="validation")


def test_chosen_on_the_test(table, small_networks):
    """Else what choosing on the test is worth would be measured on something else."""
    task = leaky_jalal2020_chosen_on_test(table)
    record, _ = reproduce(task, "MOMA", TINY)
    assert record.folds[0]["best_epoch"] >= 1
    pd.testing.assert_frame_equal(record.predictions(), record.on(part="validation").predictions())


def test_seeds_give_other_networks(task, small_networks):
    """Else three seeds would be one."""
    one, other, again = (reproduce(task, "MOMA", TINY, seed=seed)[0] for seed in (0, 1, 0))
    assert one.folds[0]["scores"] == again.folds[0]["scores"] != other.folds[0]["scores"]


def test_a_finished_run_is_not_trained_again(task, tmp_path, monkeypatch, small_networks):
    """Else a second look would cost another night, or show other weights than were tested."""
    record, trained = reproduce(task, "five blocks", TINY, folder=tmp_path)
    monkeypatch.setattr(paper, "train", lambda *_, **__: pytest.fail("trained again"))
    again, found = reproduce(task, "five blocks", TINY, folder=tmp_path)
    assert without_times(again) == without_times(record) and again.settings == record.settings
    [before], [after] = trained.values(), found.values()
    assert not after.training
    for name, weights in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], weights, rtol=0, atol=0)
    for other in ({"schedule": dataclasses.replace(TINY, plateau=5)}, {"seed": 1}, {"name": "two blocks"}):
        with pytest.raises(pytest.fail.Exception):
            reproduce(**{"task": task, "name": "five blocks", "schedule": TINY, "folder": tmp_path} | other)


def test_a_stopped_run_goes_on(task, tmp_path, small_networks):
    """Else a run that was killed would end in other weights than one that was not."""
    schedule = dataclasses.replace(TINY, epochs=4, most_updates=None, plateau=0, learning_rate=0.05)

    def stop(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(task, "MOMA", schedule, folder=tmp_path, watch=stop)
    epochs = []
    record, trained = reproduce(task, "MOMA", schedule, folder=tmp_path, watch=lambda h: epochs.append(len(h)))
    assert epochs == [3, 4] and not list(tmp_path.glob("*.checkpoint"))
    expected, whole = reproduce(task, "MOMA", schedule)
    for key in ("scores", "learning_rates", "best_epoch"):
        assert record.folds[0][key] == expected.folds[0][key]
    [one], [other] = trained.values(), whole.values()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


# The table


def test_published():
    """Else the numbers beside ours would not be the paper's."""
    assert PUBLISHED.to_dict("index") == {
        name: pytest.approx({"UA": ua, "WA": wa}, nan_ok=True)
        for name, ua, wa in [
            ("Factor analysis", np.nan, 56.1),
            ("CNN_LSTM", 59.4, np.nan),
            ("CNN_RecCap", 58.2, np.nan),
            ("CNN_GRU-SeqCap", 59.7, np.nan),
            ("Attention pool", 71.8, np.nan),
            ("Convolutional self-attention", 76.3, 68.8),
            ("Multimodal attention", 78.0, np.nan),
            ("MOMA", 80.5, 74.8),
        ]
    }


def test_student_by_hand():
    """Else the interval would be that of a normal law, of the values and not of their mean, or of one side."""
    mean, half = student([1.0, 2.0, 6.0])
    assert mean == 3.0 and half == pytest.approx(4.302653 * np.sqrt(7 / 3), rel=1e-6)
    assert student([5.0, 5.0]) == (5.0, 0.0)


@many
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=9))
def test_student_is_scipys(values):
    """Else a table over seeds would show an interval that nobody else gets."""
    mean, half = student(values)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error) if error else (mean, mean)
    assert (mean - half, mean + half) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_over_seeds():
    """Else one seed would be shown for three, or a number of earlier code look like one of today's."""
    labels = (0, 0, 1, 2)
    runs = [
        record_of(predicted, labels=labels, seed=n) for n, predicted in enumerate([labels, (0, 0, 1, 1), (0, 1, 0, 0)])
    ]
    # Accuracies of 100, 75 and 25 %; recalls of 1, 1, 1 and 1, 1, 0 and 0.5, 0, 0.
    assert over_seeds(runs, "overall_accuracy") == "66.7 ± 94.9"
    assert over_seeds(runs, "uar") == "61.1 ± 104.2"
    assert over_seeds(runs[1:2], "overall_accuracy") == runs[1].shown("overall_accuracy") == "75.0 [30, 95]"
    earlier = record_of(labels, labels=labels, code="earlier")
    assert over_seeds([earlier, *runs[1:]], "uar") == "61.1 ± 104.2 †"
    assert over_seeds([earlier], "uar") == "100.0 †"


def test_the_results_table():
    """Else runs of two protocols or models would be averaged, or a column hold the other score."""
    labels = (0, 0, 1, 2)
    again = {"labels": labels, "protocol": "jalal2020_retrained"}
    records = [record_of(labels, labels=labels), record_of((0, 1, 0, 0), labels=labels, seed=1)]
    records += [record_of((0, 0, 0, 0), **again), record_of(labels, "eGeMAPS + linear SVM", labels)]
    records += [record_of((0, 0, 1, -1), labels=(0, 0, 1, -1), model="CNN_LSTM")]
    found = results_table(records)
    assert found.index.names == ["corpus", "protocol", "model"]
    assert [*found.columns] == ["tested", "seeds", "accuracy", "UAR"]
    rows = {key[1:]: row for key, row in zip(found.index, found.itertuples(index=False, name=None), strict=True)}
    assert {key[0] for key in found.index} == {"emotional"}
    assert rows.pop(("jalal2020", "MOMA")) == (
        4,
        2,
        over_seeds(records[:2], "overall_accuracy"),
        over_seeds(records[:2], "uar"),
    )
    assert rows.pop(("jalal2020_retrained", "MOMA")) == (4, 1, "50.0 [15, 85]", "33.3")
    assert rows.pop(("jalal2020", "eGeMAPS + linear SVM")) == (4, 1, "100.0 [51, 100]", "100.0")
    assert rows.pop(("jalal2020", "CNN_LSTM"))[:2] == (3, 1) and not rows


def test_a_table_of_nothing():
    """Else a lone notebook without records would end in an error of pandas'."""
    found = results_table([])
    assert found.empty and [*found.index.names] == ["corpus", "protocol", "model"]


class Flat(nn.Module):
    """In place of chapter 1's network: a mean over time and a linear layer."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(400, 4)

    def forward(self, spectrograms):
        return self.classify(spectrograms.float().mean(2))


def test_recompute_runs_all_of_the_table_and_goes_on(table, tmp_path, monkeypatch, small_networks):
    """Else a system would be missing, retrained with other steps, or all be done again."""
    rng = np.random.default_rng(5)
    monkeypatch.setattr(baselines, "extract", lambda table, _: [rng.normal(size=88) for _ in range(len(table))])
    monkeypatch.setattr(li2018, "make_model", lambda name: Flat())
    pooling = li2018.Schedule(epochs=1, batch_size=16, most_updates=1)
    job = {"schedule": TINY, "pooling": pooling, "seeds": (0, 1)}
    records = recompute(table, tmp_path, **job)
    found = [(record.model, record.protocol, record.seed) for record in records]
    assert len({*found}) == len(found) == 2 + 2 * 6
    expected = [("eGeMAPS + linear SVM", protocol, 0) for protocol in ("jalal2020", "jalal2020_retrained")]
    for seed in (0, 1):
        for name in ("MOMA", "CNN_LSTM"):
            expected += [(name, protocol, seed) for protocol in ("jalal2020", "jalal2020_retrained")]
        expected += [("MOMA", "leaky_jalal2020_chosen_on_test", seed)]
        expected += [("CNN_TF_Att.pooling", "jalal2020_retrained", seed)]
    assert sorted(found) == sorted(expected) and {record.model for record in records} == {*SYSTEMS}
    of = dict(zip(found, records, strict=True))
    for name in ("MOMA", "CNN_LSTM"):
        chosen, again = (of[name, protocol, 1] for protocol in ("jalal2020", "jalal2020_retrained"))
        assert again.settings == json.loads(json.dumps(dataclasses.asdict(same_steps(TINY, chosen))))
    shown = results_table(records)
    assert len(shown) == 8 and sorted(shown["seeds"]) == [1, 1, *[2] * 6]

    for module in (paper, li2018):
        monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("trained again"))
    again = recompute(table, tmp_path, **job)
    assert [without_times(record) for record in again] == [without_times(record) for record in records]


def test_recompute_as_the_paper_by_default(table, monkeypatch):
    """Else the full run would take another schedule, fewer seeds, or another chapter's network."""
    asked, chosen = [], record_of([0] * 4, learning_rates=[1e-4, 1e-5], best_epoch=2)
    monkeypatch.setattr(paper, "functionals_svm", lambda task, folder: asked.append((task.protocol, folder)))
    monkeypatch.setattr(paper, "reproduce", lambda task, name, schedule, seed, folder: asked.append(
        (task.protocol, name, schedule, seed, folder)) or (chosen, {}))  # fmt: skip
    monkeypatch.setattr(li2018, "paper_schedule", lambda task: ("chapter 1's", task.protocol))
    monkeypatch.setattr(li2018, "reproduce", lambda task, name, schedule, seed, folder: asked.append(
        (task.protocol, name, schedule, seed, folder)) or (chosen, {}))  # fmt: skip
    recompute(table, "runs")
    again = Schedule(epochs=2, milestones=(1,))
    expected = [("jalal2020", "runs"), ("jalal2020_retrained", "runs")]
    for seed in (0, 1, 2):
        for name in ("MOMA", "CNN_LSTM"):
            expected += [
                ("jalal2020", name, Schedule(), seed, "runs"),
                ("jalal2020_retrained", name, again, seed, "runs"),
            ]
        expected += [("leaky_jalal2020_chosen_on_test", "MOMA", Schedule(), seed, "runs")]
        steps = ("chapter 1's", "jalal2020_retrained")
        expected += [("jalal2020_retrained", "CNN_TF_Att.pooling", steps, seed, "runs")]
    assert asked == expected
    asked.clear()
    recompute(table, "runs", TINY, "mine", seeds=(7,))
    assert {(name, *more) for _, name, *more in asked if more} == {
        *((name, steps, 7, "runs") for name in ("MOMA", "CNN_LSTM") for steps in (TINY, same_steps(TINY, chosen))),
        ("CNN_TF_Att.pooling", "mine", 7, "runs"),
    }


# What it attends to


def test_residual_share_by_hand():
    """Else the chapter would say how large something else is."""
    states = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    weights = torch.tensor([[0.25, 0.75]])  # Y' has lengths 0.75 and 3, Y 3 and 4
    model = nn.Module()
    model.encoder, model.first = Always(states[None]), "softmax"
    model.layer_1 = Always((weights[..., None] * states, weights))
    share = np.sqrt(0.75**2 + 3**2) / 5
    assert residual_share(model, torch.zeros(2, 23)) == pytest.approx(share) and not model.training
    model.first = "mean one"
    assert residual_share(model, torch.zeros(2, 23)) == pytest.approx(2 * share)


class Always(nn.Module):
    """A layer that gives what it was made with."""

    def __init__(self, value):
        super().__init__()
        self.value, self.unused = value, nn.Parameter(torch.zeros(1))

    def forward(self, *_):
        return self.value


@pytest.mark.parametrize("frames", [1, 50, 300])
def test_residual_share_at_the_start(frames):
    """Else the chapter's fifth of a per cent would be a mistake of its own."""
    torch.manual_seed(0)
    model, [heard] = MOMA(), noise(frames)
    model.encoder = BLSTM(23, 512)  # one layer is faster
    assert residual_share(model, heard) == pytest.approx(1 / frames, rel=0.05)
    model.first = "mean one"
    assert residual_share(model, heard) == pytest.approx(1, rel=0.05)


@every_variant
def test_attention_over_time(options):
    """Else a picture would show the weights of another utterance, or of a network in training."""
    model, [heard, other] = small(**options), noise(12, 30)
    found = attention_over_time(model.train(), heard)
    assert isinstance(found, np.ndarray) and found.shape == (2, 12) and not model.training
    with torch.no_grad():
        _, first, second = model.listen(pad([heard, other]))
    close(found, torch.stack([first[0, :12], second[0, :12]]))
    assert found[0].sum() == pytest.approx(1, rel=1e-5)
    mixed = model.gammas.sum().item() if len(model.layer_2) else 1
    assert found[1].sum() == pytest.approx(mixed, rel=1e-5)


def test_who_says():
    """Else an utterance would be missed for a capital or a full stop, or one that says more be taken."""
    says = [
        "Yeah. I don't know.",
        "yeah i don't know",
        "YEAH, I DON'T KNOW!",
        "Yeah.",
        pd.NA,
        "I don't know. Yeah.",
        "",
    ]
    says += ["Oh yeah. I don't know.", "Yeah. I do not know.", " Yeah...  I don't -- know? "]
    table = pd.DataFrame({"transcript": pd.array(says, dtype="string"), "utterance_id": [*"abcdefghij"]})
    table = table.set_index(np.arange(20, 30))
    found = who_says(table, "Yeah. I don't know")
    assert found["utterance_id"].tolist() == ["a", "b", "c", "j"] and found.index.tolist() == [20, 21, 22, 29]
    assert who_says(table, "yeah")["utterance_id"].tolist() == ["d"]
    assert who_says(table, "Nobody").empty and who_says(table.iloc[:0], "Yeah").empty
    assert who_says(table.assign(transcript=pd.NA), "Yeah").empty


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """The small synthetic corpus."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return corpora.load("synthetic")


def test_the_synthetic_corpus_says_what_the_figures_show(synthetic):
    """Else the chapter would show its figures for another utterance, or words where others are spoken."""
    said = who_says(synthetic, "Yeah. I don't know.")
    assert 1 <= len(said) < 10 and {*said["transcript"]} == {"Yeah. I don't know."}
    row = said.iloc[0]
    words, why = spoken_in(row, "wdseg")
    assert [word for *_, word in words] == ["YEAH", "I", "DON'T", "KNOW"] and why == ""
    phones, why = spoken_in(row, "phseg")
    assert len(phones) > len(words) and why == ""
    for spans in (words, phones):
        times = np.array([span[:2] for span in spans])
        assert (times[:, 0] < times[:, 1]).all() and (times[1:, 0] >= times[:-1, 1]).all()
        assert times[0, 0] > 0 and times[-1, 1] < row["duration"]
        assert not {"SIL", "<s>", "</s>", "<sil>"} & {label for *_, label in spans}
    assert (words[0][0], words[-1][1]) == pytest.approx((phones[0][0], phones[-1][1]), abs=0.011)


def test_an_alignment_is_missing(synthetic, table, tmp_path):
    """Else the figure would end in an error where a corpus knows no words."""
    row, wav = synthetic.iloc[0], tmp_path / "Session1" / "sentences" / "wav" / "dialogue" / "a.wav"
    phones = alignment_path(wav, "phseg")
    phones.parent.mkdir(parents=True)
    phones.write_bytes(alignment_path(row["path"], "phseg").read_bytes())
    moved = row.copy()
    moved["path"] = str(wav)
    assert spoken_in(moved, "phseg") == spoken_in(row, "phseg") != ([], "")
    words, why = spoken_in(moved, "wdseg")  # as one utterance of IEMOCAP
    assert words == [] and why == "has no .wdseg alignment: without words or phones in time"
    for path in (table["path"][0], "a.wav", "/a.wav"):  # in deep and in shallow folders
        spans, why = spoken_in(pd.Series({"path": path}), "phseg")
        assert spans == [] and ".phseg" in why


@pytest.mark.parametrize("frames", [1, 2, 300])
def test_spread(frames):
    """Else the number that stands for the paper's claim would have another scale."""
    weights = np.full(frames, 0.01, np.float32)
    assert spread(weights) == pytest.approx(1, rel=1e-5)
    weights[1:] = 0
    assert spread(weights) == pytest.approx(1 / frames, rel=1e-5)
    weights[1:] = -3  # as a negative gamma makes them
    assert spread(weights) == pytest.approx(1 / frames, rel=1e-5)


def test_spread_by_hand():
    """Else the entropy would be taken of weights that do not sum to one, or to another base."""
    weights = np.array([0.6, 0.3, 0.3, -0.2])
    expected = np.exp(-(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))) / 4
    assert spread(weights) == pytest.approx(expected) and spread(7 * weights) == pytest.approx(expected)
    assert weights[3] == -0.2


def test_coverage_by_hand():
    """Else frames would be counted for the phone before or after theirs, or the level be another than half."""
    # The middles of the frames: 12.5, 22.5, 32.5, ... 102.5 ms. The mean of the weights, the negative being 0, is 1.
    weights = np.array([0.9, 0.2, 0.9, 0.0, 2.0, -5.0, 0.3, 4.0, 0.0, 1.7])
    phones = [
        (0.01, 0.03, "A"),  # 0.9 and 0.2: heard
        (0.03, 0.05, "B"),  # 0.9 and 0: not heard, though a frame of it is
        (0.05, 0.07, "C"),  # 2 and what counts as 0: heard
        (0.07, 0.0825, "D"),  # 0.3, for it ends where a middle lies: not heard
        (0.0825, 0.0925, "E"),  # 4, for it begins there: heard
        (0.09, 0.1, "F"),  # 0: not heard
        (0.103, 0.104, "G"),  # between two middles: not counted
        (0.20, 0.30, "H"),  # after the end: not counted
    ]
    assert coverage(weights, phones) == pytest.approx(3 / 6)
    assert coverage(7 * weights, phones) == pytest.approx(3 / 6) and weights[5] == -5
    assert coverage(weights, phones[3:4]) == 0 and coverage(weights, phones[:1]) == 1
    assert coverage(np.ones(10), phones) == 1


def test_coverage_at_half_of_the_mean():
    """Else "at least half" would be more than half."""
    weights = np.array([1.0, 3.0, 2.0, 2.0])  # a mean of 2
    assert coverage(weights, [(0.01, 0.02, "A")]) == 1
    assert coverage(weights - np.array([0.01, 0, 0, 0]), [(0.01, 0.02, "A")]) == 0
