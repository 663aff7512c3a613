"""Features: against librosa, openSMILE and a loop over the definition; and the cache before them."""

import functools
import importlib.util
import os

import librosa
import numpy as np
import opensmile
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from serlib import features
from serlib.audio import read_row
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.features import descriptors, extract, functionals, log_mel, spectrogram
from serlib.papers.li2018 import segments_for_training

properties = settings(max_examples=30, deadline=None, database=None, derandomize=True)
RNG = np.random.default_rng(0)
SPEECH = (RNG.normal(size=32_000) * np.sin(np.arange(32_000) / 3000) * 0.1).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "window", "centred", "frames"),
    [(32_000, 640, False, 197), (32_000, 640, True, 201), (48_000, 640, False, 297), (48_000, 640, True, 301)],
)
def test_frame_arithmetic(samples, window, centred, frames):
    """Else the chapter's explanation of 197, 201 and 200 frames would not hold."""
    assert 1 + (samples if centred else samples - window) // 160 == frames
    waveform = np.pad(SPEECH, (0, samples - 32_000))
    options = {"n_fft": window, "hop_length": 160, "center": centred}
    assert librosa.stft(waveform, **options).shape[1] == frames
    if centred:
        assert spectrogram(waveform[None], window).shape[2] == frames - 1


@pytest.mark.parametrize(
    ("seconds", "dft", "shape"), [(2, 1600, (400, 200)), (3, 1600, (400, 300)), (3, 800, (200, 300))]
)
def test_the_matrix_has_the_papers_size(seconds, dft, shape):
    """Else the network would see another matrix than the papers' 400 x 200 and 200 x 300."""
    assert spectrogram(np.zeros((5, seconds * 16_000)), dft=dft).shape == (5, *shape)


def test_bins_lie_strictly_below_4_khz():
    """Else the bin at 4 kHz would be in, or a tone appear in another bin than its own."""
    time = np.arange(32_000) / 16_000
    for hertz, bin_ in ((0, 0), (10, 1), (1000, 100), (3990, 399)):
        tone = np.cos(2 * np.pi * hertz * time)
        assert (spectrogram(tone[None], window=1600)[0, :, 100].argmax() == bin_).all()
    above = np.cos(2 * np.pi * 4600 * time)
    assert spectrogram(above[None])[0, :, 10:190].max() < 0.01 * spectrogram(tone[None]).max()


def test_spectrogram_is_librosas():
    """Else our features would not be those of the library that everybody knows."""
    expected = librosa.stft(SPEECH, n_fft=1600, hop_length=160, win_length=640, window="hamming", pad_mode="reflect")
    expected = np.abs(expected)[:400, :-1]
    found = spectrogram(np.stack([SPEECH, -SPEECH[::-1]]))
    assert found.shape == (2, 400, 200) and found.dtype == torch.float32
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * expected.max())


