"""What do chapter 3's networks cost? `make bench CHAPTER=jalal2020`: an update, and not to hear the padding.

Chapter 3's encoder takes the same batches of padded sequences: PyTorch's own bidirectional LSTM, which hears the
padding; the same on packed sequences, which does not; and the book's, which does not either. Forward and backward, the
ways in turn, in float32; of each the fastest round is kept. The factors are what counts. And a whole update of each
network on one thread, as in the reference runs: eight utterances of 2.8 s, the mean of EmoDB. Let nothing else run.
`--keep` writes it all to serlib/reference/speed_jalal2020.json, where the book finds it.
"""

import argparse
import datetime
import json
import time

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import serlib
from serlib import device
from serlib.papers import jalal2020
from serlib.recurrent import BLSTM
from serlib.runs import REFERENCE, environment
from serlib.sequences import pad
from serlib.training import fit

ROUNDS, FRAMES = 2, 140
UPDATES = {"MOMA": ("MOMA", 280, 23), "MOMA, 3 frames averaged": ("MOMA", 94, 23), "CNN_LSTM": ("CNN_LSTM", 280, 200)}


class Plain(nn.Module):
    """PyTorch's bidirectional LSTM, packed or not."""

    def __init__(self, packed: bool):
        super().__init__()
        self.blstm = nn.LSTM(23, 512, num_layers=2, batch_first=True, bidirectional=True)
        self.packed = packed

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        if not self.packed:
            return self.blstm(features)[0]
        packed = pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.blstm(packed)[0], batch_first=True)[0]


def seconds_of(model: nn.Module, features: Tensor, lengths: Tensor) -> float:
    """Seconds of a forward and a backward pass: time does not depend on what is said."""
    start = time.perf_counter()
    model.zero_grad()
    model(features, lengths).square().mean().backward()
    next(model.parameters()).grad.sum().item()  # wait for the device
    return time.perf_counter() - start


def measure() -> dict:
    """Utterances per second of the three ways, in batches of 4 and of 16 whose lengths differ by a sixth."""
    where, rates = device.choose_device(), {}
    for batch in (4, 16):
        features = torch.randn(batch, FRAMES, 23, device=where)
        lengths = torch.linspace(FRAMES * 5 / 6, FRAMES, batch, device=where).round().long()
        ways = {"padding heard": Plain(False), "packed": Plain(True), "ours": BLSTM(23, 512, layers=2)}
        seconds = {name: [] for name in ways}
        for _ in range(1 + ROUNDS):
            for name, model in ways.items():
                seconds[name].append(seconds_of(model.to(where), features, lengths))
        rates[f"batches of {batch}"] = {name: round(batch / min(found[1:]), 2) for name, found in seconds.items()}
    kept = {key: environment()[key] for key in ("device", "threads", "torch")}
    return {"utterances_per_second": rates, "environment": kept, "date": datetime.date.today().isoformat()}


def seconds_of_updates(utterances: int = 8) -> dict[str, float]:
    """Seconds of an update of each network, on one thread."""
    threads, found = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for name, (model, frames, size) in UPDATES.items():
        batch = pad([torch.randn(frames, size) for _ in range(utterances)]), torch.arange(utterances) % 4
        _, history = fit(
            jalal2020.make_model(model), lambda _, batch=batch: [batch] * 3, torch.optim.Adam, epochs=ROUNDS
        )
        found[name] = round(min(epoch["seconds"] for epoch in history) / 3, 3)
    torch.set_num_threads(threads)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write the result to serlib/reference/speed_jalal2020.json")
    arguments = parser.parse_args()
    print(serlib.setup())
    result = measure() | {"seconds_of_an_update": seconds_of_updates()}
    for batch, rates in result["utterances_per_second"].items():
        factor = rates["ours"] / rates["packed"]
        shown = ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())
        print(f"{batch}: {shown} utterances/s; ours is {factor:.1f} times packed")
    print("an update, on one thread:", result["seconds_of_an_update"])
    if arguments.keep:
        (REFERENCE / "speed_jalal2020.json").write_text(json.dumps(result, indent=1) + "\n")
