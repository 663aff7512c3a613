"""The third room: from a waveform to what a model sees."""

import inspect
import re
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from serlib.audio import RATE, read_row
from serlib.cache import cached, contents, digest
from serlib.errors import InputError


def spectrogram(waveforms: np.ndarray, window=640, hop=160, dft=1600, top_hz=4000.0) -> torch.Tensor:
    """Magnitude spectrogram `(batch, bins, frames)` of waveforms `(batch, samples)` at 16 kHz.

    Periodic Hamming window of `window` samples every `hop`, centred with reflection at the ends, a DFT of `dft` points,
    the bins from 0 Hz up to but without `top_hz`, and the last frame dropped: with the default hop exactly 100 frames a
    second. Two seconds give 400 x 200, the matrix of Li 2018, section 2.1. Raises InputError when the waveforms are
    shorter than the window, or too short for the reflection. Page: notebooks/01.
    """
    waveforms = torch.tensor(np.asarray(waveforms), dtype=torch.float32)
    if waveforms.shape[-1] < max(window, dft // 2 + 1):
        raise InputError(f"A waveform of {waveforms.shape[-1]} samples is shorter than one frame; pad it with zeros.")
    hamming, bins = torch.hamming_window(window), int(np.ceil(top_hz * dft / RATE))
    spectrum = torch.stft(waveforms, dft, hop, window, hamming, pad_mode="reflect", return_complex=True)
    return spectrum[:, :bins, :-1].abs()


def log_mel(waveform: np.ndarray, bands: int = 23) -> np.ndarray:
    """Log-mel filterbank `(frames, bands)` of a waveform `(samples,)` at 16 kHz, in nats, one row every 10 ms.

    Frames of 25 ms under a Hamming window, not centred; a DFT of 512 points; triangles from 20 to 8000 Hz, evenly
    spaced on HTK's mel scale, each with a peak of 1; the natural logarithm of the power in them, at least 10⁻¹⁰. What
    is shorter than a frame is filled up with zeros to one. Page: notebooks/03.
    """
    import librosa

    padded = np.pad(waveform, (0, max(0, 400 - len(waveform))))
    mels = dict(n_mels=bands, fmin=20, fmax=RATE / 2, htk=True, norm=None)
    frames = librosa.util.frame(padded, frame_length=400, hop_length=160, axis=0) * np.hamming(401)[:-1]
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    energy = power @ librosa.filters.mel(sr=RATE, n_fft=512, **mels).T
    return np.log(energy.clip(1e-10)).astype(np.float32)


def functionals(waveform: np.ndarray) -> np.ndarray:
    """The 88 functionals of eGeMAPS v02 (Eyben et al. 2016), by openSMILE, `(88,)`. Page: notebooks/01."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return smile.process_signal(waveform, RATE).to_numpy(dtype=np.float32)[0]


def descriptors(waveform: np.ndarray) -> np.ndarray:
    """The 23 low-level descriptors behind eGeMAPS, one row every 10 ms, by openSMILE, `(frames, 23)`.

    Loudness, spectral shape, pitch, voice quality and formants, smoothed over three frames, as eGeMAPS v01 has them:
    v02 adds the bandwidths of two formants. Page: notebooks/02.
    """
    import opensmile

    with warnings.catch_warnings():  # openSMILE prefers its later set, of 25; papers before it have 23
        warnings.simplefilter("ignore", UserWarning)
        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv01b, opensmile.FeatureLevel.LowLevelDescriptors)
    return smile.process_signal(waveform, RATE).to_numpy(dtype=np.float32)


def _sources(function: Callable) -> set[str]:
    """The source of a function, of the functions that it calls, and of the constants that they use."""
    found, waiting = {}, [function]
    while waiting:
        if (current := waiting.pop()) not in found:
            source = inspect.getsource(current)
            used = {name: current.__globals__.get(name) for name in sorted(set(re.findall(r"\w+", source)))}
            waiting += filter(inspect.isfunction, used.values())
            constants = {name: value for name, value in used.items() if isinstance(value, int | float | str | tuple)}
            found[current] = source + repr(constants)
    return set(found.values())


def extract(table: pd.DataFrame, function: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """`function(waveform)` for every row of a corpus table, from the cache where it is there already.

    The cache knows an utterance by what its file holds, from start to end, and the function by its source and that of
    all it calls, so neither an edited wav nor an edited function brings back an old result. What was computed stays
    when an InputError names the first file that cannot be used. Page: notebooks/01.
    """
    arrays, sound = [], contents(table["path"])
    code = sorted(_sources(function) | _sources(read_row))
    for row in tqdm(table.itertuples(), total=len(table), desc="features", leave=False, delay=2):
        key = digest(sound[row.path], row.start, row.end, *code)
        try:
            arrays.append(cached(function.__name__, key, lambda row=row: function(read_row(row))))
        except InputError as error:
            raise InputError(f"{row.utterance_id}: {error}") from error
    return arrays