def test_spectrogram_is_the_definition():
    """Else window, padding, hop or transform would not be what the docstring says."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(640) / 640)
    padded = np.pad(SPEECH.astype(np.float64), 800, mode="reflect")
    found = spectrogram(SPEECH[None])[0]
    for frame in (0, 1, 99, 199):
        centre = 800 + 160 * frame
        for bin_ in (0, 1, 37, 399):
            total = 0j
            for n in range(640):
                total += window[n] * padded[centre - 320 + n] * np.exp(-2j * np.pi * bin_ * n / 1600)
            assert found[bin_, frame].item() == pytest.approx(abs(total), rel=1e-3, abs=1e-4)


def test_utterances_do_not_touch_each_other():
    """Else a spectrogram would depend on what is computed beside it."""
    waveforms = RNG.normal(size=(3, 32_000))
    together = spectrogram(waveforms)
    for number in range(3):
        np.testing.assert_allclose(together[number], spectrogram(waveforms[number : number + 1])[0], atol=1e-4)
    torch.testing.assert_close(spectrogram(torch.from_numpy(waveforms)), together)


def test_functionals_are_opensmiles():
    """Else the baseline would stand on something else than eGeMAPS, or on columns in another order."""
    found = functionals(SPEECH)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    assert found.shape == (88,) and found.dtype == np.float32
    expected = smile.process_signal(SPEECH, 16_000)
    assert len(smile.feature_names) == 88 and list(expected) == smile.feature_names
    np.testing.assert_array_equal(found, expected.to_numpy(np.float32)[0])


@pytest.mark.parametrize("samples", [1, 639])
def test_a_waveform_shorter_than_a_frame(samples):
    """Else it would end in an error of torch."""
    with pytest.raises(InputError, match=f"{samples} samples is shorter than one frame; pad"):
        spectrogram(SPEECH[None, :samples])


def loudness(waveform):
    return np.array([np.abs(waveform).mean()])


def spectra(waveform):
    return spectrogram(waveform[None])[0].numpy()


def kept():
    """The names of the files in the cache."""
    found = features.cached.__globals__["cache_root"]().rglob("*.npy")
    return {path.name for path in found if path.parent.name != "contents"}


def test_the_cache_gives_back_what_was_computed(corpus):
    """Else the second run would see other features than the first."""
    table = read_folder(corpus)
    first, again, without = (
        extract(table, spectra),
        extract(table, spectra),
        [spectra(read_row(row)) for row in table.itertuples()],
    )
    assert len(first) == len(kept()) == 24
    for one, two, three in zip(first, again, without, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_what_was_computed_is_not_computed_again(corpus, monkeypatch):
    """Else every notebook would wait for its features again."""
    table = read_folder(corpus)
    first = extract(table, loudness)
    monkeypatch.setattr(soundfile, "SoundFile", lambda path: pytest.fail("read again"))
    np.testing.assert_array_equal(extract(table[::-1], loudness), first[::-1])


def test_an_edited_wav_is_computed_again(corpus):
    """Else a recording that was repaired would keep the features of the broken one."""
    table = read_folder(corpus)
    before = extract(table, loudness)
    path = table["path"][3]
    status = os.stat(path)
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples / 2, rate)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))  # same size, written in the same instant
    after = extract(table, loudness)
    assert after[3] == pytest.approx(before[3] / 2, rel=1e-3)
    np.testing.assert_array_equal(np.delete(after, 3), np.delete(before, 3))


def test_stretches_of_one_file_are_kept_apart(corpus):
    """Else two utterances of one recording would share their features."""
    table = pd.concat([read_folder(corpus)[:1]] * 2, ignore_index=True)
    table["start"], table["end"] = [0.0, 0.5], [0.5, 1.5]
    whole, part = extract(table, length)
    assert (whole.item(), part.item()) == (8000, 16_000)


def length(waveform):
    return np.array([len(waveform)])


VERSIONS = {
    "as it is": "",
    "the function": "return np.array([helper(x) for x in wave[:1]])->return np.array([helper(x) for x in wave[:2]])",
    "what it calls in a loop": "return 2 * x->return 3 * x",
    "what it calls in an inner function": "return y + 1->return y + 2",
    "a constant": "FACTOR = 5->FACTOR = 6",
}
SOURCE = """
import numpy as np
FACTOR = 5
def deeper(y):
    return y + 1
def helper(x):
    def inner(z):
        return deeper(z)
    return 2 * x
def feature(wave):
    wave = wave * FACTOR
    return np.array([helper(x) for x in wave[:1]])
"""


def test_an_edited_function_is_computed_again(tmp_path, corpus):
    """Else somebody who changes a feature would train on the old one."""
    table = read_folder(corpus)[:1]
    found = {}
    for number, (what, change) in enumerate(VERSIONS.items()):
        old, _, new = change.partition("->")
        path = tmp_path / f"version{number}.py"
        path.write_text(SOURCE.replace(old, new) if old else SOURCE)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        before = len(kept())
        extract(table, module.feature)
        found[what] = len(kept()) - before
    assert found == dict.fromkeys(VERSIONS, 1)
    extract(table, module.feature)
    assert len(kept()) == len(VERSIONS)


def test_another_way_to_read_is_computed_again(corpus, monkeypatch):
    """Else a correction in how audio is read or resampled would leave the features of the faulty one."""
    table = read_folder(corpus)
    before = extract(table, loudness)

    def twice_as_loud(row):
        return 2 * read_row(row)

    monkeypatch.setattr(features, "read_row", twice_as_loud)
    np.testing.assert_allclose(extract(table, loudness), 2 * np.array(before), rtol=1e-6)


def test_a_bad_file_is_named_and_the_rest_is_kept(corpus, monkeypatch):
    """Else one silent wav would cost an hour of features, and be looked for by hand."""
    table = read_folder(corpus)
    soundfile.write(table["path"][5], np.zeros(8000), 16_000)
    with pytest.raises(InputError, match=r"s0_neutral_1: .*s0_neutral_1\.wav: is silent"):
        extract(table, loudness)
    assert len(kept()) == 5
    os.remove(table["path"][5])
    with pytest.raises(InputError, match=r"s0_neutral_1: .*s0_neutral_1\.wav: no such audio file"):
        extract(table, loudness)


@pytest.mark.parametrize("function", [spectra, functionals, segments_for_training])
def test_a_file_shorter_than_a_frame_is_named(corpus, function):
    """Else a click of ten samples would be looked for by hand, or become NaN or silence that a model is trained on."""
    table = read_folder(corpus)
    soundfile.write(table["path"][5], SPEECH[5000:5010], 16_000)
    with pytest.raises(InputError, match=r"s0_neutral_1\.wav.*shorter than"):
        extract(table, function)


def pulses(hertz, seconds=1.0):
    """A train of pulses through a low-pass filter, as glottal pulses are: every harmonic of a pitch, falling."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    return (0.3 * sum(np.cos(2 * np.pi * hertz * n * time) / n for n in range(1, 20))).astype(np.float32)


