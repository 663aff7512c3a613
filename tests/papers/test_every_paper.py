"""What every paper must satisfy: padding and company change nothing, speakers stay apart, runs stop and go on."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from serlib import protocols, runs
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.metrics import uar
from serlib.papers import cai2020, jalal2020, li2018, zhang2019, zhao2021
from serlib.runs import record
from serlib.training import supervised

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Paper:
    """A chapter, and a corpus for it; the parameters of its networks; one of them that trains fast, and how.

    `schedule` are a few updates, `learns` what makes of it one after which the UAR is `above` something. `sizes` says
    how many examples each batch holds; `alone`, whether an example trains as it does without the others.
    """

    module: ModuleType
    protocol: Callable
    corpus: str
    parameters: dict[str, int]
    trained: str
    schedule: object
    learns: dict
    above: float
    padded: bool = True
    alone: bool = True
    sizes: Callable = lambda batch: len(batch[1])


LAYER, REST = 262_529, 8_499_200 + 1_049_600 + 4100  # of MOMA: an attention, and what no attention is
THETA = 16 * 193 + 24 * (16 * 96 + 1) + 32 * (24 * 35 + 1) + 952_320 + 64 * 257 + 4 * 65  # MMTL's meta learner
RECURRENT, SOFT = 256_000 + 4 * 257, 128 * 258  # SATN's encoders with the last layer, and its soft attention
CAUSAL = (3 * 120 + 9 * 3 * 256 + 10 * 2 + 121) * 256 + 4 * 257  # taps, biases and norms, and one way past a block
PAPERS = [
    Paper(
        li2018,
        protocols.li2018,
        "tones",
        {
            "CNN_TF_GAP": 93_492,
            "CNN_TF_Bilinear": 118_772,
            "CNN_TF_Att.pooling": 93_573,
            "CNN_TF_Att.pooling, averaged": 93_573,
            "CNN_TF_Att.pooling, no softmax": 93_573,
            "Conv1_10x2": 16 * 20 + 16 + 32 + 4 * 17,
        },
        trained="Conv1_10x2",
        schedule=li2018.Schedule(4, batch_size=8, learning_rate=0.05, milestones=(2, 3)),
        learns={"name": "Conv1_100x1", "epochs": 8, "batch_size": 4, "learning_rate": 0.2, "milestones": (7,)},
        above=0.4,
        padded=False,
    ),
    Paper(
        zhang2019,
        protocols.zhang2019_inferred,
        "speech",
        {
            "OS+RNNs": 3 * 128 * (23 + 128 + 2) + 99_072 + 3 * 129,
            "e2e STL": 706_579,
            "e2e STL+att.": 706_707,
            "e2e STL, averaged": 706_579,  # as many as with the last state
            "e2e MTL": 707_353,
            "e2e MTL+att.": 707_737,
            "e2e MTL, averaged": 707_353,
        },
        trained="e2e MTL+att.",
        schedule=zhang2019.Schedule(4, batch_size=16, learning_rate=1e-3, longest=0.05),
        learns={"epochs": 6, "batch_size": 6, "learning_rate": 2e-3, "longest": 0.08},
        above=0.45,
    ),
    Paper(
        jalal2020,
        protocols.jalal2020,
        "speech",
        {
            "MOMA": REST + 4 * LAYER + 3,
            "no attention": REST,
            "layer 1 only": REST + LAYER,
            "layer 2 only": REST + 3 * LAYER + 3,
            "one block": REST + 2 * LAYER + 1,
            "two blocks": REST + 3 * LAYER + 2,
            "five blocks": REST + 6 * LAYER + 5,
            "fixed gammas": REST + 4 * LAYER + 3,
            "mean one": REST + 4 * LAYER + 3,
            "CNN_LSTM": 16 * 193 + 24 * (16 * 96 + 1) + 32 * (24 * 35 + 1) + 952_320 + 4 * 257,
        },
        trained="MOMA",
        schedule=jalal2020.Schedule(4, batch_size=8, learning_rate=0.02, plateau=0, longest=0.1),
        learns={"epochs": 15, "longest": None, "plateau": 4},
        above=0.6,
    ),
    Paper(
        cai2020,
        protocols.cai2020,
        "speech",
        {
            **{name: THETA + 20 for name in ("MMTL, V", "MMTL, A", "MMTL, D", "MMTL, V+D", "MMTL, A+D", "MMTL, V+A")},
            **{"MMTL": THETA + 20, "CNN_LSTM": THETA},
            **{"CNN_LSTM + MTL": THETA + 3 * 260, "CNN_LSTM + MTL, V+A": THETA + 2 * 260},
            "CNN_LSTM + angular softmax": THETA - 4,  # its last layer has no bias
        },
        trained="MMTL",
        schedule=cai2020.Schedule(4, batch_size=4, learning_rate=3e-3),
        learns={"epochs": 40},
        above=0.45,
        padded=False,
        alone=False,  # what a speaker's segments do to one another is the point of an inner step
        sizes=lambda batch: max(len(own.emotions) for own in batch),
    ),
    Paper(
        zhao2021,
        protocols.zhao2021,
        "speech",
        {
            "BLSTM+soft attention": RECURRENT + SOFT,
            "BLSTM+self-attention": RECURRENT + 3 * 256**2,
            "TCN+soft attention": CAUSAL + SOFT,
            "TCN+self-attention": CAUSAL + 3 * 256**2,
            "Attention+RNN": RECURRENT + 256,
        },
        trained="TCN+self-attention",
        schedule=zhao2021.Schedule(4, batch_size=8, learning_rate=1e-3),
        learns={"epochs": 12},
        above=0.45,
    ),
]
NETWORKS = [(paper, name) for paper in PAPERS for name in paper.parameters]


def said(part):
    """The name of a test: a chapter's, a network's, or a setting."""
    return part.module.CHAPTER.name if isinstance(part, Paper) else str(part)


every_paper = pytest.mark.parametrize("paper", PAPERS, ids=said)
every_network = pytest.mark.parametrize(("paper", "name"), NETWORKS, ids=said)


def test_no_network_is_missing():
    """Else a network could be added that nothing here has seen."""
    found = {paper.module.CHAPTER.name: [*paper.parameters] for paper in PAPERS}
    assert found == {chapter: of["networks"] for chapter, of in record.CHAPTERS.items()}


@pytest.fixture
def task(paper, request, features, monkeypatch):
    """What the paper makes of its corpus, without the long utterances."""
    monkeypatch.setenv("SERLIB_CACHE", str(features))
    table = read_folder(request.getfixturevalue(paper.corpus))
    return paper.protocol(table[table["duration"] < 3].reset_index(drop=True))


def shorter(paper, **changes):
    """The paper's own schedule, but for utterances of 0.1 s where it crops, and the changes."""
    cut = {"longest": 0.1} if hasattr(paper.schedule, "longest") else {}
    return paper.module.Schedule(**cut | changes)


