"""What the tests of all papers share: a corpus that each of them can learn from, and a look at what they train on."""

import importlib
import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import nn

from serlib.corpora import read_folder
from serlib.papers import cai2020, jalal2020
from serlib.recurrent import BLSTM

# How the pitch of an utterance moves: a paper that scales each utterance by itself hears nothing else.
MELODIES = {
    "anger": lambda time: time,
    "happiness": lambda time: 1 - abs(2 * time - 1),
    "neutral": lambda time: abs(2 * time - 1),
    "sadness": lambda time: 1 - time,
    "excitement": lambda time: 1 - abs(2 * time - 1),
}
LONG = 50_000  # samples of the one utterance of each speaker that is longer than 3 s


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """The folder of a corpus: five speakers, nine short utterances each; melody is emotion, loudness activation."""
    folder, rng, rows = tmp_path_factory.mktemp("speech"), np.random.default_rng(1), []
    for speaker in range(5):
        for take, emotion in enumerate(["anger", "happiness", "neutral", "sadness"] * 2 + ["excitement"]):
            file, level = f"s{speaker}_{take}.wav", take % 3
            length = LONG if emotion == "excitement" else 1600 + 320 * take + 7 * speaker
            pitch = (300 + 3000 * MELODIES[emotion](np.linspace(0, 1, length))) * (1 + 0.04 * speaker)  # Hz
            wave = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) + rng.normal(0, 0.07, length)
            soundfile.write(folder / file, 0.8 * 0.2 ** (2 - level) * wave / np.abs(wave).max(), 16_000)
            ratings = {"valence": (take + 1) % 3, "activation": level, "dominance": take // 3}
            ratings = {name: 1.5 + 1.5 * rating for name, rating in ratings.items()}
            rows.append({"file": file, "speaker": f"s{speaker}", "emotion": emotion, **ratings})
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def tones(tmp_path_factory, write_corpus):
    """The folder of another one: three speakers, eight tones of 2.1 s each, whose pitch is emotion."""
    return write_corpus(tmp_path_factory.mktemp("tones") / "tones")


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """A cache that these tests share."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def table(speech, features, monkeypatch):
    """The table of that corpus."""
    monkeypatch.setenv("SERLIB_CACHE", str(features))
    return read_folder(speech)


@pytest.fixture
def handed(monkeypatch):
    """A function that says what a paper's `train` hands to `fit`, by the names of its arguments."""

    def look(train, *arguments, **more):
        paper, seen = importlib.import_module(train.__module__), {}
        names = [*inspect.signature(paper.fit).parameters][:3]
        with monkeypatch.context() as patch:
            patch.setattr(paper, "fit", lambda *first, **rest: seen.update(zip(names, first, strict=True), **rest))
            train(*arguments, **more)
        return seen

    return look


@pytest.fixture(scope="session")
def small():
    """A function that makes a MOMA with 16 numbers for a frame instead of 1024; `MOMA` itself puts it together."""

    def make(**options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jalal2020, "BLSTM", lambda size, hidden, layers: BLSTM(size, 8, layers))
            patch.setattr(jalal2020, "ContextGatedAttention", make.attention)
            model = jalal2020.MOMA(**options)
        model.project, model.classify = nn.Linear(16, 16), nn.Linear(16, 4)
        return model.eval()

    def attention(own=jalal2020.ContextGatedAttention):
        """Its weights differ by factors; as it begins they are almost even."""
        attend = own(16, 6)
        with torch.no_grad():
            for parameter in attend.parameters():
                parameter.mul_(6)
        return attend

    make.attention = attention
    return make


class Mean(nn.Module):
    """Padded spectrograms to four scores: a mean and a linear layer, in place of what trains slowly."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(200, 4)

    def forward(self, padded):
        return self.classify(padded[0].sum(1) / padded[1][:, None])


class Ear(nn.Module):
    """The first twenty frames to 256 numbers, in place of convolutions and a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.hear = nn.Linear(20 * 200, 256)

    def forward(self, padded):
        return self.hear(padded[0][:, :20].flatten(1)).tanh()


@pytest.fixture
def small_networks(small, monkeypatch):
    """Small networks under the names of all of chapters 3 and 4."""
    monkeypatch.setattr(cai2020, "CNNBLSTM", Ear)
    for name in jalal2020.VARIANTS:
        options = getattr(jalal2020.MODELS[name], "keywords", {})
        monkeypatch.setitem(jalal2020.MODELS, name, partial(small, **options))
    monkeypatch.setitem(jalal2020.MODELS, "CNN_LSTM", Mean)
