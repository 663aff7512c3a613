"""Look into the networks of chapter 1: `make findings CHAPTER=li2018`.

The attention of the ten networks that the queue trains on EmoDB: maps of one utterance a class, numbers for all, what
is heard without them; the weights of the first fold, what its attention owes to zeros, and what it hears under another
utterance's map; and the picture of the landing page.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors.torch import save_file
from scipy import special, stats
from shared import item, keep_findings, networks, run
from torch import Tensor, nn

import serlib
from serlib import plots, runs
from serlib.audio import RATE, read_row, segment
from serlib.device import seed_everything
from serlib.features import spectrogram
from serlib.papers import li2018

ATTENTION = "CNN_TF_Att.pooling"
PICTURE = runs.REFERENCE.parents[1] / "book" / "_static" / "attention.png"
PADDINGS = ("zeros", "reflect", "replicate")


def pictures_of(waveform: np.ndarray) -> Tensor:
    """The network's test inputs, `(segments, 400, 200)`."""
    return li2018.mu_law(li2018.to_unit_range(spectrogram(segment(waveform, 2, 0.4))))


def heard(weights: list[np.ndarray], top_down: list[np.ndarray]) -> int:
    """The class number by the mean probability over segments."""
    scores = [(part * maps).sum((1, 2)) for part, maps in zip(weights, top_down, strict=True)]
    return int(special.softmax(scores, axis=1).mean(0).argmax())


def repadded(model: nn.Module, mode: str) -> nn.Module:
    """A copy whose convolutions see, beyond the edge of a map, its reflection or its last value, where zeros were."""
    model = copy.deepcopy(model)
    if mode != "zeros":
        other = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}[mode]
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and any(module.padding):
                module.padding_mode = mode
            for name, child in list(module.named_children()):
                if isinstance(child, nn.ZeroPad2d):
                    setattr(module, name, other(child.padding))
    return model


def edges(model: nn.Module, waveforms: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """How many times an even share lies at the edges, `(utterances, 4)`, and the class numbers that are heard.

    The edges: the bottom row, 0 to 40 Hz; the nine rows above it, each; the two bottom corners; the places behind the
    end of the utterance, NaN where it fills a segment.
    """
    found, answers = [], []
    for waveform in waveforms:
        weights, top_down = zip(*[li2018.attention_maps(model, one) for one in pictures_of(waveform)], strict=True)
        answers.append(heard(weights, top_down))
        times = 5000 * np.mean(weights, axis=0)
        behind = times[:, -(-len(waveform) * 25 // RATE) :]  # a column of the map covers 40 ms
        corners = times[0, [0, -1]].mean()
        found.append((times[0].mean(), times[1:10].mean(), corners, behind.mean() if behind.size else np.nan))
    return np.array(found, dtype=np.float32), answers


def follows_energy(model: nn.Module, waveform: np.ndarray, columns: int = 50) -> float:
    """Spearman's correlation over time of attention and energy in the first columns of the first segment."""
    energy = spectrogram(segment(waveform, 2, 0.4)[:1])[0].square().numpy().reshape(400, 50, 4).sum((0, 2))
    attention = li2018.attention_maps(model, pictures_of(waveform)[0])[0].sum(0)
    return stats.spearmanr(attention[:columns], energy[:columns]).statistic


def cut(model: nn.Module, waveform: np.ndarray, seconds: float = 1.6) -> tuple[float, float, float]:
    """Attention and energy over the first 2 s; the same when the voice ends early and zeros follow; without the zeros.

    NaN for an utterance that has zeros of its own.
    """
    if len(waveform) < 2 * RATE:
        return np.nan, np.nan, np.nan
    brief = waveform[: round(seconds * RATE)]
    within = follows_energy(model, brief, round(25 * seconds))
    return follows_energy(model, waveform), follows_energy(model, brief), within


def swapped(model: nn.Module, waveforms: list[np.ndarray]) -> np.ndarray:
    """Row: whose evidence; column: whose map, segment by segment, from its first again when it has too few."""
    both = [[li2018.attention_maps(model, one) for one in pictures_of(waveform)] for waveform in waveforms]
    weights, top_down = ([[maps[part] for maps in own] for own in both] for part in (0, 1))
    return np.array([[heard([w[k % len(w)] for k in range(len(own))], own) for w in weights] for own in top_down])


def closer(model: nn.Module, waveforms: list[np.ndarray]) -> dict[str, np.ndarray]:
    """One network, with the utterances of its test speaker, in their order."""
    seed_everything(0)
    found = [
        edges(repadded(one, mode), waveforms)
        for one in (model, li2018.make_model(ATTENTION).to(next(model.parameters()).device))
        for mode in PADDINGS
    ]
    repeated = edges(model, [np.resize(waveform, max(len(waveform), 2 * RATE)) for waveform in waveforms])
    return {
        "padding": np.array([f"{name}{mode}" for name in ("", "untrained, ") for mode in PADDINGS] + ["repeated"]),
        "edges": np.stack([habits for habits, _ in [*found, repeated]]),
        "edge_answers": np.array([answers for _, answers in [*found, repeated]]),
        "cut": np.array([cut(model, waveform) for waveform in waveforms], dtype=np.float32),
        "swapped": swapped(model, waveforms),
    }


def attention() -> None:
    """Maps, habits and answers, into reference/li2018/attention_emodb.npz."""
    one = item("li2018", ATTENTION, "emodb", "li2018", batch_size=16)
    task = one.run().task
    rows, habits, answers, examples, looked = task.table, [], [], [], {}
    for fold, model in networks(one, li2018.make_model):
        waveforms = {row: read_row(rows.iloc[row]) for row in fold.test}
        habits += [(row, li2018.listening_habits(model, wave)) for row, wave in waveforms.items()]
        answers += [li2018.flattened_answers(model, wave) for wave in waveforms.values()]
        if fold is task.folds[0]:
            save_file(model.state_dict(), runs.REFERENCE / "li2018" / f"{ATTENTION}_emodb_{fold.name}.safetensors")
            looked = closer(model, list(waveforms.values()))
            for label in range(len(task.classes)):
                row = next(row for row in fold.test if task.labels[row] == label)
                piece = spectrogram(segment(waveforms[row], 2, 0.4)[:1])
                picture = li2018.mu_law(li2018.to_unit_range(piece))[0]
                examples.append((row, picture, *li2018.attention_maps(model, picture)))
    tested = [row for row, _ in habits]
    keep_findings(
        "li2018/attention_emodb",
        [run(one)],
        utterance_id=rows["utterance_id"].to_numpy(dtype=str)[tested],
        speaker=rows["speaker"].to_numpy(dtype=str)[tested],
        label=task.labels[tested],
        duration=rows["duration"].to_numpy(dtype=np.float32)[tested],
        habits=np.array([values for _, values in habits], dtype=np.float32),
        answers=np.array(answers),
        example_id=rows["utterance_id"].to_numpy(dtype=str)[[row for row, *_ in examples]],
        example_words=rows["transcript"].to_numpy(dtype=str)[[row for row, *_ in examples]],
        example_speaker=np.array(task.folds[0].name),
        emotion=np.array(task.classes),
        pictures=np.stack([(255 * picture).round().to(torch.uint8).numpy() for _, picture, *_ in examples]),
        weights=np.stack([weights for *_, weights, _ in examples]).astype(np.float32),
        top_down=np.stack([top_down for *_, top_down in examples]).astype(np.float16),
        **looked,
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
