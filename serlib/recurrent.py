"""Recurrent networks over padded sequences: what stands beyond a sequence's end is never heard."""

import torch
from torch import Tensor, nn

from serlib.sequences import Padded, mask_of


class BLSTM(nn.Module):
    """Bidirectional LSTM layers: equations 1 to 3 of Jalal 2020.

    Features `(batch, steps, size)` and lengths `(batch,)` to states `(batch, steps, 2 * hidden)`, zero beyond a length.
    Each sequence is read backwards from its own end. (A packed sequence in torch's bidirectional LSTM gives the same
    numbers, some three to four times slower on a CPU.) Page: notebooks/03.
    """

    def __init__(self, size: int, hidden: int, layers: int = 1):
        super().__init__()
        sizes = [size, *[2 * hidden] * (layers - 1)]
        self.ahead = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.back = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        inside = mask_of(lengths, features.shape[1])
        steps = torch.arange(features.shape[1], device=lengths.device)
        rows = torch.arange(len(features), device=lengths.device)[:, None]
        turned = torch.where(inside, lengths[:, None] - 1 - steps, steps)
        for ahead, back in zip(self.ahead, self.back, strict=True):
            future = back(features[rows, turned])[0][rows, turned]
            features = torch.cat([ahead(features)[0], future], -1) * inside[..., None]
        return features


class Halving(nn.Conv2d):
    """A convolution of maps `(batch, channels, frames, bins)`, the maximum of each square of two by two, and what of it
    is positive: half as many frames and bins, rounded down. Zeros lie around, of even filters one more before than
    behind. (What no square would look at is not computed.) Page: notebooks/03.
    """

    def forward(self, maps: Tensor) -> Tensor:
        (frames, bins), functional = self.kernel_size, nn.functional
        around = (bins // 2, (bins - 1) // 2, frames // 2, (frames - 1) // 2)
        return functional.max_pool2d(super().forward(functional.pad(maps, around)), 2).relu()


class CNNBLSTM(nn.Module):
    """Three convolutions, each halving time and frequency, then a BLSTM, averaged over time: Satt 2017.

    Padded spectrograms `(batch, frames, 200)` to a vector `(batch, 256)`. The sizes are those of table 1 in Cai 2020,
    which builds on it. What lies beyond an end must be zero, as `pad` makes it, and stays so on its way; what has less
    than eight frames gets zeros. Page: notebooks/03.
    """

    def __init__(self):
        super().__init__()
        filters = ((1, 16, (16, 12)), (16, 24, (12, 8)), (24, 32, (7, 5)))  # frames x bins
        self.convolve = nn.ModuleList(Halving(*sizes) for sizes in filters)
        self.blstm = BLSTM(32 * 25, 128)

    def forward(self, padded: Padded) -> Tensor:
        maps, lengths = padded[0][..., None].movedim(-1, 1), padded[1].clamp_min(8)  # channels last
        maps = nn.functional.pad(maps, (0, 0, 0, max(0, 8 - maps.shape[2])))
        for convolve in self.convolve:
            maps, lengths = convolve(maps), lengths // 2
            maps = maps * mask_of(lengths, maps.shape[2])[:, None, :, None]
        states = self.blstm(maps.transpose(1, 2).flatten(2), lengths)
        return states.float().sum(1) / lengths[:, None]
