"""How fast does chapter 1 train? `make bench CHAPTER=li2018`: an epoch under five settings, and the factor of each.

The first setting is the loop that one writes on the first day: a DataLoader that reads the file, cuts it and computes
the spectrogram for every example in every epoch, float32, PyTorch's own memory layout. Each line changes one thing.
The memory setting has to come before the first tensor, so every setting runs in a process of its own; all of them
train the same network on the same segments, one after the other, twice over. The ratios are what counts: they are
measured in one run. `--keep` writes them to serlib/reference/speed.json, where the book finds them.
"""

import argparse
import datetime
import json
import subprocess
import sys
import time

from serlib.runs import REFERENCE

SETTINGS = ("plain loop", "features once", "channels last", "half precision", "memory kept")
SEGMENTS, BATCH = 96, 16


def epoch_seconds(level: int) -> dict:
    """Seconds of one training epoch with the first `level` improvements switched on; the first epoch warms up."""
    from serlib import device

    if level >= 4:
        device.keep_pages()
    import torch
    from torch import nn

    from serlib import corpora, protocols
    from serlib.audio import read_row, segment
    from serlib.features import spectrogram
    from serlib.papers import li2018
    from serlib.runs import environment

    task = protocols.li2018(corpora.load("synthetic"))
    where = device.choose_device()
    index = [
        (row, number, label)
        for row, label in zip(task.table.itertuples(), task.labels, strict=True)
        for number in range(len(segment(read_row(row), 2, 1)))
    ][:SEGMENTS]

    class FromDisk(torch.utils.data.Dataset):
        def __len__(self):
            return len(index)

        def __getitem__(self, item):
            row, number, label = index[item]
            piece = spectrogram(segment(read_row(row), 2, 1)[number : number + 1])
            return li2018.mu_law(li2018.to_unit_range(piece))[0], int(label)

    torch.manual_seed(0)
    model = li2018.make_model("CNN_TF_Att.pooling").to(where)
    if level >= 2:
        model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    precision = device.choose_precision(where) if level >= 3 else torch.float32
    if level >= 1:
        inputs, targets = (
            torch.stack(part) for part in zip(*[(x, torch.tensor(y)) for x, y in FromDisk()], strict=True)
        )
        inputs, targets = inputs.to(where), targets.to(where)

    def batches():
        if level == 0:
            yield from torch.utils.data.DataLoader(FromDisk(), BATCH, shuffle=True)
        else:
            for chosen in torch.randperm(len(inputs)).to(where).split(BATCH):
                yield inputs[chosen], targets[chosen]

    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for pictures, labels in batches():
            with device.autocast(where, precision):
                loss = nn.functional.cross_entropy(model(pictures.to(where)), labels.to(where))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        loss.item()  # wait for the device
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[1], "environment": environment()}


def measure() -> dict:
    """Each setting in a fresh process, two rounds, the faster of each."""
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(2):
        for level, name in enumerate(SETTINGS):
            command = [sys.executable, __file__, "--level", str(level)]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found[name].append(result["seconds"])
    seconds = {name: min(times) for name, times in found.items()}
    return {
        "segments_per_second": {name: round(SEGMENTS / value, 1) for name, value in seconds.items()},
        "times_faster": {name: round(seconds["plain loop"] / value, 1) for name, value in seconds.items()},
        "environment": result["environment"],
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", type=int, help="measure one setting in this process (what the others call)")
    parser.add_argument("--keep", action="store_true", help="write the result to serlib/reference/speed.json")
    arguments = parser.parse_args()
    if arguments.level is not None:
        print(json.dumps(epoch_seconds(arguments.level)))
    else:
        result = measure()
        before = None
        for name, rate in result["segments_per_second"].items():
            step = f"  {rate / before:4.1f} x the line above" if before else ""
            print(f"{name:16} {rate:7.1f} segments/s  {result['times_faster'][name]:5.1f} x the plain loop{step}")
            before = rate
        print(", ".join(f"{key} {value}" for key, value in result["environment"].items()))
        if arguments.keep:
            (REFERENCE / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
