"""Reading speech from files, and saying clearly what is wrong with a file that cannot be used."""

import functools
import math
import warnings
from pathlib import Path

import numpy as np
import soundfile
import soxr

from serlib.errors import InputError

RATE = 16_000  # samples per second; every paper of this book works at 16 kHz
SHORTEST = 960  # samples; openSMILE's longest frame, 60 ms


@functools.cache
def _note(text: str) -> None:
    """Say something once per process, not once per file."""
    warnings.warn(text, stacklevel=4)


def read_audio(path: str | Path, start: float | None = None, end: float | None = None) -> np.ndarray:
    """One utterance as `(samples,)` float32 in [-1, 1], mono, at 16 kHz.

    `start` and `end` are seconds within the file; None means from its beginning, to its end. Several channels are
    averaged and other sampling rates converted (soxr), each with a note. Raises InputError, naming the file, when it is
    missing, unreadable, empty, shorter than a frame (60 ms) or silent, or holds NaN or infinite samples.
    Page: book/your_corpus.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such audio file. Check the path column of the corpus table.")
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            first = round((start or 0.0) * rate)
            file.seek(min(first, file.frames))
            count = -1 if end is None else max(0, round(end * rate) - first)
            samples = file.read(count, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise InputError(f"{path}: not a readable audio file ({error}). Convert it to WAV or FLAC.") from error
    if samples.size == 0:
        raise InputError(f"{path}: holds no samples in the stretch asked for. Remove its row from the table.")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds NaN or infinite samples. Export it again, or remove its row.")
    if samples.shape[1] > 1:
        _note(f"Files with {samples.shape[1]} channels: the channels are averaged.")
    waveform = samples.mean(axis=1)
    if rate != RATE:
        _note(f"Files at {rate} Hz: resampled to {RATE} Hz.")
        waveform = soxr.resample(waveform, rate, RATE)
    if len(waveform) < SHORTEST:
        raise InputError(f"{path}: {len(waveform)} samples are shorter than a frame. Remove its row from the table.")
    if not waveform.any():
        raise InputError(f"{path}: is silent, every sample is zero. Remove its row from the table.")
    return waveform


def duration(path: str | Path) -> float:
    """The length of an audio file in seconds, from its header; or an InputError. Page: book/your_corpus."""
    try:
        return soundfile.info(path).duration
    except (soundfile.LibsndfileError, TypeError) as error:
        raise InputError(f"{path}: not a readable audio file ({error}). Convert it to WAV or FLAC.") from error


def read_row(row) -> np.ndarray:
    """`read_audio` for a row of a corpus table. Page: book/your_corpus."""
    return read_audio(row.path, *(None if math.isnan(time) else time for time in (row.start, row.end)))


def segment(waveform: np.ndarray, seconds: float, hop: float) -> np.ndarray:
    """Cut `(samples,)` into overlapping `(segments, seconds * 16000)`, one every `hop` seconds.

    An utterance shorter than one segment is padded with zeros at its end and gives one; a longer utterance loses the
    tail that does not fill a segment (Li 2018, section 2.1, leaves both open). Page: notebooks/01.
    """
    length, step = round(seconds * RATE), round(hop * RATE)
    if len(waveform) < length:
        return np.pad(waveform, (0, length - len(waveform)))[None]
    return np.lib.stride_tricks.sliding_window_view(waveform, length)[::step]


def equal_parts(durations: np.ndarray, longest: float = 3.0) -> np.ndarray:
    """Into how many equal parts of at most `longest` seconds utterances are cut: Cai 2020.

    Raises InputError where a duration is missing. Page: book/which_iemocap.
    """
    durations = np.asarray(durations, dtype=float)
    if np.isnan(durations).any():
        raise InputError(f"{np.isnan(durations).sum()} utterances have no duration. Give it, in seconds.")
    return np.ceil(durations / longest - 1e-9).astype(int)
