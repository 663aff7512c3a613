"""The human voices that come with the library: small, sound, and what the pages say of them."""

import numpy as np
import pytest
import soundfile

from serlib.audio import RATE, read_row
from serlib.corpora import voices as of
from serlib.errors import InputError


def test_each_of_the_twelve_can_be_played():
    """Else a page would have a player that is silent, crackles, or cannot be opened."""
    table = of.voices()
    assert len(table) == 12 and table.groupby(["speaker", "emotion"]).size().eq(1).all()
    assert table["speaker"].nunique() == 3 and table["emotion"].nunique() == 4 and table["transcript"].nunique() == 1
    for row in table.itertuples():
        info = soundfile.info(row.path)
        assert (info.samplerate, info.channels, info.format) == (RATE, 1, "OGG")
        samples = read_row(row)
        assert 0.8 < np.abs(samples).max() < 1 and np.sqrt(np.mean(samples**2)) > 0.05
        assert 1 < len(samples) / RATE < 4 and row.duration == pytest.approx(len(samples) / RATE, abs=0.01)


def test_they_are_small_and_say_under_which_licence():
    """Else the package would swell, or somebody would not know what they may do with a voice."""
    files = [*of.FOLDER.iterdir()]
    assert sum(path.stat().st_size for path in files) < 400_000
    assert {path.name for path in files if path.suffix == ".ogg"} == {
        path.split("/")[-1] for path in of.voices()["path"]
    }
    assert "CC0 1.0" in (of.FOLDER / "README.md").read_text("utf-8")


def test_one_is_found_by_speaker_and_emotion():
    """Else a page would play another voice than it names."""
    angry = of.voices().query("speaker == '08' and emotion == 'anger'")
    np.testing.assert_array_equal(of.voice("08", "anger"), read_row(next(angry.itertuples())))
    for speaker, emotion in (("8", "anger"), ("08", "boredom")):
        with pytest.raises(InputError, match=f"{speaker}.*{emotion}.*03, 08, 14 or anger, happiness, neutral, sadness"):
            of.voice(speaker, emotion)


def test_the_perception_test_is_that_of_the_corpus():
    """Else what the pages say of human listeners would be of other utterances, or on another scale."""
    heard = of.perception()
    assert len(heard) == heard["utterance_id"].nunique() == 535 and heard["speaker"].nunique() == 10
    assert heard["recognised"].between(80, 100).all() and heard["natural"].between(45, 100).all()
    assert {*of.voices()["utterance_id"]} <= {*heard["utterance_id"]}
    joined = of.voices().merge(heard, on="utterance_id")
    assert (joined["emotion_x"] == joined["emotion_y"]).all() and (joined["speaker_x"] == joined["speaker_y"]).all()