def backward_of(seen):
    return seen.get("backward") or supervised()


# Networks


@pytest.mark.parametrize(
    ("paper", "name", "special"),
    [(*network, {}) for network in NETWORKS] + [(PAPERS[1], "e2e STL", {"dropout_at": "input"})],
    ids=said,
)
def test_a_whole_step_needs_nothing_but_the_device(paper, name, special, task, handed, monkeypatch):
    """Else a GPU would wait for the CPU in every step, or find a tensor there; or a part of the network not learn.

    A tensor on torch's device `meta` has no numbers: whoever looks at one, or brings a tensor from elsewhere, fails.
    """
    monkeypatch.setattr(paper.module, "choose_device", lambda: torch.device("meta"))
    seen = handed(paper.module.train, task, task.folds[0], name, shorter(paper, batch_size=4, **special))
    model = seen["model"].to("meta").train()
    assert sum(parameter.numel() for parameter in model.parameters()) == paper.parameters[name]
    optimiser = seen["make_optimiser"](model.parameters())
    loss = backward_of(seen)(model, next(iter(seen["epoch_of"](torch.Generator()))), lambda loss: loss)
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    assert loss.is_meta and loss.shape == ()
    learn = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.numel()]
    assert all(parameter.grad is not None and parameter.grad.is_meta for parameter in learn)


