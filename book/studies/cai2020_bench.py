"""What does a step of Algorithm 1 cost? `make bench CHAPTER=cai2020`: the authors' way and ours, factor by factor.

Eight speakers bring 24 segments each; in the paper's batches IEMOCAP's bring twice as many. The authors' way: three
auxiliary passes, one more for the transfer stage and one for fine-tuning, one speaker after the other, in float32.
Then, one change after the other: one pass with the mean of three losses; one forward for transfer and fine-tuning;
convolutions of what the pooling looks at, with channels last within; channels last everywhere; kept memory; bfloat16,
where the processor computes in it. The ways take turns, and of each the fastest round is kept. Memory that is kept
cannot be given back, so each half runs in a process of its own. And what was tried and is not used: the eight inner
updates side by side with `vmap`, and a thread for each core. The factors are what counts. Let nothing else run.
`--keep` writes it all to serlib/reference/speed_cai2020.json, where the book finds it.
"""

import argparse
import contextlib
import copy
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import conv2d, cross_entropy, max_pool2d

from serlib import device
from serlib.papers import cai2020
from serlib.papers.cai2020 import Brought, ClassWeights, Rates, speaker_step
from serlib.runs import REFERENCE, environment

SPEAKERS = 8
FIRST = ("as the authors", "one pass for three", "one forward for two", "what is pooled", "channels last")
SECOND = ("kept memory", "bfloat16")


def people(segments: int) -> list[Brought]:
    """What eight speakers bring: noise, for time does not depend on what is said."""
    where, labels = device.choose_device(), torch.arange(segments) % 4
    levels = labels[:, None].repeat(1, 3)
    made = [Brought(str(n), torch.randn(segments, 300, 200), labels, levels) for n in range(SPEAKERS)]
    return [own.to(where) for own in made]


def authors_speaker(network: cai2020.MMTL, own: Brought, w: ClassWeights, rates: Rates, passes: int) -> list[Tensor]:
    """Lines 4 to 11 with a forward for each loss, and the auxiliary tasks in so many passes."""
    said_by, descend, gradients_of = cai2020.said_by, cai2020.descend, cai2020.gradients_of
    theta, phi = dict(network.meta.named_parameters()), dict(network.transfer.named_parameters())
    together = [own] if passes == 1 else [own._replace(levels=own.levels[:, [j]]) for j in range(3)]
    of_tasks = [w._replace(levels=w.levels[: each.levels.shape[1]]) for each in together]
    pairs = zip(together, of_tasks, strict=True)
    found = [cai2020.multi_train(network.meta, theta, each, share, _same)[0] for each, share in pairs]
    practised = {name: sum(each[name] for each in found) / len(found) for name in theta}
    adapted = {name: each.detach().requires_grad_() for name, each in descend(theta, practised, rates.alpha).items()}
    with torch.no_grad():
        bins = said_by(network.meta, adapted, own.inputs)
    moved, _ = cai2020.transfer(network.transfer, phi, bins, own, w, _same)
    told = {name: each.detach().requires_grad_() for name, each in descend(phi, moved, rates.beta).items()}
    scores = said_by(network.transfer, told, said_by(network.meta, adapted, own.inputs))
    loss = w.on_emotions(scores, own)
    return [*gradients_of(loss, cai2020.whole(adapted, told), _same).values()]


def _same(loss: Tensor) -> Tensor:
    return loss


def speakers_in_turn(step, network: nn.Module, batch: list[Brought], w: ClassWeights) -> float:
    """Seconds of a whole step, gradients added up."""
    start = time.perf_counter()
    total = None
    for own in batch:
        found = step(network, own, w)
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
    float(total[0].sum())  # wait for the device
    return time.perf_counter() - start