def low_level():
    """openSMILE's set of descriptors that the chapter takes."""
    with pytest.warns(UserWarning, match="eGeMAPSv02"):  # it prefers its later set
        return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv01b, opensmile.FeatureLevel.LowLevelDescriptors)


@pytest.mark.filterwarnings("error")
def test_descriptors_are_opensmiles():
    """Else the network would read other columns than the 23 of the paper; or each file bring a warning."""
    found, smile = descriptors(SPEECH), low_level()
    expected = smile.process_signal(SPEECH, 16_000)
    assert found.shape == (len(expected), 23) and found.dtype == np.float32 and np.isfinite(found).all()
    assert list(expected) == smile.feature_names and len({*smile.feature_names}) == 23
    np.testing.assert_array_equal(found, expected.to_numpy(np.float32))


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_descriptors_come_every_10_ms(seconds):
    """Else an utterance would be cropped to other seconds in training than its waveform is."""
    assert abs(len(descriptors(SPEECH[: round(16_000 * seconds)])) - 100 * seconds) <= 6


def test_loudness_follows_the_amplitude():
    """Else the column that is read as loudness would be another one."""
    column = low_level().feature_names.index("Loudness_sma3")
    swelling = descriptors(pulses(150) * np.linspace(0.01, 1, 16_000, dtype=np.float32))[:, column]
    assert stats.spearmanr(np.arange(len(swelling)), swelling).statistic > 0.98 and swelling[-10] > 3 * swelling[10]


@pytest.mark.parametrize(("hertz", "semitones"), [(110, 24), (220, 36)])
def test_pitch_is_in_semitones_above_27_hertz(hertz, semitones):
    """Else the column that is read as pitch would be another one, or be in hertz."""
    column = low_level().feature_names.index("F0semitoneFrom27.5Hz_sma3nz")
    assert column == 10
    voiced = descriptors(pulses(hertz))[20:-20, column]
    assert np.median(voiced) == pytest.approx(semitones, abs=0.2)


@pytest.mark.parametrize("samples", [960, 1600])
def test_descriptors_of_a_short_utterance(samples):
    """Else the shortest utterance that can be read would stop training, or give a sequence without a step."""
    found = descriptors(SPEECH[3000 : 3000 + samples])
    assert len(found) and found.shape[1] == 23 and np.isfinite(found).all()


def mel_edges(bands):
    """Where the triangles begin, have their peaks and end: evenly spaced on HTK's mel scale, in hertz."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (20, 8000))
    return 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)


@functools.cache
def triangles(bands):
    """Weights `(bands, 257)` of a DFT's bins: linear in hertz, from 0 at an edge to 1 at the next and back to 0."""
    edges, found = mel_edges(bands), np.zeros((bands, 257))
    for band in range(bands):
        low, peak, high = edges[band : band + 3]
        for bin_ in range(257):
            hertz = bin_ * 16_000 / 512
            if low < hertz < high:
                found[band, bin_] = (hertz - low) / (peak - low) if hertz < peak else (high - hertz) / (high - peak)
    return found


