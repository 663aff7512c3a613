"""Pictures and players. Every picture carries its alternative text, every player its own sound."""

import base64
import io
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from IPython.display import HTML, DisplayHandle, Image, display
from matplotlib.figure import Figure
from PIL import Image as pillow

from serlib.audio import RATE

plt.rcParams |= {"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "image.cmap": "cividis"}


def show(figure: Figure, alt: str, handle: DisplayHandle | None = None) -> None:
    """Display a figure with its alternative text, in place of an earlier one if its handle is given; then close it.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    picture = io.BytesIO()
    pillow.open(_rendered(figure, format="png")).convert("RGB").quantize(128).save(picture, "PNG", optimize=True)
    (handle.update if handle else display)(Image(picture.getvalue()), metadata={"image/png": {"alt": alt}})


def _rendered(figure: Figure, **options) -> io.BytesIO:
    """The figure as a picture file in memory; closes it."""
    file = io.BytesIO()
    figure.savefig(file, **options)
    plt.close(figure)
    return file


def player(waveform: np.ndarray, caption: str) -> HTML:
    """An audio player with a caption that carries its sound `(samples,)`, as MP3, within the page.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    label = escape(caption)
    return HTML(f'<figure class="player"><figcaption>{label}</figcaption>{_audio(waveform, label)}</figure>')


def follow(figure: Figure, alt: str, waveform: np.ndarray, caption: str) -> HTML:
    """A figure with a player below it; while it plays, a line moves over the picture.

    All axes of the figure must share one time axis, in seconds, that begins where the waveform does.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    figure.canvas.draw()
    box = figure.axes[0].get_position()
    low, high = figure.axes[0].get_xlim()
    picture = base64.b64encode(_rendered(figure, format="webp", pil_kwargs={"quality": 80}).getvalue()).decode()
    label = escape(caption)
    return HTML(
        f'<figure class="player follow" data-left="{box.x0:.5f}" data-right="{box.x1:.5f}" data-from="{low:.5f}" '
        f'data-to="{high:.5f}"><div style="position:relative"><img alt="{escape(alt)}" style="width:100%" '
        f'src="data:image/webp;base64,{picture}"/><i style="position:absolute;'
        'top:0;bottom:0;width:2px;background:#d33;visibility:hidden"></i></div>'
        f"<figcaption>{label}</figcaption>{_audio(waveform, label)}</figure><script>{_FOLLOW}</script>"
    )


_FOLLOW = """(() => {
  const box = document.currentScript.previousElementSibling, sound = box.querySelector("audio"), d = box.dataset;
  const line = box.querySelector("i"), width = d.right - d.left, seconds = d.to - d.from;
  const step = () => {
    line.style.visibility = "visible";
    line.style.left = 100 * (+d.left + width * (sound.currentTime - d.from) / seconds) + "%";
    if (!sound.paused) requestAnimationFrame(step);
  };
  sound.addEventListener("play", step);
  sound.addEventListener("seeked", step);
})()"""


def _audio(waveform: np.ndarray, label: str) -> str:
    """The audio element: MP3 plays in every browser and is a tenth of a WAV."""
    sound = io.BytesIO()
    soundfile.write(sound, np.clip(waveform, -1, 1), RATE, format="MP3")
    data = base64.b64encode(sound.getvalue()).decode()
    return f'<audio controls preload="auto" aria-label="{label}" src="data:audio/mpeg;base64,{data}"></audio>'


def spectrogram_axes(axes: plt.Axes, matrix: np.ndarray, seconds: float, top_hz: float = 4000, **image) -> None:
    """Draw a time-frequency matrix `(bins, frames)` with its axes in seconds and kilohertz.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    axes.imshow(matrix, origin="lower", aspect="auto", extent=(0, seconds, 0, top_hz / 1000), **image)
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")


def live_curve(title: str):
    """A function of `fit`'s history that draws the loss of training while it runs, each time in the same place.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    handle = display(HTML(f"<p>{escape(title)}: waiting for the first epoch.</p>"), display_id=True)

    def draw(history: list[dict]) -> None:
        losses = [loss for entry in history for loss in entry["losses"]]
        figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
        axes.plot(range(1, len(losses) + 1), losses, ".-", color="#345")
        axes.axhline(np.log(4), color="grey", linestyle=":", label="chance, ln 4")
        axes.legend(frameon=False)
        axes.set(xlabel="updates", ylabel="training loss (nats)", title=title, ylim=(0, None))
        fell = f"{losses[0]:.2f} at first, {np.mean(losses[-5:]):.2f} over the last five"
        show(figure, f"Training loss of {title} over {len(losses)} updates: {fell}.", handle)

    return draw


def confusions(matrices: dict[str, np.ndarray], classes: tuple[str, ...]) -> Figure:
    """Confusion matrices side by side: each cell the share of its row in per cent, with the count below.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    rows = -(-len(matrices) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(6.4, 3.2 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat[len(matrices) :]:
        axes.axis("off")
    for axes, (name, matrix) in zip(grid.flat, matrices.items(), strict=False):
        share = matrix / matrix.sum(1, keepdims=True).clip(1)
        axes.imshow(share, cmap="Greys", vmin=0, vmax=1)
        for (true, found), count in np.ndenumerate(matrix):
            colour = "white" if share[true, found] > 0.5 else "black"
            text = f"{100 * share[true, found]:.0f}\n({count})"
            axes.text(found, true, text, ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        axes.set(title=name, xlabel="heard as", ylabel="meant as")
    return figure
