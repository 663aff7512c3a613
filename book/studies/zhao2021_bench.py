"""What does chapter 5 cost? `make bench CHAPTER=zhao2021`: the TCN, and the teacher's maps.

Sixteen utterances of 4.5 s, the mean of IEMOCAP, through SATN, forward, backward and a step of Adam. The plain way is
PyTorch's causal Conv1d in float32, padded on both sides and cut, as the reference TCN does it; the book's is a product
of matrices for each tap, in the number format that suits the chip. And a step with transfer: the maps read from where
they were kept, or computed by the teacher in each step. The ways take turns, and of each the fastest round is kept: the
factors are what counts. Let nothing else run. `--keep` writes it to serlib/reference/speed_zhao2021.json.
"""

import argparse
import datetime
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import serlib
from serlib import device
from serlib.papers import zhao2021
from serlib.papers.zhao2021 import SER, Teacher
from serlib.runs import REFERENCE, environment
from serlib.sequences import pad

ROUNDS, BATCH, FRAMES = 4, 16, 450


class PlainBlock(nn.Module):
    """The block of the reference TCN: channels before time, padded on both sides, the end cut off."""

    def __init__(self, size: int, width: int, dilation: int):
        super().__init__()
        sizes = ((size, width), (width, width))
        how = {"kernel_size": 3, "padding": 2 * dilation, "dilation": dilation}
        self.convolve = nn.ModuleList(weight_norm(nn.Conv1d(*each, **how)) for each in sizes)
        self.past = nn.Conv1d(size, width, 1) if size != width else nn.Identity()
        self.cut, self.dropout = 2 * dilation, nn.Dropout(0.2)

    def forward(self, features: Tensor) -> Tensor:
        states = features
        for convolve in self.convolve:
            states = self.dropout(convolve(states)[..., : -self.cut].relu())
        return (states + self.past(features)).relu()


class PlainTCN(nn.Module):
    """Five such blocks."""

    def __init__(self):
        super().__init__()
        sizes = zip((120, 256, 256, 256, 256), (1, 2, 4, 8, 16), strict=True)
        self.blocks = nn.Sequential(*(PlainBlock(size, 256, dilation) for size, dilation in sizes))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.blocks(features.mT).mT


def a_step(model: SER, batch: tuple, precision: torch.dtype, wanted: Callable[[], Tensor] | None = None) -> Callable:
    """A function that takes one step of training, in a number format; with the maps that `wanted()` gives."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    padded, targets = batch

    def step() -> None:
        optimiser.zero_grad()
        with device.autocast(precision=precision):
            scores, weights = model.listen(padded)
        loss = nn.functional.cross_entropy(scores.float(), targets)
        if wanted:
            loss = loss + zhao2021.transfer_loss(weights, wanted(), padded[1])
        loss.backward()
        optimiser.step()
        next(model.parameters()).sum().item()  # wait for the device

    return step


def ways() -> dict[str, Callable]:
    """One step of each way that is compared."""
    where = device.choose_device()
    own, single = device.choose_precision(where), torch.float32
    sequences = [torch.randn(FRAMES, 120, device=where) for _ in range(BATCH)]
    batch = pad(sequences), torch.arange(BATCH, device=where) % 4
    plain = SER()
    plain.encoder = PlainTCN()
    teacher = Teacher(["|"]).eval().to(where)
    maps = zhao2021.kept_maps(teacher, sequences)

    def kept() -> Tensor:
        [(_, _, wanted)] = zhao2021.taught_batches(sequences, batch[1], maps, BATCH)
        return wanted

    @torch.no_grad()
    def computed() -> Tensor:
        with device.autocast(precision=own):
            return teacher.listen(batch[0])[2]

    return {
        "plain, float32": a_step(plain.to(where).train(), batch, single),
        "plain": a_step(plain.to(where).train(), batch, own),
        "ours, float32": a_step(SER().to(where).train(), batch, single),
        "ours": a_step(SER().to(where).train(), batch, own),
        "ours, maps kept": a_step(SER().to(where).train(), batch, own, kept),
        "ours, maps computed": a_step(SER().to(where).train(), batch, own, computed),
    }


def measure() -> dict:
    """Utterances per second of each way."""
    compared = ways()
    seconds = {name: [] for name in compared}
    for _ in range(1 + ROUNDS):
        for name, step in compared.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    rates = {name: round(BATCH / min(found[1:]), 1) for name, found in seconds.items()}
    kept = {key: environment()[key] for key in ("device", "threads", "torch", "precision")}
    return {"utterances_per_second": rates, "environment": kept, "date": datetime.date.today().isoformat()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write the result to serlib/reference/speed_zhao2021.json")
    arguments = parser.parse_args()
    print(serlib.setup())
    result = measure()
    rates = result["utterances_per_second"]
    print(", ".join(f"{name} {rate}" for name, rate in rates.items()), "utterances/s")
    print(f"ours is {rates['ours'] / rates['plain, float32']:.1f} times the plain loop;", end=" ")
    print(f"keeping the maps is {rates['ours, maps kept'] / rates['ours, maps computed']:.1f} times computing them")
    if arguments.keep:
        (REFERENCE / "speed_zhao2021.json").write_text(json.dumps(result, indent=1) + "\n")
