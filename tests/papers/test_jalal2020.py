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
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau

from serlib import baselines, corpora, protocols, runs
from serlib.audio import equal_parts, read_row
from serlib.corpora.iemocap import alignment_path
from serlib.errors import InputError
from serlib.features import extract, log_mel
from serlib.papers import jalal2020 as paper
from serlib.papers import li2018
from serlib.papers.jalal2020 import (
    MODELS,
    MOMA,
    PUBLISHED,
    SYSTEMS,
    VARIANTS,
    ContextGatedAttention,
    FrontEnd,
    Schedule,
    answers,
    attention_over_time,
    begin,
    coverage,
    crops,
    development_loss,
    examples,
    inputs_of,
    recompute,
    residual_share,
    results_table,
    same_steps,
    spectrogram_parts,
    spoken_in,
    spread,
    standardised,
    train,
    who_says,
)
from serlib.protocols import jalal2020, jalal2020_retrained, leaky_jalal2020_chosen_on_test
from serlib.recurrent import BLSTM
from serlib.sequences import mask_of, pad, padded_batches

RNG = np.random.default_rng(0)
few = settings(max_examples=10, deadline=None, database=None, derandomize=True)
many = settings(max_examples=25, deadline=None, database=None, derandomize=True)
some_lengths = st.lists(st.integers(1, 30), min_size=1, max_size=5)
# The arguments of MOMA behind each name of the ablation.
OPTIONS = {name: getattr(MODELS[name], "keywords", {}) for name in VARIANTS}
every_variant = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


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
def test_the_attention_by_loops(lengths, small):
    """Else a mean, a gate or a softmax would be another than the paper's, or go over another axis."""
    attend, sequences = small.attention(), noise(*lengths, size=16)
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
@given(some_lengths, st.integers(1, 4), st.sampled_from([1.0, -1e3, 1e6]))
def test_padding_reaches_no_attention(small, lengths, more, loud):
    """Else what stands after an end would shift the mean, the weights, or what is learned from them."""
    torch.manual_seed(0)
    attend, (features, lengths) = small.attention(), pad(noise(*lengths, size=16))
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


# MOMA


def test_the_parameters_are_the_papers():
    """Else the network would not be the paper's, or one part make up for another's size."""
    model = MOMA()
    assert count(model) == 10_603_019
    parts = {name: count(part) for name, part in model.named_children()} | {"gammas": model.gammas.numel()}
    expected = {"encoder": 8_499_200, "layer_1": 262_529, "layer_2": 3 * 262_529, "gammas": 3}
    assert parts == expected | {"project": 1_049_600, "classify": 4100, "front_end": 0}
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
def test_the_equations_by_loops(options, small):
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


def test_gammas_are_drawn_and_learned(small):
    """Else every network would begin with the same mixture, or keep it; or fixed gammas be learned."""
    drawn = []
    for seed in range(20):
        torch.manual_seed(seed)
        drawn.append(small().gammas.tolist())
    drawn = np.array(drawn)
    assert drawn.shape == (20, 3) and (drawn >= 0).all() and (drawn < 1).all()
    assert len(np.unique(drawn)) == 60 and abs(drawn.mean() - 0.5) < 0.15 and drawn.std() > 0.2
    for options, learned in (({}, True), (OPTIONS["fixed gammas"], False)):
        model = small(**options)
        before, weights = model.gammas.clone(), model.classify.weight.clone()
        assert learned or torch.equal(before, torch.full((3,), 1 / 3))
        adam = torch.optim.Adam(model.parameters(), lr=0.01)
        cross_entropy(model(pad(noise(5, 3))), torch.tensor([0, 1])).backward()
        adam.step()
        assert ((model.gammas != before) == learned).all() and (model.classify.weight != weights).all()


def test_the_longest_utterance_of_iemocap():
    """Else its 34 seconds would end in an error or NaN, or change what is answered to the short one beside them."""
    model, waveform = MOMA().eval(), torch.randn(400 + 3411 * 160).numpy()
    long, short = (model.front_end(log_mel(sound)) for sound in (waveform, waveform[-400 - 4 * 160 :]))
    assert (len(long), len(short)) == (3412, 5)
    with torch.no_grad():
        together, alone = model(pad([long, short])), model(pad([short]))
    assert torch.isfinite(together).all() and (together[0] - together[1]).abs().max() > 1e-3
    close(together[1:], alone)


