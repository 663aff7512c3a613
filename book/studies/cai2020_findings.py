"""What does adapting to the tested speaker's ratings do? `make findings CHAPTER=cai2020`: a record for each network.

Every trained network of chapter 4 that has auxiliary tasks adapts, as the released code does, once to the development
speaker's bins and once to the tested speaker's own. The records keep what is heard before and after each noted epoch;
the chapter makes its five evaluations of them. A network whose folds are not all trained yet is left out, and said so.
And what do the four outputs that are to name bins say before any adaptation? Their loss on the bins of the tested
speakers, and their mean for each emotion (`bins`).
"""

from collections.abc import Iterator

import numpy as np
import reference
import torch
from shared import RUNS, keep_findings
from sklearn.linear_model import LogisticRegression

from serlib import runs
from serlib.errors import InputError
from serlib.metrics import uar
from serlib.papers import cai2020
from serlib.protocols import Fold, Task
from serlib.runs import Record
from serlib.runs.make import plan
from serlib.runs.record import joined

HOW = cai2020.Adaptation(epochs=40, noted=(1, 2, 5, 10, 20, 40))
FOLDER = RUNS / "cai2020"


def trained() -> Iterator[tuple[Record, Task]]:
    """The networks of the list that have auxiliary tasks and are trained, each once."""
    seen = set()
    for item in sorted(reference.items(), key=lambda item: -(item.folds or 99)):  # what has more folds holds the others
        if item.chapter != "cai2020" or item.model in cai2020.ALONE:
            continue
        try:
            run = item.run()
        except InputError as error:
            print(f"{item.model} on {item.corpus}: {error}")
            continue
        parts = plan(run, FOLDER)
        if not all(part.path.exists() for part in parts):
            print(f"{item.model} on {item.corpus}, seed {item.seed}: not all of its folds are trained yet")
        elif (home := parts[0].place.parent) not in seen:
            seen.add(home)
            yield joined([runs.read_record(part.path) for part in parts], FOLDER), run.task


@torch.no_grad()
def of_bins(record: Record, task: Task, fold: Fold) -> tuple[float, np.ndarray]:
    """How a network names bins before it adapts: mean loss over tested speakers; shares by emotion `(4, 4)`."""
    network = runs.load(cai2020.make_model(record.model), FOLDER, record, fold.name).eval()
    first = bool(cai2020.front_of(network).padded_first)
    losses, shares, emotions = [], [], []
    for own in cai2020.brought_by(task, fold.test, record.model, first):
        logits, w = network.bins(own.inputs).float(), cai2020.weights_of([own])
        losses.append(cai2020.bins_loss(logits, own.levels, w.levels).item())
        shares.append(logits.softmax(-1).mean(1))
        emotions.append(own.emotions)
    shares, emotions = torch.cat(shares), torch.cat(emotions)
    return float(np.mean(losses)), np.stack([shares[emotions == each].mean(0).numpy() for each in range(4)])


@torch.no_grad()
def read_out(record: Record, task: Task, fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    """Emotions of the tested utterances, and what a fresh linear layer, trained to the end, reads in four outputs."""
    network = runs.load(cai2020.make_model(record.model), FOLDER, record, fold.name).eval()
    sides = []
    for rows in (fold.train, fold.test):
        found = [
            network.bins(parts).float().log_softmax(-1).mean((0, 1)) for parts in cai2020.heard(task.table.iloc[rows])
        ]
        sides.append((torch.stack(found).numpy(), task.labels[rows]))
    (train, labels), (test, expected) = sides
    return expected, LogisticRegression(max_iter=10_000, class_weight="balanced").fit(train, labels).predict(test)


def keep_read_out(networks: list[tuple[Record, Task]]) -> None:
    """What could be read in the four outputs of each MMTL on EmoDB."""
    found = {}
    networks = [(r, task) for r, task in networks if r.corpus.startswith("emodb") and r.model.startswith("MMTL")]
    for record, task in networks:
        pairs = [read_out(record, task, fold) for fold in task.folds[: len(record.folds)]]
        found[named(record)] = uar(*map(np.concatenate, zip(*pairs, strict=True)))
    arrays = {"names": np.array(list(found)), "uar": np.array(list(found.values()))}
    keep_findings("cai2020/read_out", [record for record, _ in networks], **arrays)


def named(record: Record) -> tuple[str, ...]:
    """How a row of the findings names a network."""
    changed = [
        f"{key} {record.settings[key]}" for key in ("padding", "double_softmax", "inner") if key in record.settings
    ]
    rule = ", ".join([record.settings.get("rule", "fomaml"), *changed])
    return record.corpus, record.model, rule, str(record.seed)


def keep_bins(networks: list[tuple[Record, Task]]) -> None:
    """What is said of bins; of a network whose weights lie elsewhere, what was found of it there stays."""
    found = {}
    for record, task in sorted(networks, key=lambda pair: pair[0].updates()):  # of one trained twice, the longer
        losses, shares = zip(*(of_bins(record, task, fold) for fold in task.folds[: len(record.folds)]), strict=True)
        found[named(record)] = np.mean(losses), np.mean(shares, axis=0)
    before = runs.findings("cai2020/bins")
    rows = zip(map(tuple, before["names"].tolist()), before["losses"], before["shares"], strict=True)
    found = {name: (loss, shares) for name, loss, shares in rows} | found
    rest_on = [record for record in runs.reference("cai2020") if named(record) in found] + [r for r, _ in networks]
    losses, shares = zip(*found.values(), strict=True)
    arrays = {"losses": np.array(losses), "shares": np.array(shares, dtype=np.float32)}
    keep_findings("cai2020/bins", rest_on, names=np.array(list(found)), **arrays)


if __name__ == "__main__":
    networks = [*trained()]
    keep_bins(networks)
    keep_read_out(networks)
    for record, task in networks:  # some minutes for each fold
        adaptation = cai2020.adaptation_run(record, FOLDER, task, HOW)
        [adapted] = runs.run_all([adaptation], FOLDER)
        reference.keep(adapted, "cai2020", plan(adaptation, FOLDER)[0].place.parent.name)
