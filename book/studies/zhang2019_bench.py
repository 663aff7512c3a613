"""How much does it save to share the windows' work? `make bench CHAPTER=zhang2019`: both ways, in one run.

Chapter 2's whole multi-task network makes the same updates on eight waveforms of 4.5 s, computing each window by itself
and all of them at once, in turn, in the processor's precision and in float32; of each the fastest update is kept. The
factors are what counts. `--keep` writes them to serlib/reference/speed_zhang2019.json, where the book finds them.
"""

import argparse
import datetime
import json
import time

import torch
from torch import nn

import serlib
from serlib import device
from serlib.papers import zhang2019
from serlib.runs import REFERENCE, environment
from serlib.sequences import Padded

ROUNDS, BATCH, SAMPLES = 5, 8, 72_000


class EachWindow(zhang2019.FromWaveform):
    """The front end that shares nothing; the rest is the same."""

    def forward(self, padded: Padded) -> Padded:
        waveforms = self.standardise(padded[0])
        windows = waveforms.unfold(1, zhang2019.WINDOW, zhang2019.HOP)
        return self.dropout(zhang2019.each_window(self.cnn, windows)), zhang2019.windows_in(padded[1])


def update_seconds(model: nn.Module, optimiser: torch.optim.Optimizer, precision: torch.dtype) -> float:
    """Seconds of one update on random waveforms: time does not depend on what is said."""
    where = next(model.parameters()).device
    waveforms = torch.randn(BATCH, SAMPLES, device=where)
    lengths, levels = torch.full((BATCH,), SAMPLES, device=where), torch.ones(BATCH, 3, dtype=torch.long, device=where)
    weights = torch.full((3,), 1 / 3, device=where)
    start = time.perf_counter()
    with device.autocast(where, precision):
        loss = zhang2019.weighted_loss(model((waveforms, lengths)), levels, weights)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    loss.item()  # wait for the device
    return time.perf_counter() - start


def measure() -> dict:
    """Utterances per second of both ways in one process, the ways taking turns."""
    where, rates = device.choose_device(), {"each window": {}, "all at once": {}}
    for precision in dict.fromkeys([device.choose_precision(where), torch.float32]):
        ways = {}
        for name, front_end in (("each window", EachWindow()), ("all at once", zhang2019.FromWaveform())):
            model = zhang2019.make_model("e2e MTL+att.")
            model.front_end = front_end
            model.to(where, memory_format=torch.channels_last).train()
            ways[name] = (model, torch.optim.Adam(model.parameters(), lr=1e-4))
        seconds = {name: [] for name in ways}
        for _ in range(1 + ROUNDS):
            for name, (model, optimiser) in ways.items():
                seconds[name].append(update_seconds(model, optimiser, precision))
        for name, values in seconds.items():
            rates[name][str(precision).removeprefix("torch.")] = round(BATCH / min(values[1:]), 2)
    kept = {key: environment()[key] for key in ("device", "threads", "torch")}
    return {"utterances_per_second": rates, "environment": kept, "date": datetime.date.today().isoformat()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write the result to serlib/reference/speed_zhang2019.json")
    arguments = parser.parse_args()
    print(serlib.setup())
    result = measure()
    naive, shared = result["utterances_per_second"].values()
    for precision in naive:
        factor = shared[precision] / naive[precision]
        print(f"{precision:9} {naive[precision]:6.2f} to {shared[precision]:6.2f} utterances/s: {factor:.2f} x")
    if arguments.keep:
        (REFERENCE / "speed_zhang2019.json").write_text(json.dumps(result, indent=1) + "\n")
