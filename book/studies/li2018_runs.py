"""Make the reference records of chapter 1: `make reference CHAPTER=li2018`. It goes on where it was stopped.

Every record, weight and array in `serlib/reference` comes from here. EmoDB and RAVDESS are looked for under
SERLIB_DATA, as `emodb` and `ravdess_speech`. A CPU gets a shorter plan than a GPU, and the records say which it was.
`make reference CHAPTER=li2018 PARTS="baselines trained"` makes only the parts that are named; `verify` keeps records in
step with code that has changed but computes the same.
"""

import dataclasses
import datetime
import json
import shutil
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from reference_runs import RUNS, keep, plan
from safetensors.torch import load_file

import serlib
from serlib import corpora, plots, protocols
from serlib.audio import read_row, segment
from serlib.baselines import functionals_svm
from serlib.features import spectrogram
from serlib.papers import li2018
from serlib.results import REFERENCE, code_hash, read_record

PICTURE = Path(__file__).parents[1] / "_static" / "attention.png"
KEPT = REFERENCE / "li2018"
HEIGHTS = (2, 4, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100)
WIDTHS = (4, 6, 8, 10, 12, 16, 20, 30, 40, 60, 80)
ATTENTION = "CNN_TF_Att.pooling"


def main_schedule(task: protocols.Task) -> li2018.Schedule:
    """The paper's number of updates on a GPU; on a CPU batches of 16 over the paper's 50 epochs."""
    return plan(li2018.paper_schedule(task), li2018.Schedule(batch_size=16))