@pytest.fixture
def together(paper, name, task, handed):
    """A network in eval mode, its `backward`, and a batch of five training examples of unequal length."""
    fold = dataclasses.replace(task.folds[0], train=task.folds[0].train[[0, 13, 3, 11, 7]])
    seen = handed(paper.module.train, task, fold, name, shorter(paper, batch_size=8))
    batches, model = [*seen["epoch_of"](torch.Generator().manual_seed(0))], seen["model"].eval()
    if not paper.alone:
        inputs, targets = (torch.cat(parts)[:5] for parts in zip(*(own[1:3] for own in batches[0]), strict=True))
        return model, None, inputs[:, :60], targets
    [(inputs, targets)] = batches
    if not paper.padded:
        return model, backward_of(seen), inputs[:, :40, :20], targets  # a part of a spectrogram is faster
    padded, lengths = inputs
    more = nn.functional.pad(padded, [0, 0] * (padded.ndim - 2) + [0, padded.shape[1]])  # as long again
    return model, backward_of(seen), (more, lengths), targets


def only(inputs, rows):
    """Some rows of a batch, without padding that they do not need."""
    if isinstance(inputs, torch.Tensor):
        return inputs[rows]
    padded, lengths = inputs
    return padded[rows, : lengths[rows].max()], lengths[rows]


def close(found, expected, tolerance=1e-5):
    """Equal, as measured by the largest number there is."""
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * max(1e-30, float(expected.abs().max())))


@every_network
def test_company_and_padding_change_nothing(together):
    """Else a test set in another order, or a part of it, would give other predictions."""
    model, _, inputs, targets = together
    with torch.no_grad():
        scores, order = model(inputs), [2, 0, 4, 3, 1]
        assert len(scores) == len(targets) == 5 and scores.std(0).min() > 0
        close(model(only(inputs, order)), scores[order])
        for row in range(5):
            close(model(only(inputs, [row])), scores[[row]])


@pytest.mark.parametrize(("paper", "name"), [network for network in NETWORKS if network[0].alone], ids=said)
def test_company_and_padding_train_nothing(together):
    """Else a gradient would depend on how long the longest of a batch is."""
    model, backward, inputs, targets = together

    def gradients(rows):
        model.zero_grad()
        backward(model, (only(inputs, rows) if len(rows) == 1 else inputs, targets[rows]), lambda loss: loss)
        return {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}

    alone = [gradients([row]) for row in range(5)]
    largest = max(float(gradient.abs().max()) for gradient in alone[0].values())
    for key, found in gradients([*range(5)]).items():
        mean = sum(each[key] for each in alone) / 5
        torch.testing.assert_close(found, mean, rtol=1e-3, atol=1e-5 * largest)


# Training


@every_paper
def test_fit_gets_what_train_was_told(paper, task, handed):
    """Else a setting would be asked for, noted in the record, and not be used."""
    schedule = dataclasses.replace(paper.schedule, epochs=7, batch_size=3, learning_rate=0.123, most_updates=5)
    schedule = dataclasses.replace(schedule, minutes=0.5)
    told = {"seed": 4, "checkpoint": Path("a"), "watch": print}
    seen = handed(paper.module.train, task, task.folds[0], paper.trained, schedule, **told)
    told |= {"epochs": 7, "most_updates": 5, "minutes": 0.5}
    assert {key: seen[key] for key in told} == told
    assert seen["make_optimiser"](seen["model"].parameters()).defaults["lr"] == 0.123
    sizes = [paper.sizes(batch) for batch in seen["epoch_of"](torch.Generator())]
    assert max(sizes) == 3 and sum(size < 3 for size in sizes) <= 1


def spoiled(task, rows):
    """A task whose `rows` have the sound of others of them, and the labels of yet others."""
    table = task.table.copy()
    table.loc[rows, "path"] = table["path"].to_numpy()[np.roll(rows, 1)]

    def moved(labels):
        labels = labels.copy()
        labels[rows] = labels[np.roll(rows, 3)]
        return labels

    auxiliary = {name: moved(labels) for name, labels in task.auxiliary.items()}
    return dataclasses.replace(task, table=table, labels=moved(task.labels), auxiliary=auxiliary)


