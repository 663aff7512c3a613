"""Make the reference records of chapter 1: `make reference`. Hours on two cores; it goes on where it was stopped.

Every record, weight and array in `serlib/reference` comes from here. EmoDB and RAVDESS are looked for under
SERLIB_DATA, else fetched by audb. A CPU gets a shorter plan than a GPU, and the records say which it was.
`python book/reference_runs.py baselines trained` makes only the parts that are named.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import serlib
from serlib import corpora, protocols
from serlib.audio import read_row, segment
from serlib.baselines import functionals_svm
from serlib.device import choose_device
from serlib.features import spectrogram
from serlib.papers import li2018
from serlib.results import REFERENCE

RUNS = Path(__file__).resolve().parents[1] / "runs"
HEIGHTS = (2, 4, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100)
WIDTHS = (4, 6, 8, 10, 12, 16, 20, 30, 40, 60, 80)
ATTENTION = "CNN_TF_Att.pooling"
MODELS = (ATTENTION, "CNN_TF_GAP", "CNN_TF_Bilinear")


def main_schedule(task: protocols.Task) -> li2018.Schedule:
    """The paper's number of updates on a GPU; on a CPU batches of 16 over the paper's 50 epochs."""
    if choose_device().type == "cuda":
        return li2018.paper_schedule(task)
    return li2018.Schedule(batch_size=16)


def keep(part: str, pattern: str, chapter: str = "li2018") -> None:
    """Copy the finished files of a part of the runs into the package."""
    (REFERENCE / chapter).mkdir(parents=True, exist_ok=True)
    for path in sorted((RUNS / part).glob(pattern)):
        shutil.copy(path, REFERENCE / chapter)


def baselines(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The support vector machine on both corpora."""
    for task in (emodb, ravdess):
        functionals_svm(task, folder=RUNS / "baselines")
    keep("baselines", "*.json")


def trained(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The three networks on EmoDB, all folds; the weights of the first fold's attention network."""
    seeds = range(3) if choose_device().type == "cuda" else range(1)
    for seed in seeds:
        for name in MODELS:
            li2018.reproduce(emodb, name, main_schedule(emodb), seed, RUNS / "trained")
    keep("trained", "*.json")
    keep("trained", f"{ATTENTION}_emodb_{emodb.folds[0].name}_seed0.safetensors")


def under_trained(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The paper's schedule taken by its epochs: batches of 64 make few updates on a small corpus. Three folds."""
    li2018.reproduce(emodb, ATTENTION, li2018.Schedule(), folder=RUNS / "under_trained", folds=3)
    keep("under_trained", "*.json")


def averaged(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The scale trap, trained to the end on one fold."""
    name = f"{ATTENTION}, averaged"
    li2018.reproduce(emodb, name, main_schedule(emodb), folder=RUNS / "averaged", folds=1)
    keep("averaged", "*.json")


def filters(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The sweep of Figure 2: one layer, every shape."""
    shapes = [f"{height}x2" for height in HEIGHTS] + [f"2x{width}" for width in WIDTHS]
    schedule = li2018.Schedule(epochs=10, batch_size=16, milestones=(4, 6, 8))
    for shape in shapes:
        li2018.reproduce(emodb, f"Conv1_{shape}", schedule, folder=RUNS / "filters")
    keep("filters", "*.json", "li2018/filters")


def attention(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """What the attention networks of `trained` look at: maps of one utterance a class, and a number for all."""
    rows, habits, examples = emodb.table, [], []
    for fold in emodb.folds:
        model = li2018.make_model(ATTENTION)
        weights = RUNS / "trained" / f"{ATTENTION}_emodb_{fold.name}_seed0.safetensors"
        model.load_state_dict(load_file(weights))
        waveforms = [read_row(row) for row in rows.iloc[fold.test].itertuples()]
        habits += [(row, li2018.listening_habits(model, wave)) for row, wave in zip(fold.test, waveforms, strict=True)]
        if fold is emodb.folds[0]:
            for label in range(len(emodb.classes)):
                first = next(i for i, row in enumerate(fold.test) if emodb.labels[row] == label)
                piece = spectrogram(segment(waveforms[first], 2, 0.4)[:1])
                picture = li2018.mu_law(li2018.to_unit_range(piece))[0]
                examples.append((fold.test[first], picture, *li2018.attention_maps(model, picture)))
    tested = [row for row, _ in habits]
    np.savez_compressed(
        REFERENCE / "li2018" / "attention_emodb.npz",
        utterance_id=rows["utterance_id"].to_numpy(dtype=str)[tested],
        speaker=rows["speaker"].to_numpy(dtype=str)[tested],
        habits=np.array([values for _, values in habits], dtype=np.float32),
        example_id=rows["utterance_id"].to_numpy(dtype=str)[[example[0] for example in examples]],
        example_speaker=np.array(emodb.folds[0].name),
        emotion=np.array(emodb.classes),
        pictures=np.stack([(255 * example[1]).round().to(torch.uint8).numpy() for example in examples]),
        weights=np.stack([example[2] for example in examples]).astype(np.float32),
        top_down=np.stack([example[3] for example in examples]).astype(np.float16),
    )


if __name__ == "__main__":
    print(serlib.setup())
    parts = (baselines, trained, under_trained, averaged, filters, attention)
    for folder in ("baselines", "trained", "under_trained", "averaged", "filters"):
        (RUNS / folder).mkdir(parents=True, exist_ok=True)
    tasks = (
        protocols.li2018(corpora.load("emodb")),
        partial(protocols.common_loso, folds=6)(corpora.load("ravdess_speech")),
    )
    for part in parts:
        if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
            print(part.__doc__)
            part(*tasks)
