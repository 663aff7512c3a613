"""Attention: weights against loops over the equations, in any shape and under any mask."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib.attention import AdditiveAttention, DotAttention, ScaledDotSelfAttention, masked_softmax

properties = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def naive(scores, mask):
    """Softmax of one example's scores, in float64, over the places where the mask is True."""
    top = max(score for score, there in zip(scores, mask, strict=True) if there)
    powers = [np.exp(score - top) if there else 0.0 for score, there in zip(scores, mask, strict=True)]
    return np.array(powers) / sum(powers)


@properties
@given(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 10**6))
def test_masked_softmax(batch, places, seed):
    """Else weights would lie on padding, not sum to 1, or be normalised over one axis of a map only."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (batch, *places))
    mask = rng.random(scores.shape) < 0.6
    mask.reshape(batch, -1)[:, 0] = True
    found = masked_softmax(torch.from_numpy(scores), torch.from_numpy(mask))
    assert found.shape == scores.shape and found.dtype == torch.float32
    assert not found[~torch.from_numpy(mask)].any()
    for row in range(batch):
        np.testing.assert_allclose(found[row].flatten(), naive(scores[row].ravel(), mask[row].ravel()), atol=1e-6)
    everywhere = masked_softmax(torch.from_numpy(scores), torch.ones(scores.shape, dtype=bool))
    assert torch.equal(masked_softmax(torch.from_numpy(scores)), everywhere)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_large_scores_do_not_overflow(kind):
    """Else attention in half precision would become NaN, or 3410 windows share weights of three digits."""
    found = masked_softmax(torch.tensor([[30_000, 30_000, 0, -30_000]], dtype=kind))
    assert found.dtype == torch.float32 and found.tolist() == [[0.5, 0.5, 0, 0]]
    even = masked_softmax(torch.zeros(1, 3410, dtype=kind))
    torch.testing.assert_close(even, torch.full((1, 3410), 1 / 3410))


def test_what_is_masked_gets_no_gradient():
    """Else padding would be trained on, or make the gradient NaN."""
    scores = torch.randn(2, 5, requires_grad=True)
    mask = torch.tensor([[True, True, False, False, False], [True] * 5])
    (masked_softmax(scores, mask) * torch.randn(2, 5)).sum().backward()
    assert torch.isfinite(scores.grad).all() and scores.grad[mask].all() and not scores.grad[~mask].any()


@properties
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 10**6))
def test_dot_attention_is_equations_3_and_4(lengths, size, seed):
    """Else what is averaged, or with which weights, would not be Zhang 2019."""
    generator = torch.Generator().manual_seed(seed)
    attend, steps = DotAttention(size), max(lengths)
    features = torch.randn(len(lengths), steps, size, generator=generator)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        output, weights = attend(features, mask)
    assert output.shape == (len(lengths), size) and weights.shape == (len(lengths), steps)
    vector = attend.score.weight[0].detach().double().numpy()
    for row, length in enumerate(lengths):
        states = features[row].double().numpy()
        expected = naive([sum(vector * states[step]) for step in range(length)], [True] * length)
        np.testing.assert_allclose(weights[row, :length], expected, atol=1e-6)
        np.testing.assert_allclose(output[row], sum(w * h for w, h in zip(expected, states, strict=False)), atol=1e-6)
        assert not weights[row, length:].any() and weights[row].sum().item() == pytest.approx(1, abs=1e-6)


def test_dot_attention_has_one_vector():
    """Else the counts of the chapter would be off: Zhang 2019 has w, and no bias."""
    assert [tuple(parameter.shape) for parameter in DotAttention(128).parameters()] == [(1, 128)]


def test_dot_attention_ignores_what_lies_in_padding():
    """Else an utterance's summary would depend on what stands beside it; without a mask everything counts."""
    attend, features = DotAttention(4), torch.randn(1, 6, 4)
    mask = torch.arange(6)[None] < 4
    other = features.clone()
    other[:, 4:] = 1e4
    with torch.no_grad():
        for one, two, cut in zip(attend(features, mask), attend(other, mask), attend(features[:, :4]), strict=True):
            torch.testing.assert_close(one, two)
            torch.testing.assert_close(one[:, :4], cut)


@properties
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 10**6))
def test_additive_attention_is_equations_1_to_3(lengths, size, seed):
    """Else what is averaged, or with which weights, would not be the soft attention of Zhao 2021."""
    generator = torch.Generator().manual_seed(seed)
    attend, steps = AdditiveAttention(size, hidden=3), max(lengths)
    features = torch.randn(len(lengths), steps, size, generator=generator)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        output, weights = attend(features, mask)
    w, b, v = (part.detach().double().numpy() for part in attend.parameters())
    for row, length in enumerate(lengths):
        states = features[row].double().numpy()
        energies = [sum(v[0, k] * np.tanh(w[k] @ states[step] + b[k]) for k in range(3)) for step in range(length)]
        expected = naive(energies, [True] * length)
        np.testing.assert_allclose(weights[row, :length], expected, atol=1e-5)
        np.testing.assert_allclose(output[row], sum(a * h for a, h in zip(expected, states, strict=False)), atol=1e-5)
        assert not weights[row, length:].any()


@properties
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 10**6))
def test_self_attention_is_equations_7_and_8(lengths, size, seed):
    """Else a step would look at others than Zhao 2021 says, or at the padding."""
    generator = torch.Generator().manual_seed(seed)
    attend, steps = ScaledDotSelfAttention(size), max(lengths)
    features = torch.randn(len(lengths), steps, size, generator=generator)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        output, weights = attend(features, mask)
    assert output.shape == features.shape and weights.shape == (len(lengths), steps, steps)
    query, key, value = (part.detach().double().numpy() for part in attend.parameters())
    for row, length in enumerate(lengths):
        states = features[row].double().numpy()
        for step in range(length):
            scores = [(query @ states[step]) @ (key @ states[other]) / size**0.5 for other in range(length)]
            expected = naive(scores, [True] * length)
            np.testing.assert_allclose(weights[row, step, :length], expected, atol=1e-5)
            seen = sum(a * (value @ states[other]) for other, a in enumerate(expected))
            np.testing.assert_allclose(output[row, step], seen, atol=1e-4)
        assert not weights[row, :, length:].any()


@pytest.mark.parametrize("module", [AdditiveAttention, ScaledDotSelfAttention])
def test_attention_ignores_what_lies_in_padding(module):
    """Else an utterance's summary would depend on what stands beside it."""
    attend, features = module(4), torch.randn(1, 6, 4)
    mask = torch.arange(6)[None] < 4
    other = features.clone()
    other[:, 4:] = 1e4
    with torch.no_grad():
        one, two, cut = (attend(x, m) for x, m in ((features, mask), (other, mask), (features[:, :4], None)))
    for kept, changed, alone in zip(one, two, cut, strict=True):
        if module is ScaledDotSelfAttention:
            kept, changed = kept[:, :4], changed[:, :4]
        torch.testing.assert_close(kept, changed)
        torch.testing.assert_close(kept[..., :4], alone[..., :4])