@every_paper
def test_training_hears_the_training_speakers_only(paper, task, small_networks):
    """Else who is tested would be trained on, or chosen on; or who is chosen on be trained on."""
    [fold, *_], train = task.folds, paper.module.train
    speakers = [{*task.table["speaker"].iloc[rows]} for rows in (fold.train, fold.validation, fold.test)]
    assert not speakers[0] & speakers[1] and not (speakers[0] | speakers[1]) & speakers[2]

    def losses(task):
        _, history = train(task, fold, paper.trained, paper.schedule)
        return [epoch["losses"] for epoch in history], [epoch.get("score") for epoch in history]

    found, untested = losses(task), spoiled(task, fold.test)
    untested.table.loc[fold.test, "path"] = "/nowhere.wav"
    assert losses(untested) == found != losses(spoiled(task, fold.train))
    if len(fold.validation):
        unchosen = losses(spoiled(task, fold.validation))
        assert unchosen[0][0] == found[0][0] and unchosen[1] != found[1]  # the rate may fall at another epoch


@every_paper
def test_it_learns(paper, task, small_networks):
    """Else a network could be trained for a night and answer by chance."""
    changes, [fold, *_] = {"name": paper.trained} | paper.learns, task.folds
    name, train = changes.pop("name"), paper.module.train
    network, history = train(task, fold, name, dataclasses.replace(paper.schedule, **changes))
    assert np.mean(history[-1]["losses"]) < 0.85 * np.mean(history[0]["losses"])
    scores = paper.module.answers(network, task, fold, name)["scores"]
    assert uar(task.labels[fold.test], scores.argmax(1)) > paper.above


@every_network
def test_answers(paper, name, task, small_networks):
    """Else answers would be no probabilities, of other utterances, or depend on who else is tested."""
    model, fold = paper.module.CHAPTER.make_model(name).eval(), task.folds[0]
    found = paper.module.answers(model, task, fold, name)
    assert {"scores"} <= found.keys() <= {"scores", "dimensions", "validation"}
    few = dataclasses.replace(fold, test=fold.test[[-1, 2]])
    others = paper.module.answers(model, task, few, name)
    parts = [(found, fold.test), *([(found["validation"], fold.validation)] if "validation" in found else [])]
    for part, rows in parts:
        assert {*part.get("dimensions", ())} <= {*task.auxiliary} - {task.dimension}
        for scores in (part["scores"], *part.get("dimensions", {}).values()):
            assert scores.shape == (len(rows), len(task.classes)) and scores.min() >= 0
            np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(others["scores"], found["scores"][[-1, 2]], atol=1e-5)
    for dimension, scores in found.get("dimensions", {}).items():
        np.testing.assert_allclose(others["dimensions"][dimension], scores[[-1, 2]], atol=1e-5)


# Runs


def reproduce(paper, task, folder=None, schedule=None, **more):
    """The record of the first fold."""
    more = {"folds": 1, "name": paper.trained} | more
    return runs.reproduce(paper.module.CHAPTER, task, schedule=schedule or paper.schedule, folder=folder, **more)


def untimed(record):
    """What a run ends in, without the seconds."""
    folds = [{key: value for key, value in fold.items() if key != "seconds"} for fold in record.folds]
    return [fold | {"curve": {**fold["curve"], "seconds": None}} for fold in folds]


def assert_same_runs(one, other):
    """Two folders hold the same weights, to the last bit, and no checkpoint."""
    (weights, expected) = ({path.name: load_file(path) for path in f.glob("*/*.safetensors")} for f in (one, other))
    assert weights.keys() == expected.keys() and weights and not [*one.glob("*/*.checkpoint")]
    for name, tensors in expected.items():
        assert tensors.keys() == weights[name].keys()
        assert all(torch.equal(weights[name][key], tensor) for key, tensor in tensors.items()), name


