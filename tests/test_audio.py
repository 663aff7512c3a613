"""Reading audio: what arrives is what was recorded, and a file that cannot be used says why."""

import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from serlib.audio import RATE, duration, equal_parts, read_audio, read_row, segment
from serlib.errors import InputError

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2)).astype(np.float32)


def write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **{"subtype": "FLOAT"} | options)
    return path


def test_samples_arrive_as_they_were_written(tmp_path):
    """Else every feature would be of another sound than the file holds."""
    read = read_audio(write(tmp_path / "a.wav", NOISE[:, 0]))
    assert read.dtype == np.float32 and read.shape == (RATE,)
    np.testing.assert_array_equal(read, NOISE[:, 0])


def test_a_stretch_of_a_file(tmp_path):
    """Else an utterance within a long recording would begin or end at the wrong sample."""
    path = write(tmp_path / "a.wav", NOISE[:, 0])
    np.testing.assert_array_equal(read_audio(path, 0.25, 0.5), NOISE[4000:8000, 0])
    np.testing.assert_array_equal(read_audio(path, 0.25), NOISE[4000:, 0])
    np.testing.assert_array_equal(read_audio(path, end=0.5), NOISE[:8000, 0])
    table = pd.DataFrame({"path": [str(path)] * 2, "start": [np.nan, 0.25], "end": [np.nan, 0.5]})
    whole, part = map(read_row, table.itertuples())
    assert len(whole) == RATE and len(part) == 4000


def test_channels_are_averaged_with_a_note(tmp_path):
    """Else a stereo file would be refused, silently halved, or lose a speaker who sits on one side."""
    path = write(tmp_path / "stereo.wav", NOISE)
    with pytest.warns(UserWarning, match="2 channels"):
        read = read_audio(path)
    np.testing.assert_allclose(read, (NOISE[:, 0] + NOISE[:, 1]) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates_are_converted_with_a_note(tmp_path, rate):
    """Else a file at another rate would be read at the wrong speed and pitch."""
    path = write(tmp_path / "fast.wav", NOISE[:, 0], rate)
    with pytest.warns(UserWarning, match=f"{rate} Hz.*{RATE} Hz"):
        read = read_audio(path)
    np.testing.assert_allclose(read, soxr.resample(NOISE[:, 0], rate, RATE), atol=1e-6)
    assert abs(len(read) - round(RATE * RATE / rate)) <= 1


def test_a_note_is_given_once(tmp_path):
    """Else a corpus of ten thousand stereo files would write ten thousand notes into the notebook."""
    paths = [write(tmp_path / f"{number}.wav", NOISE, 44_100) for number in range(4)]
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("default")
        for path in paths:
            read_audio(path)
            with warnings.catch_warnings():  # as openSMILE does for every file: Python forgets what it has shown
                pass
    assert [("channels" in str(note.message), "Hz" in str(note.message)) for note in notes] == [
        (True, False),
        (False, True),
    ]


def missing(path):
    """no such audio file"""


def zero_bytes(path):
    """not a readable audio file"""
    path.touch()


def no_samples(path):
    """no samples"""
    write(path, NOISE[:0])


def silent(path):
    """silent"""
    write(path, np.zeros(RATE))


def nan(path):
    """NaN"""
    write(path, np.where(np.arange(RATE) == 77, np.nan, NOISE[:, 0]))


def infinite(path):
    """infinite"""
    write(path, np.where(np.arange(RATE) == 77, np.inf, NOISE[:, 0]))


def text(path):
    """not a readable audio file"""
    path.write_text("file,speaker\n")


def torn_header(path):
    """not a readable audio file"""
    path.write_bytes(write(path, NOISE).read_bytes()[:30])


def folder(path):
    """no such audio file"""
    path.mkdir()


BAD = [missing, zero_bytes, no_samples, silent, nan, infinite, text, torn_header, folder]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_file_that_cannot_be_used_is_named(tmp_path, make):
    """Else a reader would see a stack trace of somebody else's library, or train on nothing."""
    path = tmp_path / "utterance_17.wav"
    make(path)
    with pytest.raises(InputError, match=rf"utterance_17\.wav.*{make.__doc__}.*\. \w+.*\.$"):
        read_audio(path)


def test_headerless_audio_is_refused(tmp_path):
    """Else a .raw file, which does not say its rate, would end in a TypeError of soundfile."""
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(1000))
    with pytest.raises(InputError, match=r"a\.raw"):
        read_audio(path)
    with pytest.raises(InputError, match=r"a\.raw"):
        duration(path)


def test_a_stretch_beyond_the_end_is_refused(tmp_path):
    """Else times that belong to another recording would give an empty utterance."""
    with pytest.raises(InputError, match=r"a\.wav.*no samples"):
        read_audio(write(tmp_path / "a.wav", NOISE), 5, 6)


def test_duration(tmp_path):
    """Else the corpus table would state wrong lengths, or take a text file for speech."""
    assert duration(write(tmp_path / "a.wav", NOISE[:4410], 44_100)) == pytest.approx(0.1)
    (tmp_path / "b.wav").write_text("no audio")
    with pytest.raises(InputError, match=r"b\.wav"):
        duration(tmp_path / "b.wav")


@pytest.mark.parametrize(("hop", "step"), [(1, 16_000), (0.4, 6_400)])
def test_segments_are_the_stretches_that_fit(hop, step):
    """Else a segment would start at the wrong sample, reach over the end, or be lost."""
    for length in (32_000, 32_001, 32_000 + step - 1, 32_000 + step, 100_000):
        waveform = np.arange(length, dtype=np.float32)
        expected = [waveform[at : at + 32_000] for at in range(0, length - 32_000 + 1, step)]
        np.testing.assert_array_equal(segment(waveform, 2, hop), expected)


def test_a_short_utterance_is_padded(tmp_path):
    """Else 434 utterances of IEMOCAP, 19 % of the test set, would be dropped."""
    short = segment(NOISE[:5000, 0], 2, 1)
    assert short.shape == (1, 32_000)
    np.testing.assert_array_equal(short[0, :5000], NOISE[:5000, 0])
    assert not short[0, 5000:].any()


def test_equal_parts():
    """Else an utterance of exactly 3 s would be cut into two, or one of 3.01 s left whole."""
    durations = np.array([0.1, 2.99, 3.0, 10.3 - 7.3, 3.01, 6.0, 6.01, 9.0, 9.5])  # 10.3 - 7.3 is more than 3
    assert equal_parts(durations).tolist() == [1, 1, 1, 1, 2, 2, 3, 3, 4]
    assert equal_parts(np.array([2.0, 4.1]), longest=2.0).tolist() == [1, 3]
