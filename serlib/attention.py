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


class AdditiveAttention(nn.Module):
    """Weights by a layer of tanh and one vector: soft attention, equations 1 to 3 of Zhao 2021.

    Features `(batch, steps, size)` and mask `(batch, steps)` to their weighted mean `(batch, size)` and the weights
    `(batch, steps)`, which sum to 1. There is no decoder, so its state is left out of the energy. Page: notebooks/05.
    """

    def __init__(self, size: int, hidden: int = 128):
        super().__init__()
        self.hidden = nn.Linear(size, hidden)  # W and b
        self.energy = nn.Linear(hidden, 1, bias=False)  # v

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        weights = masked_softmax(self.energy(self.hidden(features).tanh()).squeeze(-1), mask)
        return (weights[:, None] @ features.float()).squeeze(1), weights


class ScaledDotSelfAttention(nn.Module):
    """Every step looks at every step: equations 7 and 8 of Zhao 2021, one head.

    Features `(batch, steps, size)` and mask `(batch, steps)` to the attended features `(batch, steps, size)` and the
    weights `(batch, steps, steps)`: row s is how much step s looks at each, and sums to 1. What is masked is not looked
    at; what it would look at itself is still there, and is to be left out by whoever goes on. Page: notebooks/05.
    """

    def __init__(self, size: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, size, bias=False) for _ in range(3))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scores = (self.query(features) @ self.key(features).mT).float() / features.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        weights = scores.softmax(-1)
        return (weights.to(features) @ self.value(features)).float(), weights
