"""Why does MOMA not learn? A screen of causes, one at a time: `make screen`.

The first fold of EmoDB, two actors left out, ten epochs of whole utterances, one seed; after every epoch what training
did. And before training, over ten seeds, how differently a network answers different utterances. It goes into
reference/jalal2020/screen.npz, and takes three quarters of an hour on one core.
"""

from functools import partial
from typing import NamedTuple

import librosa
import numpy as np
import torch
from jalal2020_findings import both_layers, spreads
from scipy import stats
from shared import keep_findings
from torch import nn
from torch.nn.functional import cross_entropy

import serlib
from serlib import corpora, metrics, protocols
from serlib.audio import read_row
from serlib.features import log_mel
from serlib.papers import jalal2020
from serlib.papers.jalal2020 import MOMA, Schedule
from serlib.runs.make import network_run, plan
from serlib.training import fit, predict

EPOCHS, SEEDS = 10, 10
MEASURES = (
    *("training loss", "development loss", "development UAR", "test UAR", "happiness answered"),
    *("spread of scores", "distance", "unevenness 1", "unevenness 2"),
)


class Cause(NamedTuple):
    """What is tried; without anything it is the book's first recipe, on whole utterances and averaged frames."""

    statistics: str | None = None
    rate: float = 1e-4
    averaged: int = 3
    longest: float | None = None
    trimmed: bool = False
    forget: bool = False


CAUSES = {
    "as it was": Cause(),
    "crops of 1.5 s": Cause(longest=1.5),
    "every frame": Cause(averaged=1),
    "silence cut off": Cause(trimmed=True),
    "forget gates open": Cause(forget=True),
    "five times the rate": Cause(rate=5e-4),
    "statistics of the training part": Cause("training"),
    "both": Cause("training", 5e-4),
    "statistics of the training part, every frame": Cause("training", averaged=1),
}


def heard(table, trimmed: bool) -> list[np.ndarray]:
    """Log-mel features of all rows, if wanted without what lies 30 dB under the peak at either end."""
    sounds = [read_row(row) for row in table.itertuples()]
    return [log_mel(librosa.effects.trim(sound, top_db=30)[0] if trimmed else sound) for sound in sounds]


def network_of(task, fold, cause: Cause, mels: list[np.ndarray], seed: int) -> MOMA:
    """MOMA before training, with its front end."""
    schedule = Schedule(averaged=cause.averaged)
    network = jalal2020.begin(task, fold, "MOMA", schedule, seed)
    if cause.statistics:
        network.front_end.measure([mels[row] for row in fold.train])
    if cause.forget:
        for lstm in (*network.encoder.ahead, *network.encoder.back):
            size = lstm.hidden_size
            nn.init.ones_(lstm.bias_ih_l0.data[size : 2 * size])
    return network


def followed(task, fold, cause: Cause, mels: list[np.ndarray]) -> np.ndarray:
    """MEASURES before training and after every epoch, `(epochs + 1, measures)`."""
    network = network_of(task, fold, cause, mels, 0)
    labels = torch.tensor(task.labels)
    begun = [weight.detach().clone() for weight in network.parameters()]
    train, develop, test = ([network.front_end(mels[row]) for row in side] for side in _sides(fold))
    shares = np.bincount(task.labels[fold.train])
    rows = []

    @torch.no_grad()
    def measure(model: MOMA) -> float:
        scores = predict(model, develop, 32)
        answers = [part.argmax(1).numpy() for part in (scores, predict(model, test, 32))]
        uars = [metrics.uar(task.labels[side], part) for side, part in zip(_sides(fold)[1:], answers, strict=True)]
        moved = [(now - then).abs().max().item() for now, then in zip(model.parameters(), begun, strict=True)]
        weights = [both_layers(model, part) for part in develop]
        loss = cross_entropy(scores, labels[fold.validation]).item()
        happy = int((answers[1] == 1).sum())
        uneven = 1000 * (1 - spreads(weights).mean(0))
        rows.append([np.nan, loss, *uars, happy, scores.std(0).mean().item(), max(moved), *uneven])
        return loss

    measure(network.eval())
    steps = cause.longest and round(100 * cause.longest / cause.averaged)
    batches = partial(jalal2020.crops, train, labels[fold.train], 8, steps)
    adam = partial(torch.optim.Adam, lr=cause.rate)
    _, history = fit(network.train(), batches, adam, epochs=EPOCHS, clip=5.0, score=measure, minimise=True)
    for row, epoch in zip(rows[1:], history, strict=True):
        row[0] = np.mean(epoch["losses"]) - stats.entropy(shares)
    return np.array(rows, np.float32)


def _sides(fold) -> tuple[np.ndarray, ...]:
    return fold.train, fold.validation, fold.test


def screen() -> None:
    """All of it, into reference/jalal2020/screen.npz."""
    task = protocols.common_loso(corpora.load("emodb"))
    fold, found = task.folds[0], {}
    whole = {trimmed: heard(task.table, trimmed) for trimmed in (False, True)}
    silence = [len(part) / len(all_of) for part, all_of in zip(whole[True], whole[False], strict=True)]
    before = np.zeros((2, SEEDS), np.float32)
    for reading, statistics in enumerate((None, "training")):
        for seed in range(SEEDS):
            network = network_of(task, fold, Cause(statistics), whole[False], seed)
            inputs = [network.front_end(whole[False][row]) for row in fold.validation]
            before[reading, seed] = predict(network, inputs, 32).std(0).mean()
    for name, cause in CAUSES.items():
        found[name] = followed(task, fold, cause, whole[cause.trimmed])
        print(name, dict(zip(MEASURES, found[name][-1].round(3).tolist(), strict=True)), flush=True)
    schedules = [Schedule(batch_size=8, statistics=statistics, averaged=3) for statistics in (None, "training")]
    about = [plan(network_run(jalal2020.CHAPTER, task, "MOMA", each), None)[0].blank for each in schedules]
    arrays = {"before": before, "kept": np.array(silence, np.float32), "measures": np.array(MEASURES)}
    arrays |= {"causes": np.array([*CAUSES]), "followed": np.stack([*found.values()])}
    updates = EPOCHS * -(-len(fold.train) // 8)
    keep_findings("jalal2020/screen", about, updates=np.array(updates), **arrays)


if __name__ == "__main__":
    print(serlib.setup())
    screen()
