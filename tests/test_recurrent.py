"""Recurrent networks: the numbers of torch's own on packed sequences, and nobody hears padding."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d, max_pool2d
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from serlib.recurrent import BLSTM, CNNBLSTM
from serlib.sequences import mask_of, pad

properties = settings(max_examples=30, deadline=None, database=None, derandomize=True)
some_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=5)
exactly = functools.partial(torch.testing.assert_close, atol=1e-10, rtol=1e-10)


def blstm(size=3, hidden=4, layers=2):
    torch.manual_seed(0)
    return BLSTM(size, hidden, layers).double()


def torchs(model):
    """torch's bidirectional LSTM with the weights of a BLSTM, copied."""
    first = model.ahead[0]
    options = {"num_layers": len(model.ahead), "bidirectional": True, "batch_first": True}
    theirs = nn.LSTM(first.input_size, first.hidden_size, **options).double()
    with torch.no_grad():
        for ours, name in twins(model):
            getattr(theirs, name).copy_(ours)
    return theirs


def twins(model):
    """Each parameter of a BLSTM and the name that it has in torch's."""
    for directions, ending in ((model.ahead, ""), (model.back, "_reverse")):
        for layer, lstm in enumerate(directions):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                yield getattr(lstm, f"{name}_l0"), f"{name}_l{layer}{ending}"


def packed(theirs, features, lengths):
    """States of torch's LSTM `(batch, steps, 2 * hidden)`: a packed sequence has no padding at all."""
    sequence = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(theirs(sequence)[0], batch_first=True, total_length=features.shape[1])[0]


def heard(lengths, size, seed=0, more=0):
    """Padded noise in double precision, with `more` steps of padding than it needs, and the lengths."""
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randn(length, size, generator=generator, dtype=torch.float64) for length in lengths]
    padded, lengths = pad(sequences)
    return nn.functional.pad(padded, (0, 0, 0, more)), lengths


def gradients(model, *inputs):
    """What the model answers, and the gradients of a weighted sum of it: of its parameters, by name."""
    model.zero_grad()
    outputs = model(*inputs)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (weights * outputs).sum().backward()
    return outputs.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("layers", [1, 2, 3])
@properties
@given(some_lengths, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 10**6))
def test_it_is_torchs_bidirectional_lstm(layers, lengths, size, hidden, more, seed):
    """Else it would not be the BLSTM that everybody knows: states, or what training makes of them."""
    model = blstm(size, hidden, layers)
    theirs = torchs(model)
    features, lengths = heard(lengths, size, seed=seed, more=more)
    one, two = features.clone().requires_grad_(), features.clone().requires_grad_()
    found, _ = gradients(model, one, lengths)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = packed(theirs, two, lengths)
    (weights * expected).sum().backward()
    assert found.shape == (*features.shape[:2], 2 * hidden)
    exactly(found, expected.detach())
    exactly(one.grad, two.grad)
    pairs = [(ours.grad, getattr(theirs, name).grad) for ours, name in twins(model)]
    assert len(pairs) == len([*theirs.parameters()]) == len([*model.parameters()])
    for ours, grad in pairs:
        exactly(ours, grad)


@pytest.mark.parametrize(("size", "hidden", "layers", "count"), [(23, 512, 2, 8_499_200), (800, 128, 1, 952_320)])
def test_it_has_the_parameters_of_torchs(size, hidden, layers, count):
    """Else the chapter's count of parameters would be of another network."""
    theirs = nn.LSTM(size, hidden, num_layers=layers, bidirectional=True)
    for network in (BLSTM(size, hidden, layers), theirs):
        assert sum(parameter.numel() for parameter in network.parameters()) == count


@properties
@given(some_lengths, st.integers(0, 3), st.sampled_from([1.0, 1e3, -1e6]))
def test_padding_is_not_heard(lengths, more, loud):
    """Else an utterance would be another one beside a longer one, or be trained on what stands after its end."""
    model = blstm()
    features, lengths = heard(lengths, 3, more=more)
    inside = mask_of(lengths, features.shape[1])
    filled = features.masked_fill(~inside[..., None], loud).requires_grad_()
    silent, expected = gradients(model, features, lengths)
    found, grads = gradients(model, filled, lengths)
    assert torch.equal(found, silent)
    assert all(torch.equal(grads[name], grad) for name, grad in expected.items())
    assert filled.grad[inside].any() and not filled.grad[~inside].any()
    assert not found[~inside].any() and found[inside].all()


@properties
@given(some_lengths, st.randoms(use_true_random=False))
def test_the_order_of_a_batch_does_not_matter(lengths, random):
    """Else an utterance would get the states of another one."""
    model, order = blstm(), random.sample(range(len(lengths)), len(lengths))
    features, lengths = heard(lengths, 3)
    with torch.no_grad():
        exactly(model(features[order], lengths[order]), model(features, lengths)[order])


@properties
@given(some_lengths)
def test_alone_as_in_a_batch(lengths):
    """Else the answer to an utterance would depend on who is in its batch."""
    model = blstm()
    features, lengths = heard(lengths, 3)
    with torch.no_grad():
        together = model(features, lengths)
        for row, length in enumerate(lengths):
            exactly(together[row, :length], model(features[row : row + 1, :length], lengths[row : row + 1])[0])


def test_each_sequence_is_read_from_both_its_ends():
    """Else one direction would not know the future, or both know it."""
    model = blstm(layers=1)
    features, lengths = heard([9, 5], 3)
    with torch.no_grad():
        before = model(features, lengths)
        features[1, 2] += 1  # the third of five steps
        changed = model(features, lengths) != before
    assert not changed[0].any()
    assert changed[1, :, :4].any(1).tolist() == [False] * 2 + [True] * 3 + [False] * 4  # read ahead
    assert changed[1, :, 4:].any(1).tolist() == [True] * 3 + [False] * 6  # read back