def test_no_variant_is_taken_for_another(small):
    """Else a checkpoint of one would go on as another: `fit` knows a network by how it is printed."""
    assert len({str(small(**options)) for options in OPTIONS.values()}) == len(OPTIONS) == 9


# What is heard


def bands(frames):
    """Features `(frames, 23)` whose bands differ in mean and deviation."""
    drawn = np.random.default_rng(frames).normal(size=(frames, 23))
    return (drawn * np.logspace(-2, 2, 23) + np.arange(23)).astype(np.float32)


@pytest.mark.parametrize("frames", [2, 7, 453])
def test_standardised_is_scikit_learns(frames):
    """Else a band would be scaled by the others, or over something else than the utterance."""
    features = bands(frames)
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


def averages(mel, averaged):
    """The means of groups of so many frames; the last may have fewer."""
    return np.array([mel[start : start + averaged].astype(float).mean(0) for start in range(0, len(mel), averaged)])


def front_end_of(averaged, training=None):
    """A front end, and scikit-learn's scaler, which has seen what that was given to measure."""
    front, scaler = FrontEnd(), StandardScaler()
    front.averaged.fill_(averaged)
    if training is not None:
        front.measure(iter(training))
        scaler.fit(np.concatenate([averages(mel, averaged) for mel in training]))
    return front, scaler