@every_paper
def test_a_stopped_run_goes_on(paper, task, tmp_path, small_networks):
    """Else a run that was stopped would end in other weights than one that was not."""

    def stop(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(paper, task, tmp_path / "stopped", watch=stop)
    epochs = []
    record = reproduce(paper, task, tmp_path / "stopped", watch=lambda history: epochs.append(len(history)))
    assert epochs == [3, 4]
    assert untimed(record) == untimed(reproduce(paper, task, tmp_path / "whole"))
    assert_same_runs(tmp_path / "stopped", tmp_path / "whole")


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from serlib import runs
from serlib.corpora import read_folder
from serlib.papers.li2018 import CHAPTER, Schedule
from serlib.protocols import li2018
schedule = Schedule(4, batch_size=8, learning_rate=0.05, milestones=(2, 3))
say = lambda history: print(len(history), flush=True)
task = li2018(read_folder(sys.argv[1]))
runs.reproduce(CHAPTER, task, "Conv1_10x2", schedule, folder=Path(sys.argv[2]), folds=2, watch=say)
"""


@pytest.mark.parametrize("paper", PAPERS[:1])
def test_a_killed_run_goes_on(paper, task, tones, tmp_path):
    """Else kill -9 in mid-training, in the second fold, would change a number, or cost the first one."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, tones, tmp_path / "killed"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline().strip() for _ in range(6)] == ["1", "2", "3", "4", "1", "2"]
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len([*tmp_path.glob("*/*/*.json")]) == len([*tmp_path.glob("*/*/*.checkpoint")]) == 1
    epochs = []
    record = reproduce(paper, task, tmp_path / "killed", folds=2, watch=lambda history: epochs.append(len(history)))
    assert epochs in ([3, 4], [4])  # what was trained is not trained again
    assert untimed(record) == untimed(reproduce(paper, task, tmp_path / "whole", folds=2))
    assert_same_runs(tmp_path / "killed", tmp_path / "whole")


@every_paper
def test_a_checkpoint_of_other_utterances_is_refused(paper, task, tmp_path, small_networks):
    """Else a fold that went on from another one's checkpoint would test a speaker on whom it was trained."""
    [fold, *_], path = task.folds, tmp_path / "checkpoint"
    paper.module.train(task, fold, paper.trained, paper.schedule, checkpoint=path)
    less = dataclasses.replace(fold, train=fold.train[2:])
    with pytest.raises(InputError, match="the first update lost"):
        paper.module.train(task, less, paper.trained, paper.schedule, checkpoint=path)


@every_paper
def test_a_finished_run_is_not_trained_again(paper, task, tmp_path, small_networks):
    """Else a second look would cost another night, or show other weights than were tested."""
    chapter, module = paper.module.CHAPTER, paper.module
    record = reproduce(paper, task, tmp_path)
    [fold] = record.folds
    spent = chapter._replace(train=lambda *_: pytest.fail("trained again"))
    again = {"task": task, "name": paper.trained, "schedule": paper.schedule, "folder": tmp_path, "folds": 1}
    assert runs.reproduce(spent, **again) == record and record.is_current()
    network = runs.load(chapter.make_model(paper.trained), tmp_path, record, fold["name"])
    found = module.answers(network, task, task.folds[0], paper.trained)
    np.testing.assert_allclose(found["scores"], fold["scores"], atol=6e-5)
    assert not network.training and fold["label"] == task.labels[task.folds[0].test].tolist()
    for dimension, scores in found.get("dimensions", {}).items():
        assert fold["dimensions"][dimension]["predicted"] == scores.argmax(1).tolist()
    for other in ({"schedule": dataclasses.replace(paper.schedule, learning_rate=0.03)}, {"seed": 1}):
        with pytest.raises(pytest.fail.Exception):
            runs.reproduce(spent, **again | other)


@every_paper
def test_a_seed_is_a_network(paper, task, handed, small_networks):
    """Else three seeds would be one, or begin with the same weights, or a run could not be repeated."""
    states = [
        handed(paper.module.train, task, task.folds[0], paper.trained, paper.schedule, seed)["model"].state_dict()
        for seed in (0, 1, 0)
    ]
    drawn = [key for key, value in states[0].items() if not torch.equal(value, states[1][key])]
    assert drawn and all(torch.equal(value, states[2][key]) for key, value in states[0].items())
    one, other, again = (reproduce(paper, task, seed=seed) for seed in (0, 1, 0))
    assert untimed(one) == untimed(again)
    assert one.folds[0]["first_loss"] != other.folds[0]["first_loss"]
    assert one.folds[0]["scores"] != other.folds[0]["scores"]
