"""Look into the networks of chapter 1: `make findings CHAPTER=li2018`.

The attention of the ten networks that the queue trains on EmoDB: maps of one utterance a class, numbers for all, what
is heard without them; the weights of the first fold; and the picture of the landing page.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors.torch import save_file
from shared import item, networks, run

import serlib
from serlib import plots, runs
from serlib.audio import read_row, segment
from serlib.features import spectrogram
from serlib.papers import li2018

ATTENTION = "CNN_TF_Att.pooling"
PICTURE = runs.REFERENCE.parents[1] / "book" / "_static" / "attention.png"


def attention() -> None:
    """Maps, habits and answers, into reference/li2018/attention_emodb.npz."""
    one = item("li2018", ATTENTION, "emodb", "li2018", batch_size=16)
    task = one.run().task
    rows, habits, answers, examples = task.table, [], [], []
    for fold, model in networks(one, li2018.make_model):
        waveforms = {row: read_row(rows.iloc[row]) for row in fold.test}
        habits += [(row, li2018.listening_habits(model, wave)) for row, wave in waveforms.items()]
        answers += [li2018.flattened_answers(model, wave) for wave in waveforms.values()]
        if fold is task.folds[0]:
            save_file(model.state_dict(), runs.REFERENCE / "li2018" / f"{ATTENTION}_emodb_{fold.name}.safetensors")
            for label in range(len(task.classes)):
                row = next(row for row in fold.test if task.labels[row] == label)
                piece = spectrogram(segment(waveforms[row], 2, 0.4)[:1])
                picture = li2018.mu_law(li2018.to_unit_range(piece))[0]
                examples.append((row, picture, *li2018.attention_maps(model, picture)))
    tested = [row for row, _ in habits]
    runs.keep_findings(
        "li2018/attention_emodb",
        [run(one)],
        utterance_id=rows["utterance_id"].to_numpy(dtype=str)[tested],
        speaker=rows["speaker"].to_numpy(dtype=str)[tested],
        label=task.labels[tested],
        habits=np.array([values for _, values in habits], dtype=np.float32),
        answers=np.array(answers),
        example_id=rows["utterance_id"].to_numpy(dtype=str)[[row for row, *_ in examples]],
        example_words=rows["transcript"].to_numpy(dtype=str)[[row for row, *_ in examples]],
        example_speaker=np.array(task.folds[0].name),
        emotion=np.array(task.classes),
        pictures=np.stack([(255 * picture).round().to(torch.uint8).numpy() for _, picture, *_ in examples]),
        weights=np.stack([weights for *_, weights, _ in examples]).astype(np.float32),
        top_down=np.stack([top_down for *_, top_down in examples]).astype(np.float16),
    )


def picture() -> None:
    """What is said, and where the network listens."""
    stored = runs.findings("li2018/attention_emodb")
    figure, axes = plt.subplots(figsize=(8, 2.8), dpi=120, layout="constrained")
    plots.spectrogram_axes(axes, stored["pictures"][0][:150], 2, top_hz=1500, cmap="Greys")
    seen = (stored["weights"][0][:37] / stored["weights"][0].max()) ** 0.4
    plots.spectrogram_axes(axes, seen, 2, top_hz=1480, cmap="Reds", vmin=0, vmax=1, alpha=seen)
    axes.set(title=f"“{stored['example_words'][0]}”", ylim=(0, 1.5))
    figure.savefig(PICTURE)


if __name__ == "__main__":
    print(serlib.setup())
    attention()
    picture()
