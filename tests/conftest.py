"""What all tests share: no setting of yours reaches them, and nothing that they keep outlives them."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")  # no window: read when matplotlib is first imported

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from serlib import audio

TONES = {"anger": 800, "happiness": 500, "neutral": 250, "sadness": 120}  # Hz


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An empty cache, no SERLIB_ variable, and one thread."""
    for name in [name for name in os.environ if name.startswith("SERLIB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SERLIB_CACHE", str(tmp_path / "cache"))
    audio._note.cache_clear()
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def write_corpus():
    """A function that writes a folder of tones with its table.csv: an emotion is a pitch, a speaker shifts it."""

    def write(folder, speakers=3, takes=2, seconds=2.1, rate=16_000):
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        rows = []
        for speaker in range(speakers):
            for emotion, pitch in TONES.items():
                for take in range(takes):
                    time = np.arange(round(seconds * rate)) / rate
                    wave = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.05 * speaker) * time)
                    file = f"s{speaker}_{emotion}_{take}.wav"
                    soundfile.write(folder / file, wave + rng.normal(0, 0.01, len(time)), rate)
                    rows.append({"file": file, "speaker": f"s{speaker}", "emotion": emotion})
        pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
        return folder

    return write


@pytest.fixture
def corpus(tmp_path, write_corpus):
    """Three speakers, four emotions, two takes of 2.1 s each."""
    return write_corpus(tmp_path / "tones")
