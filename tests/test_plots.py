"""Pictures for those who do not see them, players that carry their sound, and no caption that breaks the page."""

import base64
import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
from bs4 import BeautifulSoup
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

from serlib import plots

NASTY = 'Ses01 said "<b>5 > 4</b>" & left'
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 16_000).astype(np.float32)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """What a notebook would receive: a list of outputs, each with its data and metadata."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setattr("builtins.__IPYTHON__", True, raising=False)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.display_pub = CapturingDisplayPublisher()
    yield shell.display_pub.outputs
    InteractiveShell.clear_instance()


@pytest.fixture
def figure():
    figure, axes = plt.subplots()
    axes.set_xlim(0, 1.5)
    yield figure
    plt.close("all")


def decoded(html, name="audio", kind="audio/mpeg"):
    """The one element of this name in an HTML object, and the data that it carries."""
    [element] = BeautifulSoup(html.data, "html.parser").find_all(name)
    head, _, data = element["src"].partition(";base64,")
    assert head.startswith(f"data:{kind}")
    return element, base64.b64decode(data, validate=True)


def test_show_carries_its_alternative_text(published, figure):
    """Else somebody who listens to the page would hear nothing of the picture."""
    plots.show(figure, NASTY)
    [output] = published
    assert output["metadata"]["image/png"]["alt"] == NASTY
    picture = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
    assert picture.format == "PNG" and np.asarray(picture.convert("L")).std() > 1
    assert not plt.fignum_exists(figure.number)


def test_the_live_curve_stays_in_one_place(published):
    """Else training of fifty epochs would fill the page with fifty pictures, or the last lose its text."""
    draw = plots.live_curve("GAP <3")
    history = [{"updates": 4 * n, "losses": [1 / n, 1 / n, 1 / n, 0.5 / n]} for n in range(1, 4)]
    draw(history[:1])
    draw(history)
    place, first, last = published
    assert "GAP &lt;3" in place["data"]["text/html"]
    assert place["transient"]["display_id"] == first["transient"]["display_id"] == last["transient"]["display_id"]
    assert first["update"] and last["update"] and not place.get("update")
    alt = [output["metadata"]["image/png"]["alt"] for output in (first, last)]
    assert alt == [
        "Training loss of GAP <3 over 4 updates: 1.00 at first, 0.88 over the last five.",
        "Training loss of GAP <3 over 12 updates: 1.00 at first, 0.28 over the last five.",
    ]
    assert not plt.get_fignums()


@pytest.mark.parametrize(("classes", "given"), [(4, {}), (3, {"classes": 3}), (2, {"classes": 2})])
def test_the_live_curve_shows_what_guessing_costs(classes, given, published, monkeypatch):
    """Else three levels would be judged by the line of four emotions."""
    drawn = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: drawn.append(figure))
    plots.live_curve("GAP", **given)([{"losses": [2.0, 1.0]}])
    [axes] = drawn[0].axes
    [line] = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert line.get_ydata() == pytest.approx([np.log(classes)] * 2) and line.get_label() == f"chance, ln {classes}"
    plt.close(drawn[0])


def test_a_player_carries_its_sound():
    """Else a lone notebook or a rendered page would have players without sound."""
    element, data = decoded(plots.player(TONE, "a tone"))
    assert element.has_attr("controls")
    samples, rate = soundfile.read(io.BytesIO(data))
    assert rate == 16_000 and abs(len(samples) / rate - 1.5) < 0.1
    loudest = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
    assert loudest == pytest.approx(440, abs=2) and np.abs(samples).max() == pytest.approx(0.5, abs=0.1)


def test_a_short_and_a_loud_sound_play():
    """Else a clip of a word, or one that exceeds 1, would be empty or crackle."""
    for waveform in (TONE[:800], 7 * TONE, TONE.astype(np.float64)):
        samples, _ = soundfile.read(io.BytesIO(decoded(plots.player(waveform, "x"))[1]))
        assert len(samples) and np.abs(samples).max() <= 1.2


def test_follow_shows_where_the_sound_is(figure):
    """Else the line would run beside the sound, or the picture have no text."""
    html = plots.follow(figure, NASTY, TONE, "caption")
    page = BeautifulSoup(html.data, "html.parser")
    place = page.find("figure")
    left, right, start, end = (float(place[f"data-{name}"]) for name in ("left", "right", "from", "to"))
    assert 0 < left < right < 1 and (start, end) == (0, 1.5)
    image, data = decoded(html, "img", "image/")
    assert image["alt"] == NASTY
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    edges = np.flatnonzero((picture < 128).mean(0) > 0.6) / picture.shape[1]  # where a vertical axis is drawn
    assert np.abs(edges - left).min() < 0.01
    samples, rate = soundfile.read(io.BytesIO(decoded(html)[1]))
    assert abs(len(samples) / rate - 1.5) < 0.1
    assert place.find_next_sibling("script") is not None  # the script looks for the figure right before itself
    assert not plt.fignum_exists(figure.number)


def test_follow_shows_the_words(figure):
    """Else a word would light up while another one is heard, or a transcript with a < in it break the page."""
    words = [(0.25, 0.5, "Yeah"), (0.5, 0.625, "I"), (np.float64(0.75), 1.25, NASTY)]
    html = plots.follow(figure, "alt", TONE, "caption", words=iter(words))
    page = BeautifulSoup(html.data, "html.parser")
    spans = page.find("figure").find_all("span")
    assert [(float(span["data-start"]), float(span["data-end"]), span.get_text()) for span in spans] == words
    assert all({*span.attrs} == {"data-start", "data-end"} for span in spans)
    assert page.find("figure").find("p").get_text() == f"Yeah I {NASTY}"  # a reader without the script sees a sentence
    assert page.find("b") is None and "<b>" not in html.data
    assert page.find("figcaption").get_text() == "caption" and page.find("audio") is not None


@pytest.mark.parametrize("words", [{}, {"words": []}])
def test_follow_without_words(words, figure):
    """Else a picture whose words nobody knows would have an empty line below it."""
    page = BeautifulSoup(plots.follow(figure, "alt", TONE, "caption", **words).data, "html.parser")
    assert not page.select("[data-start], [data-end], span, p")


@pytest.mark.parametrize("make", ["player", "follow"])
def test_captions_are_escaped(make, figure):
    """Else a transcript with a < in it would break the page, or run as code."""
    html = plots.player(TONE, NASTY) if make == "player" else plots.follow(figure, NASTY, TONE, NASTY)
    page = BeautifulSoup(html.data, "html.parser")
    assert page.find("figcaption").get_text() == NASTY and page.find("audio")["aria-label"] == NASTY
    assert page.find("b") is None and "<b>" not in html.data


def test_spectrogram_axes():
    """Else low frequencies would be at the top, or the axes be numbered in pixels."""
    figure, axes = plt.subplots()
    plots.spectrogram_axes(axes, np.arange(12).reshape(3, 4), seconds=2, vmin=0)
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 2), (0, 4))
    assert "s" in axes.get_xlabel() and "kHz" in axes.get_ylabel()
    plt.close(figure)


def test_confusions():
    """Else a class that nobody has, or one system alone, would raise, or shares and counts be swapped."""
    figure = plots.confusions({"one": np.array([[3, 1], [0, 0]])}, ("anger", "sadness"))
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["75\n(3)", "25\n(1)", "0\n(0)", "0\n(0)"]
    plt.close(figure)
    figure = plots.confusions({"a": np.eye(4, dtype=int), "b": np.eye(4, dtype=int)}, ("w", "x", "y", "z"))
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    plt.close(figure)


def test_learning_draws_a_line_for_each_fold():
    index = pd.MultiIndex.from_product([["1", "2"], [1, 2, 3]], names=["fold", "epoch"])
    curve = pd.DataFrame({"loss": [3.0, 2, 1, 6, 5, 4], "score": [1.0, 2, 3, 4, 5, 6]}, index)
    drawn = plots.learning({"MOMA": curve, "bare": curve[["loss"]]}).axes
    assert [[line.get_ydata().tolist() for line in axes.lines] for axes in drawn[:4]] == [
        *([[3, 2, 1], [6, 5, 4]], [[3, 2, 1], [6, 5, 4]]),
        *([[1, 2, 3], [4, 5, 6]], []),  # what kept no development score draws none
    ]


def test_paired_draws_a_line_for_each_speaker_and_the_mean():
    (axes,) = plots.paired(pd.DataFrame({"one": [10.0, 30], "other": [20.0, 60]}, ["a", "b"])).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[10, 20], [30, 60], [20, 40]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", "other"]


def test_a_cloud_carries_its_dots_and_their_sounds():
    """Else a dot would play another utterance, or lie elsewhere, or a page without scripts show nothing."""
    points = pd.DataFrame({"valence": [1.0, 4.0], "activation": [2.0, 5.0], "dominance": [3.0, 3.5]})
    before = plt.get_fignums()
    sounds = (np.sin(2 * np.pi * hz * np.arange(48_000) / 16_000) / 2 for hz in (300, 600))
    html = plots.cloud(points, ["sadness", "anger"], ["one", NASTY], sounds, NASTY)
    page = BeautifulSoup(html.data, "html.parser")
    figure = page.find("figure")
    image, _ = decoded(html, "img", "image/")
    assert image["alt"] == NASTY and figure.find_next_sibling("script") is not None
    inside = figure.find("script").string
    assert "<" not in inside, "a caption could end the script"
    data = json.loads(inside)
    assert data["axes"] == list(points) and data["groups"] == ["anger", "sadness"]
    assert [dot["at"] for dot in data["dots"]] == points.to_numpy().tolist()
    assert [data["groups"][dot["group"]] for dot in data["dots"]] == ["sadness", "anger"]
    assert [dot["caption"] for dot in data["dots"]] == ["one", NASTY]
    for dot, hz in zip(data["dots"], (300, 600), strict=True):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(dot["sound"])))
        assert abs(len(samples) / rate - 2) < 0.15, "the first two seconds of three"
        assert np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples) == pytest.approx(hz, abs=2)
    assert plt.get_fignums() == before
