"""Pictures and players. Every picture carries its alternative text, every player its own sound."""

import base64
import io
import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import soundfile
from IPython.display import HTML, DisplayHandle, Image, display
from matplotlib.figure import Figure
from PIL import Image as pillow
from sklearn.metrics import ConfusionMatrixDisplay

from serlib.audio import RATE
from serlib.errors import InputError

FOLLOW, CLOUD = (Path(__file__).with_name(f"{name}.js").read_text("utf-8") for name in ("follow", "cloud"))
plt.rcParams |= {"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "image.cmap": "cividis"}


def show(figure: Figure, alt: str, handle: DisplayHandle | None = None) -> None:
    """Display a figure with its alternative text, or update an earlier `handle`; then close it. Page: notebooks/01."""
    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    plt.close(figure)
    pillow.open(drawn).convert("RGB").quantize(method=pillow.Quantize.MAXCOVERAGE).save(picture, "PNG", optimize=True)
    (handle.update if handle else display)(Image(picture.getvalue()), metadata={"image/png": {"alt": alt}})


def player(waveform: np.ndarray, caption: str) -> HTML:
    """An audio player with a caption; it carries its sound `(samples,)` within the page, as MP3. Page: notebooks/01."""
    label = escape(caption)
    return HTML(f'<figure class="player"><figcaption>{label}</figcaption>{_audio(waveform, label)}</figure>')


def follow(
    figure: Figure, alt: str, waveform: np.ndarray, caption: str, words: Iterable[tuple[float, float, str]] = ()
) -> HTML:
    """A figure with a player below it; while it plays, a line moves over the picture, and the words light up.

    All axes of the figure share one time axis, in seconds, that begins where the waveform does; `words` are (start,
    end, word) on it. Page: notebooks/01.
    """
    figure.canvas.draw()
    box = figure.axes[0].get_position()
    low, high = figure.axes[0].get_xlim()
    label, data = escape(caption), _webp(figure)
    spoken = [f'<span data-start="{start}" data-end="{end}">{escape(word)}</span>' for start, end, word in words]
    line = f"<p>{' '.join(spoken)}</p>" if spoken else ""
    return HTML(
        f'<figure class="player follow" data-left="{box.x0:.5f}" data-right="{box.x1:.5f}" data-from="{low:.5f}" '
        f'data-to="{high:.5f}"><div style="position:relative"><img alt="{escape(alt)}" style="width:100%" '
        f'src="data:image/webp;base64,{data}"/><i style="position:absolute;'
        'top:0;bottom:0;width:2px;background:#d33;visibility:hidden"></i></div>'
        f"{line}<figcaption>{label}</figcaption>{_audio(waveform, label)}</figure><script>{FOLLOW}</script>"
    )


def cloud(
    points: pd.DataFrame, groups: Iterable[str], captions: Iterable[str], sounds: Iterable[np.ndarray], alt: str
) -> HTML:
    """Dots in a cube that turns; each plays its sound, of which it carries the first two seconds.

    `points` has a row for each dot and three columns, all on the scale from 1 to 5; `groups` are four at
    most. Where no script runs there is a picture with the text `alt`. Page: notebooks/04.
    """
    groups, at = list(groups), points.to_numpy()
    names, colours = sorted(set(groups)), ("#d1495b", "#e0a021", "#3f9d77", "#4a86cf")
    figure, axes = plt.subplots(figsize=(5, 4.4), subplot_kw={"projection": "3d"})
    axes.set_box_aspect(None, zoom=0.95)
    for name, marker, colour in zip(names, "s^Do", colours, strict=False):
        axes.scatter(*at[[group == name for group in groups]].T, marker=marker, c=colour, label=name)
    axes.set(**dict(zip(("xlabel", "ylabel", "zlabel"), points.columns, strict=True)))
    axes.legend(frameon=False, ncols=len(names), loc="upper center", fontsize=8)
    rows = zip(at.round(2).tolist(), groups, captions, sounds, strict=True)
    small = {"compression_level": 0.95, "bitrate_mode": "CONSTANT"}
    dots = [
        {"at": place, "group": names.index(group), "caption": caption, "sound": _mp3(sound[: 2 * RATE], **small)}
        for place, group, caption, sound in rows
    ]
    data = json.dumps({"axes": list(points), "low": 1, "high": 5, "groups": names, "colours": colours, "dots": dots})
    return HTML(
        f'<figure class="player cloud"><img alt="{escape(alt)}" style="max-width:34rem" src="data:image/webp;base64,'
        f'{_webp(figure)}"/><script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>'
        f"<figcaption>Drag to turn it. Click a dot to hear it; arrow keys turn it and go from dot to dot.</figcaption>"
        f"</figure><script>{CLOUD}</script>"
    )


def _webp(figure: Figure) -> str:
    """A figure as a small picture, in base64; the figure is closed."""
    figure.savefig(picture := io.BytesIO(), format="webp", pil_kwargs={"quality": 80})
    plt.close(figure)
    return base64.b64encode(picture.getvalue()).decode()


def _mp3(waveform: np.ndarray, **how) -> str:
    """A sound in base64: MP3 plays in every browser and is a tenth of a WAV."""
    if not len(waveform) or not np.isfinite(waveform).all():  # the encoder would end the process
        raise InputError("This sound has no samples, or NaN or infinite ones, and cannot be played. Look at its array.")
    sound = io.BytesIO()
    soundfile.write(sound, np.clip(waveform, -1, 1), RATE, format="MP3", **how)
    return base64.b64encode(sound.getvalue()).decode()


def _audio(waveform: np.ndarray, label: str) -> str:
    """The audio element of a sound."""
    data = _mp3(waveform)
    return f'<audio controls preload="auto" aria-label="{label}" src="data:audio/mpeg;base64,{data}"></audio>'


def spectrogram_axes(axes: plt.Axes, matrix: np.ndarray, seconds: float, top_hz: float = 4000, **image) -> None:
    """Draw a time-frequency matrix `(bins, frames)` with its axes in seconds and kilohertz. Page: notebooks/01."""
    axes.imshow(matrix, origin="lower", aspect="auto", extent=(0, seconds, 0, top_hz / 1000), **image)
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")


def live_curve(title: str, classes: int = 4):
    """A function of `fit`'s history that draws the loss while it falls, each time in one place. Page: notebooks/01."""
    handle = display(HTML(f"<p>{escape(title)}: waiting for the first epoch.</p>"), display_id=True)

    def draw(history: list[dict]) -> None:
        losses = [loss for entry in history for loss in entry["losses"]]
        figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
        axes.plot(range(1, len(losses) + 1), losses, ".-", color="#345")
        axes.axhline(np.log(classes), color="grey", linestyle=":", label=f"chance, ln {classes}")
        axes.legend(frameon=False)
        axes.set(xlabel="updates", ylabel="training loss (nats)", title=title, ylim=(0, None))
        fell = f"{losses[0]:.2f} at first, {np.mean(losses[-5:]):.2f} over the last five"
        show(figure, f"Training loss of {title} over {len(losses)} updates: {fell}.", handle)

    return draw


def confusions(matrices: dict[str, np.ndarray], classes: tuple[str, ...]) -> Figure:
    """Confusion matrices: in each cell the share of its row in per cent, the count below. Page: notebooks/01."""
    rows = -(-len(matrices) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(6.4, 3.2 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat[len(matrices) :]:
        axes.axis("off")
    for axes, (name, matrix) in zip(grid.flat, matrices.items(), strict=False):
        share = 100 * matrix / matrix.sum(1, keepdims=True).clip(1)
        drawn = ConfusionMatrixDisplay(share, display_labels=classes)
        drawn.plot(ax=axes, cmap="Greys", colorbar=False, xticks_rotation=40, im_kw={"vmin": 0, "vmax": 100})
        for cell, count in np.ndenumerate(matrix):
            drawn.text_[cell].set(text=f"{share[cell]:.0f}\n({count})", fontsize=8)
        axes.set(title=name, xlabel="heard as", ylabel="meant as")
    return figure


def learning(curves: dict[str, pd.DataFrame], development: str = "development loss") -> Figure:
    """Training loss and development score over the epochs, a column for each system and a line for each fold.

    `curves` as `runs.learning_curves` gives them, or several of them concatenated. Page: book/how_it_is_built.
    """
    size = {"figsize": (1 + 3 * len(curves), 4.2), "layout": "constrained", "squeeze": False}
    figure, grid = plt.subplots(2, len(curves), sharex="col", sharey="row", **size)
    for (upper, lower), (name, curve) in zip(grid.T, curves.items(), strict=True):
        for axes, column in ((upper, "loss"), (lower, "score")):
            for _, line in curve.groupby(curve.index.names[:-1]) if column in curve else ():
                axes.plot(line.index.get_level_values("epoch"), line[column], color="#345", lw=0.8, alpha=0.7)
        upper.set_title(name, fontsize=9)
        lower.set_xlabel("epoch")
    grid[0, 0].set_ylabel("training loss")
    grid[1, 0].set_ylabel(development)
    return figure


def paired(scores: pd.DataFrame, name: str = "UAR (%)") -> Figure:
    """Two or more systems, speaker by speaker: a line for each speaker, and the mean over them in bold.

    `scores` as `runs.by_speaker` gives them: speakers in rows, systems in columns. Page: book/how_it_is_built.
    """
    figure, axes = plt.subplots(figsize=(1.5 + 1.6 * scores.shape[1], 3.4), layout="constrained")
    axes.plot(scores.T.to_numpy(), ".-", color="#789", lw=0.8)
    axes.plot(scores.mean().to_numpy(), "o-", color="#b33", lw=2.5)
    axes.set_xticks(range(scores.shape[1]), scores.columns)
    axes.set(ylabel=name, xlim=(-0.4, scores.shape[1] - 0.6))
    return figure