def everywhere(convolve: nn.Conv2d, maps: Tensor) -> Tensor:
    """The convolution, all that it has of positive values, and then their maxima, as the tables of papers have it."""
    maps = maps.clone(memory_format=torch.contiguous_format)
    half = [size // 2 for size in convolve.kernel_size]
    return max_pool2d(conv2d(maps, convolve.weight, convolve.bias, padding=half).relu(), 2)


def ours(network: nn.Module, own: Brought, w: ClassWeights) -> list[Tensor]:
    """As the chapter does."""
    [found], _ = speaker_step(network, own, w, Rates(), "fomaml")
    return [*found.values()]


def measure(names: tuple[str, ...], rounds: int, segments: int) -> dict[str, float]:
    """Seconds of a step, each way, in one process; the ways take turns."""
    where = device.choose_device()
    batch, w = people(segments), ClassWeights(torch.ones(4, device=where), torch.ones(3, 4, device=where))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    whole, plain, last = (cai2020.make_model("MMTL").eval().to(where) for _ in range(3))
    last.to(memory_format=torch.channels_last)
    for convolve in cai2020.front_of(whole).listen.convolve:
        convolve.forward = partial(everywhere, convolve)
    ways = {
        "as the authors": (whole, partial(authors_speaker, rates=Rates(), passes=3), "float32"),
        "one pass for three": (whole, partial(authors_speaker, rates=Rates(), passes=1), "float32"),
        "one forward for two": (whole, ours, "float32"),
        "what is pooled": (plain, ours, "float32"),
        "channels last": (last, ours, "float32"),
        "kept memory": (last, ours, "float32"),
        "bfloat16": (last, ours, "bfloat16"),
    }
    for _ in range(1 + rounds):
        for name in names:
            network, step, precision = ways[name]
            with computing_in(precision):
                seconds[name].append(speakers_in_turn(step, network, batch, w))
    return {name: min(found[1:]) for name, found in seconds.items()}


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """float32 or bfloat16 for a while."""
    before = os.environ.get("SERLIB_PRECISION")
    os.environ["SERLIB_PRECISION"] = precision
    try:
        yield
    finally:
        os.environ.pop("SERLIB_PRECISION") if before is None else os.environ.update(SERLIB_PRECISION=before)


def tried(rounds: int) -> dict[str, float]:
    """Seconds of the inner updates alone (lines 4 to 7), one speaker after the other and otherwise, in float32."""
    network, batch = cai2020.make_model("MMTL").eval(), people(2)
    theta = {name: each.detach() for name, each in network.meta.named_parameters()}
    everyone, levels = torch.stack([own.inputs for own in batch]), torch.stack([own.levels for own in batch])

    def support(theta, inputs, levels, network=network):
        logits = functional_call(network.meta, theta, (inputs,)).float()
        return torch.stack([cross_entropy(logits, column) for column in levels.unbind(1)]).mean()

    # Weights of their own, as from the second inner step on, or with speakers who remember.
    own_weights = {name: each.repeat(SPEAKERS, *[1] * each.ndim) for name, each in theta.items()}

    # A thread may not put its weights into a network in which another one computes.
    networks = [copy.deepcopy(network) for _ in batch]

    def one(number):
        mine = {name: each[number].clone().requires_grad_() for name, each in own_weights.items()}
        return torch.autograd.grad(support(mine, everyone[number], levels[number], networks[number]), [*mine.values()])

    def threads():
        with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(one, range(SPEAKERS)))

    ways = {
        "one speaker after the other": lambda: [one(number) for number in range(SPEAKERS)],
        "side by side, vmap": lambda: vmap(grad(support))(own_weights, everyone, levels),
        "a thread for each core": threads,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            found[name].append(time.perf_counter() - start)
    return {name: round(min(seconds[1:]), 3) for name, seconds in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write the result to serlib/reference/speed_cai2020.json")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--segments", type=int, default=24, help="of each of eight speakers; by default 24")
    parser.add_argument("--half", choices=("first", "second", "tried"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.half:
        if arguments.half == "second":
            device.keep_pages()
        names = {"first": FIRST, "second": SECOND}.get(arguments.half)
        print(json.dumps(measure(names, arguments.rounds, arguments.segments) if names else tried(arguments.rounds)))
        sys.exit()
    seconds, other = {}, {}
    for half in ("first", "second", "tried"):
        line = [sys.executable, "-W", "ignore", __file__, "--half", half]
        line += ["--rounds", str(arguments.rounds), "--segments", str(arguments.segments)]
        found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        (other if half == "tried" else seconds).update(found)
    whole, before = seconds["as the authors"], None
    for name, took in seconds.items():
        factor = f"{before / took:.2f} times the way before, " if before else ""
        print(f"{name}: {took:.2f} s a step; {factor}{whole / took:.2f} times the authors'")
        before = took
    print("the inner updates alone:", other)
    kept = {key: environment()[key] for key in ("device", "threads", "torch")}
    result = {"seconds_of_a_step": {name: round(took, 3) for name, took in seconds.items()}, "seconds_of_inner": other}
    result |= {
        "segments_of_a_step": SPEAKERS * arguments.segments,
        "environment": kept,
        "date": datetime.date.today().isoformat(),
    }
    if arguments.keep:
        (REFERENCE / "speed_cai2020.json").write_text(json.dumps(result, indent=1) + "\n")