def naive_log_mel(waveform, bands):
    """`log_mel` from its docstring: a loop over frames, and a DFT written as a sum."""
    samples = np.array([*waveform, *[0.0] * max(0, 400 - len(waveform))], dtype=np.float64)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    frames, start = [], 0
    while start + 400 <= len(samples):
        power = abs(dft @ (window * samples[start : start + 400])) ** 2
        frames.append([np.log(max(weights @ power, 1e-10)) for weights in triangles(bands)])
        start += 160
    return np.array(frames)


def sound(kind, samples):
    """So many samples of what a recording may hold."""
    time = np.arange(samples) / 16_000
    rng = np.random.default_rng(samples)
    noise = 0.1 * rng.normal(size=samples)
    if kind == "speech":  # voiced and unvoiced in turn, swelling and fading, with a pause
        swelling = np.sin(2 * np.pi * 3 * time + 0.1).clip(0)
        return swelling * np.where(time % 0.2 < 0.15, pulses(140, 1.0)[:samples], noise)
    return {"noise": noise, "tones": np.sin(2 * np.pi * 440 * time) + 1e-3 * np.cos(2 * np.pi * 5000 * time)}[kind]


@pytest.mark.parametrize("kind", ["noise", "tones", "speech"])
@pytest.mark.parametrize("samples", [1, 399, 400, 401, 559, 560, 16_000])
def test_log_mel_is_the_definition(kind, samples):
    """Else window, hop, transform, mel scale, triangles, logarithm or floor would not be what the docstring says."""
    waveform = sound(kind, samples).astype(np.float32)
    for bands in (23, 40) if samples < 1000 else (23,):
        found = log_mel(waveform) if bands == 23 else log_mel(waveform, bands)
        assert found.shape == (1 + max(0, samples - 400) // 160, bands) and found.dtype == np.float32
        np.testing.assert_allclose(found, naive_log_mel(waveform, bands), atol=2e-5)


@pytest.mark.parametrize("kind", ["noise", "tones", "speech"])
def test_log_mel_is_librosas(kind):
    """Else our log-mels would not be those of the library that everybody knows."""
    waveform = sound(kind, 16_000)
    options = {"n_fft": 512, "win_length": 400, "hop_length": 160, "window": "hamming", "center": False}
    mels = {"n_mels": 23, "fmin": 20, "fmax": 8000, "htk": True, "norm": None}
    around = np.pad(waveform, 56)  # librosa puts a window of 400 into the middle of 512 samples
    power = librosa.feature.melspectrogram(y=around, sr=16_000, power=2.0, **options, **mels)
    np.testing.assert_allclose(log_mel(waveform), np.log(power.clip(1e-10)).T, atol=2e-5)


@properties
@given(st.integers(1, 1500), st.integers(0, 10**6))
def test_log_mel_frames_do_not_touch_each_other(samples, seed):
    """Else a frame would depend on more than its own 25 ms, be missing at an end, or be of another place."""
    waveform = np.random.default_rng(seed).normal(size=samples).astype(np.float32)
    found = log_mel(waveform)
    assert len(found) == 1 + max(0, samples - 400) // 160
    for frame, row in enumerate(found):
        np.testing.assert_allclose(row, log_mel(waveform[160 * frame :][:400])[0], atol=1e-5)
    np.testing.assert_allclose(log_mel(10 * waveform), found + 2 * np.log(10), atol=1e-4)  # power, in nats


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("samples", [1, 400, 16_000])
def test_log_mel_of_silence(samples):
    """Else a pause would be minus infinity, which no network can be trained on, or bring a warning for each file."""
    found = log_mel(np.zeros(samples, np.float32))
    np.testing.assert_allclose(found, np.log(1e-10), rtol=1e-6)
    faint = log_mel(np.full(samples, 1e-9, np.float32))
    assert np.isfinite(faint).all() and faint.min() == found.max()


@pytest.mark.parametrize("bands", [23, 40])
def test_a_tone_is_in_its_band(bands):
    """Else a band would be another stretch of frequencies than the one it is said to be."""
    edges, time = mel_edges(bands), np.arange(720) / 16_000
    for band, peak in enumerate(edges[1:-1]):
        assert (log_mel(np.cos(2 * np.pi * peak * time), bands).argmax(1) == band).all()
    for hertz in np.random.default_rng(0).uniform(60, 7900, 60):
        (band,) = {*log_mel(np.cos(2 * np.pi * hertz * time), bands).argmax(1).tolist()}
        assert edges[band] < hertz < edges[band + 2]
