"""Sequences: padding loses and adds nothing, every row is in one batch, and little is wasted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serlib.sequences import buckets, last_valid, mask_of, pad, padded_batches, padding_waste

properties = settings(max_examples=60, deadline=None, database=None, derandomize=True)
some_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=50)


def speech(number=2000):
    """Lengths in windows, spread like those of utterances: median 3.58 s, mean 4.55 s."""
    return (100 * np.random.default_rng(0).lognormal(np.log(3.58), 0.69, number)).astype(int).clip(1).tolist()


@properties
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([(), (3,), (2, 4)]))
def test_pad(lengths, shape):
    """Else a sequence would lose its end, or be filled with something else than zeros."""
    sequences = [torch.randn(length, *shape) for length in lengths]
    padded, found = pad(sequences)
    assert padded.shape == (len(lengths), max(lengths), *shape) and found.tolist() == lengths
    assert padded.dtype == torch.float32 and found.dtype == torch.int64
    for row, sequence in enumerate(sequences):
        assert torch.equal(padded[row, : len(sequence)], sequence)
        assert not padded[row, len(sequence) :].any()


@properties
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 3))
def test_mask_of(lengths, more):
    """Else attention would lie on padding, or not on the last window."""
    longest = max(lengths) + more
    found = mask_of(torch.tensor(lengths), longest)
    assert found.dtype == torch.bool
    assert found.tolist() == [[step < length for step in range(longest)] for length in lengths]


@properties
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_last_valid(lengths):
    """Else a network would answer with what it made of padding."""
    sequences = [torch.randn(length, 3) for length in lengths]
    found = last_valid(*pad(sequences))
    assert torch.equal(found, torch.stack([sequence[-1] for sequence in sequences]))


@properties
@given(some_lengths, st.integers(1, 9), st.none() | st.integers(0, 1000))
def test_every_row_is_in_one_batch(lengths, size, seed):
    """Else an utterance would be trained on twice, or never, or a batch be larger than asked for."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for _ in range(2):  # epochs
        found = buckets(lengths, size, generator)
        assert sorted(row for batch in found for row in batch) == [*range(len(lengths))]
        assert len(found) == -(-len(lengths) // size) and sum(len(batch) < size for batch in found) <= 1
        assert max(map(len, found)) <= size


@properties
@given(some_lengths, st.integers(1, 9))
def test_without_a_generator_from_short_to_long(lengths, size):
    """Else the order of a test would not be reproducible without a seed, or equal lengths be swapped."""
    order = [row for batch in buckets(lengths, size) for row in batch]
    assert order == sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


@properties
@given(some_lengths, st.integers(1, 9), st.integers(0, 1000))
def test_only_similar_lengths_are_shuffled(lengths, size, seed):
    """Else a short utterance would share a batch with long ones while others lie between them."""
    parts = buckets(lengths, size, torch.Generator().manual_seed(seed))
    for batch in parts:
        low, high = min(lengths[row] for row in batch), max(lengths[row] for row in batch)
        between = [length for length in lengths if 1.2 * low < length < high / 1.2]
        inside = [lengths[row] for row in batch if 1.2 * low < lengths[row] < high / 1.2]
        assert sorted(inside) == sorted(between)  # what lies clearly between them is in the same batch


def test_batches_follow_from_the_generator():
    """Else a run could not be repeated; or every epoch have the same batches, in the same order."""
    lengths = speech(200)
    first, again = (torch.Generator().manual_seed(3) for _ in range(2))
    epochs = [buckets(lengths, 8, first) for _ in range(3)]
    assert epochs == [buckets(lengths, 8, again) for _ in range(3)]
    other = buckets(lengths, 8, torch.Generator().manual_seed(4))
    for one, two in [(0, 1), (1, 2), (0, None)]:
        left, right = epochs[one], other if two is None else epochs[two]
        assert {frozenset(batch) for batch in left} != {frozenset(batch) for batch in right}
        assert [lengths[batch[0]] for batch in left] != [lengths[batch[0]] for batch in right]
    means = [np.mean([lengths[row] for row in batch]) for batch in epochs[0]]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.5  # no epoch goes from short to long


@properties
@given(some_lengths, st.integers(1, 9), st.integers(0, 1000))
def test_padding_waste(lengths, size, seed):
    """Else the chapter's share of padding would not be the share of zeros in the tensors."""
    parts = buckets(lengths, size, torch.Generator().manual_seed(seed))
    padded = [pad([torch.ones(lengths[row]) for row in part])[0] for part in parts]
    zeros, everything = sum(int((x == 0).sum()) for x in padded), sum(x.numel() for x in padded)
    assert padding_waste(lengths, parts) == pytest.approx(zeros / everything)


def test_little_is_wasted_on_speech():
    """Else batches of similar length would not be worth their code: unsorted, half of the work is on zeros."""
    lengths = speech()
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0))
    assert padding_waste(lengths, [part.tolist() for part in order.split(16)]) > 0.4
    for epoch in range(3):
        assert padding_waste(lengths, buckets(lengths, 16, torch.Generator().manual_seed(epoch))) < 0.15
    assert padding_waste(lengths, buckets(lengths, 16)) < 0.05


@pytest.mark.parametrize("seed", [None, 0])
def test_padded_batches(seed):
    """Else an utterance would be trained on the label of another one."""
    lengths = [5, 1, 30, 7, 7, 2, 12]
    sequences = [torch.full((length, 2), float(row)) for row, length in enumerate(lengths)]
    targets = torch.arange(7)[:, None] * torch.tensor([1, 10])
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    seen, batches = [], list(padded_batches(sequences, targets, 3, generator))
    assert sorted(len(labels) for _, labels in batches) == [1, 3, 3]
    for (padded, found), labels in batches:
        assert padded.shape[1] == found.max()
        for sequence, length, label in zip(padded, found, labels, strict=True):
            assert label.tolist() == [sequence[0, 0], 10 * sequence[0, 0]] and length == lengths[label[0]]
            assert (sequence[:length] == label[0]).all() and not sequence[length:].any()
            seen.append(int(label[0]))
    assert sorted(seen) == [*range(7)]
    if seed is None:
        assert seen == [1, 5, 0, 3, 4, 6, 2]