def baselines(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The support vector machine on both corpora."""
    for task in (emodb, ravdess):
        functionals_svm(task, folder=RUNS / "baselines")
    keep("baselines", KEPT)


def trained(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The networks on EmoDB, all folds; on a CPU without the bilinear one."""
    for seed in range(plan(3, 1)):
        for name in (ATTENTION, "CNN_TF_GAP", *plan(["CNN_TF_Bilinear"], [])):
            li2018.reproduce(emodb, name, main_schedule(emodb), seed, RUNS / "trained")
    keep("trained", KEPT)


def under_trained(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The paper's schedule taken by its epochs: batches of 64 make few updates on a small corpus."""
    li2018.reproduce(emodb, ATTENTION, li2018.Schedule(), folder=RUNS / "under_trained", folds=plan(None, 1))
    keep("under_trained", KEPT)


def averaged(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The scale trap, trained to the end."""
    name = f"{ATTENTION}, averaged"
    li2018.reproduce(emodb, name, main_schedule(emodb), folder=RUNS / "averaged", folds=plan(None, 1))
    keep("averaged", KEPT)


def no_softmax(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """Attention as public re-implementations have it: the bottom-up map as it is, and the mean over places."""
    name = f"{ATTENTION}, no softmax"
    li2018.reproduce(emodb, name, main_schedule(emodb), folder=RUNS / "no_softmax", folds=plan(None, 1))
    keep("no_softmax", KEPT)


def filters(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The sweep of Figure 2: one layer, every shape; on a CPU every second one."""
    shapes = [f"{height}x2" for height in HEIGHTS] + [f"2x{width}" for width in WIDTHS]
    short = li2018.Schedule(epochs=16, batch_size=16, milestones=(14,))
    for shape in shapes[:: plan(1, 2)]:
        name, folder = f"Conv1_{shape}", RUNS / "filters"
        li2018.reproduce(emodb, name, plan(main_schedule(emodb), short), folder=folder, folds=plan(None, 2))
    keep("filters", KEPT / "filters")


def attention(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """What the attention networks of `trained` look at: maps of one utterance a class, and numbers for all."""
    rows, habits, answers, examples = emodb.table, [], [], []
    for fold in emodb.folds:
        (weights,) = (RUNS / "trained").glob(f"{ATTENTION}_emodb_li2018_*_{fold.name}.safetensors")
        model = li2018.make_model(ATTENTION)
        model.load_state_dict(load_file(weights))
        waveforms = {row: read_row(rows.iloc[row]) for row in fold.test}
        habits += [(row, li2018.listening_habits(model, wave)) for row, wave in waveforms.items()]
        answers += [li2018.flattened_answers(model, wave) for wave in waveforms.values()]
        if fold is emodb.folds[0]:
            shutil.copy(weights, KEPT / f"{ATTENTION}_emodb_{fold.name}.safetensors")
            for label in range(len(emodb.classes)):
                row = next(row for row in fold.test if emodb.labels[row] == label)
                piece = spectrogram(segment(waveforms[row], 2, 0.4)[:1])
                picture = li2018.mu_law(li2018.to_unit_range(piece))[0]
                examples.append((row, picture, *li2018.attention_maps(model, picture)))
    tested = [row for row, _ in habits]
    np.savez_compressed(
        KEPT / "attention_emodb.npz",
        utterance_id=rows["utterance_id"].to_numpy(dtype=str)[tested],
        speaker=rows["speaker"].to_numpy(dtype=str)[tested],
        label=emodb.labels[tested],
        habits=np.array([values for _, values in habits], dtype=np.float32),
        answers=np.array(answers),
        example_id=rows["utterance_id"].to_numpy(dtype=str)[[row for row, *_ in examples]],
        example_speaker=np.array(emodb.folds[0].name),
        emotion=np.array(emodb.classes),
        pictures=np.stack([(255 * picture).round().to(torch.uint8).numpy() for _, picture, *_ in examples]),
        weights=np.stack([weights for *_, weights, _ in examples]).astype(np.float32),
        top_down=np.stack([top_down for *_, top_down in examples]).astype(np.float16),
    )


def picture(emodb: protocols.Task, ravdess: protocols.Task) -> None:
    """The picture of the landing page: what is said, and where the network listens."""
    stored = np.load(KEPT / "attention_emodb.npz")
    words = emodb.table.set_index("utterance_id").loc[stored["example_id"][0], "transcript"]
    figure, axes = plt.subplots(figsize=(8, 2.8), dpi=120, layout="constrained")
    plots.spectrogram_axes(axes, stored["pictures"][0][:150], 2, top_hz=1500, cmap="Greys")
    seen = (stored["weights"][0][:37] / stored["weights"][0].max()) ** 0.4
    plots.spectrogram_axes(axes, seen, 2, top_hz=1480, cmap="Reds", vmin=0, vmax=1, alpha=seen)
    axes.set(title=f"“{words}”", ylim=(0, 1.5))
    figure.savefig(PICTURE)


def verify(*tasks: protocols.Task) -> None:
    """Run the first fold of every record of earlier code again; if all its scores are the same, it is current."""
    for path in sorted(KEPT.rglob("*.json")):
        record = read_record(path)
        (task,) = (task for task in tasks if (task.corpus, task.protocol) == (record.corpus, record.protocol))
        if record.is_current():
            continue
        if record.source.startswith("baselines"):
            again = functionals_svm(task, folds=1)
        else:
            schedule = li2018.Schedule(**record.settings)
            schedule = dataclasses.replace(schedule, milestones=tuple(schedule.milestones))
            again, _ = li2018.reproduce(task, record.model, schedule, record.seed, folds=1)
        old, new = record.folds[0], again.folds[0]
        same = all(old.get(key) == new.get(key) for key in ("utterance_id", "predicted", "scores"))
        print(path.name, "gives the same scores" if same else "gives OTHER scores: run it again")
        if same:
            record.code = code_hash(record.source, record.protocol)
            today = datetime.date.today().isoformat()
            record.environment["verified"] = f"{today}: fold {old['name']} run again, the same scores"
            path.write_text(json.dumps(dataclasses.asdict(record)), "utf-8")


if __name__ == "__main__":
    print(serlib.setup())
    parts = (baselines, trained, under_trained, averaged, no_softmax, filters, attention, picture)
    tasks = (
        protocols.li2018(corpora.load("emodb")),
        protocols.common_loso(corpora.load("ravdess_speech"), folds=6),
    )
    for part in (*parts, verify):
        if part.__name__ in (sys.argv[1:] or [part.__name__ for part in parts]):
            print(part.__doc__)
            part(*tasks)