# The network of Satt 2017


@functools.cache
def cnn_blstm():
    torch.manual_seed(0)
    return CNNBLSTM().double().eval()


def overheard(model, padded):
    """What comes in at each convolution and at the BLSTM, its states, and the network's vectors."""
    found, hooks = [], []
    for layer in (*model.convolve, model.blstm):
        hooks.append(layer.register_forward_pre_hook(lambda layer, inputs: found.append(inputs[0])))
    hooks.append(model.blstm.register_forward_hook(lambda layer, inputs, states: found.append(states)))
    with torch.no_grad():
        vectors = model(padded)
    for hook in hooks:
        hook.remove()
    return found, vectors


def plain(model, spectrogram):
    """States and vector of one spectrogram `(frames, 200)`, without batch, mask or BLSTM of ours."""
    maps = torch.zeros(1, 1, max(8, len(spectrogram)), 200, dtype=torch.float64)
    maps[0, 0, : len(spectrogram)] = spectrogram
    frames = maps.shape[2]
    with torch.no_grad():
        for convolve in model.convolve:
            frames //= 2
            half = [size // 2 for size in convolve.kernel_size]
            maps = torch.relu(conv2d(maps, convolve.weight, convolve.bias, padding=half))
            maps = max_pool2d(maps, 2)[:, :, :frames]
        columns = torch.stack([maps[0, :, step].flatten() for step in range(frames)])  # 32 maps of 25 bins each
        states = torchs(model.blstm)(columns)[0]
    mean = torch.zeros(256, dtype=torch.float64)
    for state in states:
        mean += state / frames
    return states, mean


def test_parameters_of_the_network():
    """Else it would not be the network of table 1 in Cai 2020."""
    filters = [16 * (16 * 12 * 1 + 1), 24 * (12 * 8 * 16 + 1), 32 * (7 * 5 * 24 + 1)]
    model = CNNBLSTM()
    shapes = [tuple(layer.weight.shape) for layer in model.convolve]  # to, from, frames, bins
    assert shapes == [(16, 1, 16, 12), (24, 16, 12, 8), (32, 24, 7, 5)]
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in model.convolve]
    assert counts == filters
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(filters) + 952_320 == 1_019_208


def test_each_convolution_halves_time_and_frequency():
    """Else the sizes would not be those of table 1 in Cai 2020: three seconds in, 37 steps of 32 x 25 out."""
    (_, second, third, columns, states), vectors = overheard(cnn_blstm(), heard([300, 300], 200))
    assert second.shape == (2, 16, 150, 100) and third.shape == (2, 24, 75, 50)
    assert columns.shape == (2, 37, 32 * 25) and states.shape == (2, 37, 256) and vectors.shape == (2, 256)


@settings(properties, max_examples=10)
@given(st.lists(st.integers(1, 20) | st.integers(1, 300), min_size=1, max_size=3), st.integers(0, 9))
def test_a_spectrogram_in_a_batch_is_what_it_is_alone(lengths, more):
    """Else the vector of an utterance would depend on its batch, or not be the mean of its own states."""
    model, (padded, found) = cnn_blstm(), heard(lengths, 200, seed=sum(lengths), more=more)
    (*maps, states), vectors = overheard(model, (padded, found))
    assert vectors.shape == (len(lengths), 256) and vectors.dtype == torch.float32
    for row, length in enumerate(lengths):
        expected, mean = plain(model, padded[row, :length])
        steps = max(1, length // 8)
        assert expected.shape == (steps, 256) and not states[row, steps:].any()
        exactly(states[row, :steps], expected)
        torch.testing.assert_close(vectors[row], mean.float(), atol=1e-6, rtol=1e-5)
        for level, below in enumerate(maps[1:3], 1):  # what comes in at the second and third convolution
            assert not below[row, :, max(8, length) // 2**level :].any()


def test_more_padding_trains_the_same():
    """Else training would hear how long the longest utterance of a batch is."""
    model, (padded, lengths) = cnn_blstm(), heard([40, 17], 200)
    gradient = {}
    for more in (0, 30):
        longer = nn.functional.pad(padded, (0, 0, 0, more))
        _, gradient[more] = gradients(model, (longer, lengths))
    for name, grad in gradient[0].items():
        assert grad.any()
        torch.testing.assert_close(gradient[30][name], grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("frames", range(1, 8))
def test_less_than_eight_frames_get_silence(frames):
    """Else a click of 70 ms would end in an error of torch, or in a mean over no states."""
    model, (padded, lengths) = cnn_blstm(), heard([frames], 200)
    longer = nn.functional.pad(padded, (0, 0, 0, 8 - frames)), torch.tensor([8])
    with torch.no_grad():
        found, expected = model((padded, lengths)), model(longer)
        other = model((padded + 1, lengths))
    assert torch.equal(found, expected) and torch.isfinite(found).all() and not torch.allclose(found, other)


def test_in_half_precision():
    """Else a chip that computes in bfloat16 would give other vectors, or give them in bfloat16."""
    model, (padded, lengths) = CNNBLSTM(), heard([60, 25], 200)
    padded = padded.float()
    with torch.no_grad():
        expected = model((padded, lengths))
        with torch.autocast("cpu", torch.bfloat16):
            found = model((padded, lengths))
    assert found.dtype == torch.float32 and not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=0.005, rtol=0)
