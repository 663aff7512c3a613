"""Utterances of unequal length: sorted into batches of similar length, padded, and masked."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Padded = tuple[Tensor, Tensor]  # what a model of sequences takes: `(batch, longest, ...)`, lengths `(batch,)`


def pad(sequences: Sequence[Tensor]) -> Padded:
    """Sequences `(length, ...)` as one tensor with zeros at their ends, and their lengths. Page: notebooks/02."""
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=sequences[0].device)
    return pad_sequence(list(sequences), batch_first=True), lengths


def mask_of(lengths: Tensor, longest: int) -> Tensor:
    """True where a padded sequence has something: `(batch, longest)`. Page: notebooks/02."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def last_valid(features: Tensor, lengths: Tensor) -> Tensor:
    """Of features `(batch, steps, size)` each sequence's own last step: `(batch, size)`. Page: notebooks/02."""
    return features[torch.arange(len(features), device=features.device), lengths - 1]


def buckets(lengths: Sequence[int], size: int, generator: torch.Generator | None = None) -> list[list[int]]:
    """Row numbers in batches of at most `size`, of similar length, so that little is padded. Every row is in one.

    With a generator the batches come in random order, and lengths that differ by less than a tenth are shuffled; so
    batches are others in every epoch. Without one they go from short to long. Page: notebooks/02.
    """
    lengths = torch.as_tensor(lengths, dtype=torch.float64)
    if generator is None:
        return [part.tolist() for part in lengths.argsort(stable=True).split(size)]
    blurred = lengths * (0.95 + 0.1 * torch.rand(len(lengths), generator=generator, dtype=torch.float64))
    parts = blurred.argsort().split(size)
    return [parts[number].tolist() for number in torch.randperm(len(parts), generator=generator)]


def padding_waste(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of padding in what a network computes on. Page: notebooks/02."""
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return 1 - sum(lengths[row] for batch in batches for row in batch) / padded


def padded_batches(
    sequences: Sequence[Tensor], targets: Tensor, size: int, generator: torch.Generator | None = None
) -> Iterator[tuple[Padded, Tensor]]:
    """Every example once, in padded batches of similar length: what `fit` trains on. Page: notebooks/02."""
    for rows in buckets([len(sequence) for sequence in sequences], size, generator):
        yield pad([sequences[row] for row in rows]), targets[rows]
