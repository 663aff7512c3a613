"""Attention: each module turns `(features, mask)` into `(output, weights)`."""

import torch
from torch import Tensor, nn


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over all axes but the first, in float32; places where `mask` is False get a weight of 0.

    `scores` and the boolean `mask` are `(batch, ...)`, the same shape. Page: notebooks/02.
    """
    scores = scores.float()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.flatten(1).softmax(-1).view_as(scores)


class DotAttention(nn.Module):
    """Weights by one learned vector: equations 3 and 4 of Zhang 2019.

    Features `(batch, steps, size)` and mask `(batch, steps)` to their weighted mean `(batch, size)` and the weights
    `(batch, steps)`, which sum to 1. Page: notebooks/02.
    """

    def __init__(self, size: int):
        super().__init__()
        self.score = nn.Linear(size, 1, bias=False)  # w

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        weights = masked_softmax(self.score(features).squeeze(-1), mask)
        return (weights[:, None] @ features.float()).squeeze(1), weights