@pytest.mark.parametrize("averaged", [1, 3, 4])
@pytest.mark.parametrize("frames", [1, 14, 453])
def test_the_front_end_is_scikit_learns(frames, averaged):
    """Else frames would be lost, a last group have a mean of more than it holds, or a band the scale of another."""
    heard, training = bands(frames), [2 * bands(each) for each in (31, 1, 200)]
    by_itself, scaler = front_end_of(averaged)
    expected = scaler.fit_transform(averages(heard, averaged))
    assert by_itself(heard).dtype == torch.float32 and by_itself(heard).shape == (-(-frames // averaged), 23)
    np.testing.assert_allclose(by_itself(heard), expected, atol=2e-4)
    measured, scaler = front_end_of(averaged, training)
    assert measured(heard).dtype == torch.float32
    np.testing.assert_allclose(measured.statistics, [scaler.mean_, scaler.scale_], rtol=1e-5)
    np.testing.assert_allclose(measured(heard), scaler.transform(averages(heard, averaged)), atol=2e-4)


@pytest.mark.parametrize("frames", [1, 453])
@pytest.mark.parametrize("value", [0.0, np.log(1e-10)])
def test_a_band_that_never_changes_in_training(value, frames):
    """Else what is silent above 4 kHz, or a training part of one frame, would be NaN, or its rounding be heard."""
    training = bands(frames)
    training[:, 1] = value
    for averaged in (1, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            front, _ = front_end_of(averaged, [training])
            found = front(training)
        assert found[:, 1].abs().max() < 0.01 and torch.isfinite(front(bands(9))).all()
        assert frames > 1 or not found.any()


def test_one_frame_at_a_time_is_no_change():
    """Else every record of MOMA from before frames were averaged would be one of another network."""
    heard, front = bands(50), FrontEnd()
    assert front.averaged == 1 and np.array_equal(front.average(heard), heard)
    assert torch.equal(front(heard), standardised(heard))


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


@pytest.fixture
def task(table):
    return jalal2020(table)


LONG = 50_000  # samples of what is longer than 3 s
TINY = Schedule(epochs=2, batch_size=8, longest=0.1, most_updates=3)


def run(task, name, schedule):
    """The record of a network."""
    return runs.reproduce(paper.CHAPTER, task, name, schedule)


def test_inputs_of(task, small_networks):
    """Else an utterance would be heard in another one's place, or whole where it is cut."""
    rows = task.table.iloc[[17, 3, 0]]
    sounds, found = [read_row(row) for row in rows.itertuples()], inputs_of(MODELS["MOMA"](), rows)
    assert [len(parts) for parts in found] == [1, 1, 1] and len(sounds[0]) == LONG
    for [part], sound in zip(found, sounds, strict=True):
        assert torch.equal(part, standardised(log_mel(sound)))
    assert found[0][0].shape == (1 + (LONG - 400) // 160, 23)
    for parts, sound in zip(inputs_of(MODELS["CNN_LSTM"](), rows), sounds, strict=True):
        expected = spectrogram_parts(sound)
        assert len(parts) == len(expected) == 1 + (len(sound) == LONG)
        assert all(torch.equal(one, other) for one, other in zip(parts, expected, strict=True))
    model, mels = MODELS["one block"](), [log_mel(sound) for sound in sounds]
    model.front_end, _ = front_end_of(3, mels[:2])
    for [part], mel in zip(inputs_of(model, rows), mels, strict=True):
        assert torch.equal(part, model.front_end(mel)) and len(part) == -(-len(mel) // 3)


@pytest.mark.parametrize(("name", "parts"), [("mean one", 1), ("CNN_LSTM", 2)])
def test_examples_have_a_label_for_every_part(task, name, parts, small_networks):
    """Else the labels after a long utterance would be those of others."""
    network, rows = MODELS[name](), np.array([8, 2, 17, 0])  # two of them long
    sequences, labels = examples(network, task, rows)
    expected = np.repeat(task.labels[rows], [parts, 1, parts, 1])
    assert labels.tolist() == expected.tolist() and labels.dtype == torch.int64
    whole = [part for each in inputs_of(network, task.table.iloc[rows]) for part in each]
    assert all(torch.equal(one, other) for one, other in zip(sequences, whole, strict=True))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("MOMA", {"statistics": "utterance"}, "'training' or None, not 'utterance'"),
        ("CNN_LSTM", {"statistics": "speaker"}, "'training' or None, not 'speaker'"),
        ("CNN_LSTM", {"statistics": "training"}, "CNN_LSTM hears no log-mel features"),
        ("CNN_LSTM", {"averaged": 3}, "CNN_LSTM hears no log-mel features"),
        ("MOMA", {"averaged": 1}, "Two frames or more are averaged"),  # `None` is that: another key, the same run
        ("MOMA", {"averaged": 0}, "Two frames or more are averaged"),
    ],
)
def test_a_front_end_that_cannot_be(task, name, changes, said, small_networks):
    """Else a record would name a setting that its network never had."""
    with pytest.raises(InputError, match=said):
        begin(task, task.folds[0], name, Schedule(**changes), 0)


def test_every_front_end_begins_with_the_same_weights(task, small_networks):
    """Else two ways to standardise would be compared on two networks."""
    changes = ({}, {"statistics": "training"}, {"averaged": 3}, {"statistics": "training", "averaged": 3})
    networks = [begin(task, task.folds[0], "MOMA", Schedule(**each), 5) for each in changes]
    weights = [torch.cat([parameter.flatten() for parameter in network.parameters()]) for network in networks]
    assert all(torch.equal(each, weights[0]) for each in weights)
    found = [(int(each.front_end.averaged), bool(each.front_end.statistics.any())) for each in networks]
    assert found == [(1, False), (1, True), (3, False), (3, True)]


def test_the_statistics_are_of_the_training_part(task, tmp_path, small_networks):
    """Else the scale of what is heard would come from those who are tested, or from those who are chosen on."""
    [fold], schedule = task.folds, dataclasses.replace(TINY, statistics="training", averaged=3)
    soundfile.write(tmp_path / "noise.wav", RNG.normal(0, 0.3, 5000), 16_000)

    def trained(*sides):
        """The statistics, the losses and the scores, where these sides of the fold are noise."""
        table = task.table.copy()
        for side in sides:
            table.loc[getattr(fold, side), "path"] = str(tmp_path / "noise.wav")
        network, history = train(dataclasses.replace(task, table=table), fold, "MOMA", schedule)
        found = network.front_end.statistics.tolist(), [epoch["losses"] for epoch in history]
        return *found, [epoch["score"] for epoch in history]

    expected = trained()
    _, scaler = front_end_of(3, extract(task.table.iloc[fold.train], log_mel))
    np.testing.assert_allclose(expected[0], [scaler.mean_, scaler.scale_], rtol=1e-5)
    assert trained("test") == expected and trained("validation", "test")[:2] == expected[:2]
    assert trained("validation")[2] != expected[2] and trained("train")[0] != expected[0]


def cropped(lengths, steps, generator):
    """What `crops` takes of sequences of these lengths: of each where it starts, and how long it is."""
    sequences = [1000.0 * row + torch.arange(length)[:, None] for row, length in enumerate(lengths)]
    found = {}
    for (padded, kept), rows in crops(sequences, torch.arange(len(lengths)), 4, steps, generator):
        assert len(rows) <= 4
        for sequence, length, row in zip(padded[..., 0], kept.tolist(), rows.tolist(), strict=True):
            start = int(sequence[0]) - 1000 * row
            assert torch.equal(sequence[:length], 1000.0 * row + start + torch.arange(length))  # without a gap
            found[row] = (start, length)
    return [found[row] for row in range(len(lengths))]


@many
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.sampled_from([1, 7, 150]), st.integers(0, 99))
def test_crops_lie_within_their_utterances(lengths, steps, seed):
    """Else a crop would be shorter than it could be, lie over an end, or come with another one's label."""
    found, again = (cropped(lengths, steps, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert found == again  # else a run that was stopped would go on with other crops
    for length, (start, kept) in zip(lengths, found, strict=True):
        assert kept == min(length, steps) and 0 <= start <= length - kept


def test_crops_come_from_anywhere():
    """Else the end of a long utterance would never be heard, or all epochs, or all utterances, hear the same."""
    generator = torch.Generator().manual_seed(0)
    epochs = np.array([cropped([16, 16, 5], 10, generator) for _ in range(300)])[..., 0]
    for long in epochs.T[:2]:
        counts = np.bincount(long, minlength=7)
        assert len(counts) == 7 and counts.min() > 20  # of 43
    assert (epochs[:, 0] != epochs[:, 1]).mean() > 0.7 and not epochs[:, 2].any()


def test_without_steps_nothing_is_cropped():
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
def test_development_loss_is_scikit_learns(utterances, classes, seed):
    """Else an epoch would be chosen by the loss of other labels, or by its opposite; or a missing class stop it."""
    rng = np.random.default_rng(seed)
    heard = [torch.from_numpy(rng.normal(size=(rng.integers(1, 9), 23))).float() for _ in range(utterances)]
    labels = rng.integers(0, classes, utterances)
    scores = np.stack([sequence[0, :4] for sequence in heard]).astype(float)
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = development_loss(Repeats(), heard, torch.from_numpy(labels))
    assert isinstance(found, float)
    assert found == pytest.approx(log_loss(labels, chances, labels=range(4)), rel=1e-4)


def test_training_without_a_development_part_needs_milestones(table, small_networks):
    """Else it would end in an error of torch's, after an epoch; or choose on the test."""
    with pytest.raises(InputError, match="no development part to choose on. Give milestones"):
        run(jalal2020_retrained(table), "no attention", TINY)


# Training


def test_the_schedule_of_the_paper():
    """Else the full run would not be the paper's, or not what the chapter says where the paper is silent."""
    assert dataclasses.astuple(Schedule()) == (60, 32, 1e-4, 4, 15, None, None, None, None, None, None)
    names = ["plateau", "patience", "milestones", "longest", "most_updates", "statistics", "averaged", "minutes"]
    assert [*dataclasses.asdict(Schedule())][3:] == names


def heard_in(seen):
    """The sequences of an epoch, as `train` hands them to `fit`, and their labels."""
    return [
        (sequence[:length], label)
        for (padded, lengths), labels in seen["epoch_of"](torch.Generator().manual_seed(0))
        for sequence, length, label in zip(padded, lengths, labels.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "front"), [("MOMA", (None, None)), ("MOMA", ("training", 3)), ("CNN_LSTM", (None, None))]
)
def test_what_training_is_given(task, name, front, handed, small_networks):
    """Else a part would be learned under another label, or development be cropped, or Adam be another."""
    [fold] = task.folds
    longest = 0.1251 * (front[1] or 1)  # 13 steps, of a frame or of three
    schedule = Schedule(5, 8, 3e-4, 3, 6, None, longest, 9, *front)
    seen = handed(train, task, fold, name, schedule)
    assert {key: seen[key] for key in ("patience", "clip", "minimise")} == {
        "patience": 6,
        "clip": 5.0,
        "minimise": True,
    }
    optimiser = seen["make_optimiser"](seen["model"].parameters())
    assert type(optimiser) is torch.optim.Adam and optimiser.defaults["weight_decay"] == 0
    plateau = seen["make_schedule"](optimiser)
    assert type(plateau) is ReduceLROnPlateau and plateau.mode == "min" and plateau.threshold == 0
    assert (plateau.patience, plateau.factor) == (3, 0.1)

    network = begin(task, fold, name, schedule, 0)
    begun = seen["model"].state_dict()
    assert all(torch.equal(begun[key], value) for key, value in network.state_dict().items())
    whole, labels = examples(network, task, fold.train)
    assert len(whole) == 27 + (3 if name == "CNN_LSTM" else 0)  # the second halves of three long utterances
    assert min(map(len, whole)) < 13 < max(map(len, whole))
    cropped = {
        part[start : start + 13].numpy().tobytes(): number
        for number, part in enumerate(whole)
        for start in range(max(1, len(part) - 12))
    }
    heard = heard_in(seen)
    found = [cropped[sequence.numpy().tobytes()] for sequence, _ in heard]
    assert max(len(sequence) for sequence, _ in heard) == 13 and sorted(found) == [*range(len(whole))] != found
    assert [label for _, label in heard] == labels[found].tolist()
    for longest in (None, 50.0):  # more than there is
        seen = handed(train, task, fold, name, dataclasses.replace(schedule, longest=longest))
        assert max(len(sequence) for sequence, _ in heard_in(seen)) == max(map(len, whole))

    assert seen["score"].func is development_loss
    unheard, labels = examples(network, task, fold.validation)
    assert all(torch.equal(one, other) for one, other in zip(seen["score"].keywords["inputs"], unheard, strict=True))
    assert torch.equal(seen["score"].keywords["labels"], labels)


def test_milestones_wait_for_nothing(task, handed, small_networks):
    """Else retraining would depend on development, or its rate fall elsewhere than it should."""
    schedule = dataclasses.replace(TINY, milestones=(2, 5), patience=1)
    fold = dataclasses.replace(task.folds[0], validation=np.array([10**6]))  # nobody looks
    seen = handed(train, task, fold, "MOMA", schedule)
    assert seen["score"] is None and seen["patience"] is None
    optimiser = seen["make_optimiser"](seen["model"].parameters())
    falls, rates = seen["make_schedule"](optimiser), []
    for _ in range(7):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        falls.step()
    assert type(falls) is MultiStepLR and rates == pytest.approx([1e-4] * 2 + [1e-5] * 3 + [1e-6] * 2)


@pytest.fixture
def scripted(monkeypatch):
    """A function that says what the score of each epoch will be, whatever is learned."""

    def script(*scores):
        left = iter(scores)
        monkeypatch.setattr(paper, "development_loss", lambda model, inputs, labels: next(left))

    return script


def test_the_rate_falls_after_a_plateau_and_the_best_epoch_stays(task, small_networks, scripted):
    """Else the plateau would be waited for too long, or the last epoch be tested instead of the best."""
    schedule = dataclasses.replace(TINY, epochs=9, plateau=1, patience=3, most_updates=None, learning_rate=0.01)
    [fold] = task.folds
    scripted(3, 2, 2, 4, 1, 5, 5, 5, 0.5)
    best, history = train(task, fold, "layer 1 only", schedule)
    assert [epoch["score"] for epoch in history] == [3, 2, 2, 4, 1, 5, 5, 5]  # three without a better one: over
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx([0.01] * 4 + [0.001] * 3 + [0.0001])
    scripted(3, 2, 2, 4, 1)
    last, _ = train(task, fold, "layer 1 only", dataclasses.replace(schedule, epochs=5))
    assert all(torch.equal(value, last.state_dict()[key]) for key, value in best.state_dict().items())


def test_what_is_kept_scores_what_the_best_epoch_scored(task, small_networks):
    """Else development would be scored on other utterances than are answered for, or in training mode."""
    network, history = train(task, task.folds[0], "MOMA", Schedule(epochs=6, learning_rate=0.1, longest=0.1))
    expected = min(epoch["score"] for epoch in history)
    assert development_loss(network, *examples(network, task, task.folds[0].validation)) == pytest.approx(expected)
    assert not network.training


def record_of(predicted, model="MOMA", labels=(0, 1, 2, 3), seed=0, protocol="jalal2020", **more):
    """A record of four tested utterances of two speakers."""
    fold = {"name": "s4", "utterance_id": list("abcd"), "speaker": list("aabb")}
    fold |= {"label": list(labels), "predicted": list(predicted)} | more
    source = "baselines.functionals_svm" if "SVM" in model else "papers.jalal2020"
    about = (model, source, "emotional", protocol, [*protocols.FOUR_EMOTIONS], {}, seed, {}, {"data": ""})
    return runs.Record(*about, folds=[fold])


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
    found = same_steps(schedule, record_of([0] * 4, curve={"learning_rate": rates}, best_epoch=best))
    assert found == dataclasses.replace(schedule, epochs=epochs, milestones=milestones)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["milestones"] == [*milestones]


def test_retraining_has_the_rates_of_the_run_before_it(table, task, small_networks, scripted):
    """Else the retrained network would take other steps; or its record claim a development part that it has not."""
    schedule = dataclasses.replace(TINY, epochs=12, plateau=1, patience=5, most_updates=None)
    scripted(-1, -2, 0, 0, -3, 0, 0, -4, 0, 0, 0, 0)
    chosen = run(task, "two blocks", schedule)
    again = same_steps(schedule, chosen)
    assert (again.epochs, again.milestones) == (8, (4, 7))
    record = run(jalal2020_retrained(table), "two blocks", again)
    [before], [after] = chosen.folds, record.folds
    assert after["curve"]["learning_rate"] == before["curve"]["learning_rate"][:8]
    assert after["updates"] == 8 * 5 and before["updates"] == 12 * 4  # 36 and 27 utterances in batches of 8
    assert before["best_epoch"] == 8 and "best_epoch" not in after and after["utterance_id"] == before["utterance_id"]


# Records


@pytest.mark.parametrize("name", ["MOMA", "CNN_LSTM"])
def test_answers(task, name, small_networks):
    """Else an utterance would get the mean of another one's parts, or development stand under test."""
    [fold], model = task.folds, MODELS[name]()
    found = answers(model, task, fold, name)
    assert found.keys() == {"scores", "validation"}
    for rows, part in ((fold.test, found), (fold.validation, found["validation"])):
        assert part["scores"].shape == (9, 4)
        for row, scores in zip(rows, part["scores"], strict=True):
            [heard] = inputs_of(model, task.table.iloc[[row]])
            with torch.no_grad():
                chances = [model(pad([part])).double().softmax(-1)[0].numpy() for part in heard]
            np.testing.assert_allclose(scores, np.mean(chances, axis=0), atol=1e-5)


def test_the_front_end_is_kept_with_the_weights(task, tmp_path, small_networks):
    """Else a network that was loaded would hear its utterances otherwise than it learned to, and answer worse."""
    schedule = dataclasses.replace(TINY, most_updates=2, statistics="training", averaged=3)
    record = runs.reproduce(paper.CHAPTER, task, "MOMA", schedule, folder=tmp_path)
    [fold], [entry] = task.folds, record.folds
    assert entry["updates"] == 2 and record.settings["statistics"] == "training" and record.settings["averaged"] == 3
    trained, _ = train(task, fold, "MOMA", schedule)
    loaded = runs.load(MODELS["MOMA"](), tmp_path, record, fold.name)
    assert loaded.front_end.averaged == 3 and loaded.front_end.statistics.all()
    assert torch.equal(loaded.front_end.statistics, trained.front_end.statistics)
    found = answers(loaded, task, fold, "MOMA")["scores"]
    np.testing.assert_array_equal(found, answers(trained, task, fold, "MOMA")["scores"])
    np.testing.assert_allclose(found, entry["scores"], atol=6e-5)
    loaded.front_end = FrontEnd()
    assert abs(answers(loaded, task, fold, "MOMA")["scores"] - found).max() > 1e-3


def test_a_retrained_record_has_no_development(table, small_networks):
    """Else the table would show a score on utterances that were trained on; or the run end in an error."""
    for name in ("MOMA", "CNN_LSTM"):
        record = run(jalal2020_retrained(table), name, dataclasses.replace(TINY, milestones=(1,)))
        assert len(record.predictions()) == 9
        with pytest.raises(InputError, match="does not hold: validation"):
            record.on(part="validation")


def test_chosen_on_the_test(table, small_networks):
    """Else what choosing on the test is worth would be measured on something else."""
    record = run(leaky_jalal2020_chosen_on_test(table), "MOMA", TINY)
    assert record.folds[0]["best_epoch"] >= 1
    pd.testing.assert_frame_equal(record.predictions(), record.on(part="validation").predictions())


# The table


def test_published():
    """Else the numbers beside ours would not be the paper's."""
    assert PUBLISHED["UA"].dropna().tolist() == [59.4, 58.2, 59.7, 71.8, 76.3, 78.0, 80.5]
    assert PUBLISHED["WA"].dropna().to_dict() == {
        "Factor analysis": 56.1,
        "Convolutional self-attention": 68.8,
        "MOMA": 74.8,
    }


def test_the_results_table():
    """Else runs of two protocols or models would be averaged, or a column hold the other score."""
    labels = (0, 0, 1, 2)
    again = {"labels": labels, "protocol": "jalal2020_retrained"}
    records = [record_of(labels, labels=labels), record_of((0, 1, 0, 0), labels=labels, seed=1)]
    records += [record_of((0, 0, 0, 0), **again), record_of(labels, "eGeMAPS + linear SVM", labels)]
    records += [record_of((0, 0, 1, -1), labels=(0, 0, 1, -1), model="CNN_LSTM")]
    assert results_table([]).empty  # as of a lone notebook
    found = results_table(records)
    assert found.index.names == ["corpus", "protocol", "model"]
    assert [*found.columns] == ["tested", "accuracy", "UAR"]
    rows = {key[1:]: row for key, row in zip(found.index, found.itertuples(index=False, name=None), strict=True)}
    assert {key[0] for key in found.index} == {"emotional"}
    # Of the two seeds: accuracies of 100 and 25 %; recalls of 1, 1, 1 and 0.5, 0, 0.
    assert rows.pop(("jalal2020", "MOMA")) == (4, "62.5 ± 53.0 (n=2)", "58.3 ± 58.9 (n=2)")
    assert rows.pop(("jalal2020_retrained", "MOMA")) == (4, "50.0 [15, 85]", "33.3")
    assert rows.pop(("jalal2020", "eGeMAPS + linear SVM")) == (4, "100.0 [51, 100]", "100.0")
    assert rows.pop(("jalal2020", "CNN_LSTM"))[0] == 3 and not rows


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
    pooling, said = li2018.Schedule(epochs=1, batch_size=16, most_updates=1), []
    job = {"schedule": TINY, "pooling": pooling, "seeds": (0, 1), "progress": said.append}
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
        expected = json.loads(json.dumps(dataclasses.asdict(same_steps(TINY, chosen))))
        assert again.settings == {key: value for key, value in expected.items() if value is not None}
    assert len(results_table(records)) == 8 and len(said) == 2 * 6

    for module in (paper, li2018):
        spent = module.CHAPTER._replace(train=lambda *_: pytest.fail("trained again"))
        monkeypatch.setattr(module, "CHAPTER", spent)
    assert recompute(table, tmp_path, **job) == records


def test_recompute_as_the_paper_by_default(table, monkeypatch):
    """Else the full run would take another schedule, fewer seeds, or another chapter's network."""
    asked, steps, chosen = [], li2018.Schedule(77), record_of([0] * 4, curve={"learning_rate": [1, 0.1]}, best_epoch=2)

    def run_all(wanted, folder):
        asked.extend((run.task.protocol, run.model, run.settings, run.seed, folder) for run in wanted)
        return [chosen] * len(wanted)

    monkeypatch.setattr(paper, "functionals_svm", lambda task, folder: (task.protocol, folder))
    monkeypatch.setattr(paper, "run_all", run_all)
    monkeypatch.setattr(li2018, "paper_schedule", lambda task: {"jalal2020_retrained": steps}[task.protocol])
    found = recompute(table, "runs")
    assert [part for part in found if part is not chosen] == [("jalal2020", "runs"), ("jalal2020_retrained", "runs")]
    expected, learns = [], Schedule(statistics="training")
    for name, own in (("MOMA", learns), ("CNN_LSTM", Schedule())):  # the rival hears no bands
        again = dataclasses.replace(own, epochs=2, milestones=(1,))
        expected += [("jalal2020", name, own), ("jalal2020_retrained", name, again)]
    expected += [("leaky_jalal2020_chosen_on_test", "MOMA", learns)]
    expected += [("jalal2020_retrained", "CNN_TF_Att.pooling", steps)]
    in_words = sorted(map(repr, asked))
    assert in_words == sorted(
        repr((*run, dataclasses.asdict(schedule), seed, "runs")) for *run, schedule in expected for seed in (0, 1, 2)
    )


# What it attends to


def test_residual_share_by_hand():
    """Else the chapter would say how large something else is."""
    states = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    weights = torch.tensor([[0.25, 0.75]])  # Y' has lengths 0.75 and 3, Y 3 and 4
    model = nn.Module()
    model.front_end, model.encoder, model.first = FrontEnd(), Always(states[None]), "softmax"
    model.layer_1 = Always((weights[..., None] * states, weights))
    share = np.sqrt(0.75**2 + 3**2) / 5
    assert residual_share(model, np.zeros((2, 23), np.float32)) == pytest.approx(share) and not model.training
    model.first = "mean one"
    assert residual_share(model, np.zeros((2, 23), np.float32)) == pytest.approx(2 * share)


class Always(nn.Module):
    """A layer that gives what it was made with."""

    def __init__(self, value):
        super().__init__()
        self.value, self.unused = value, nn.Parameter(torch.zeros(1))

    def forward(self, *_):
        return self.value


@pytest.mark.parametrize(("frames", "averaged"), [(1, 1), (50, 1), (300, 1), (300, 3)])
def test_residual_share_at_the_start(frames, averaged):
    """Else the chapter's fifth of a per cent would be a mistake of its own; or be of frames that MOMA never heard."""
    torch.manual_seed(0)
    model, [heard] = MOMA(), noise(frames)
    model.encoder, heard = BLSTM(23, 512), heard.numpy()  # one layer is faster
    model.front_end.averaged.fill_(averaged)
    assert residual_share(model, heard) == pytest.approx(averaged / frames, rel=0.05)
    model.first = "mean one"
    assert residual_share(model, heard) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("frames", "averaged"), [(12, 1), (12, 3), (13, 3)])
@every_variant
def test_attention_over_time(options, frames, averaged, small):
    """Else a picture would show the weights of another utterance, of a network in training, or not where they are."""
    model, (heard, other) = small(**options), [each.numpy() for each in noise(frames, 30)]
    model.front_end.averaged.fill_(averaged)
    found = attention_over_time(model.train(), heard)
    assert isinstance(found, np.ndarray) and found.shape == (2, frames) and not model.training
    with torch.no_grad():
        _, *weights = model.listen(pad([model.front_end(each) for each in (heard, other)]))
    weights = torch.stack(weights)[:, 0].numpy()
    for step, start in enumerate(range(0, frames, averaged)):
        own = found[:, start : start + averaged]  # the last may be of fewer
        close(own, np.repeat(weights[:, [step]], own.shape[1], 1) / averaged)
    if frames % averaged == 0:  # else the last step has fewer frames, and a frame of it no more than its weight
        mixed = model.gammas.sum().item() if len(model.layer_2) else 1
        close(found.sum(1), np.array([1, mixed]))


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


def test_spread_by_hand():
    """Else the entropy would be taken of weights that do not sum to one, to another base, or on another scale."""
    weights = np.array([0.6, 0.3, 0.3, -0.2])
    expected = np.exp(-(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))) / 4
    assert spread(weights) == pytest.approx(expected) and spread(7 * weights) == pytest.approx(expected)
    assert weights[3] == -0.2 and spread(np.full(300, 0.01)) == pytest.approx(1)
    assert spread(np.array([1.0, -3, 0, 0])) == pytest.approx(1 / 4)  # as a negative gamma makes them


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
    half = np.array([1.0, 3.0, 2.0, 2.0])  # the first has half of the mean
    assert coverage(half, [(0.01, 0.02, "A")]) == 1 and coverage(half - [0.01, 0, 0, 0], [(0.01, 0.02, "A")]) == 0
