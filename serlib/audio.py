"""Reading speech from files, and saying clearly what is wrong with a file that cannot be used."""

import contextlib
import functools
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from serlib.errors import InputError

RATE = 16_000  # samples per second; every paper of this book works at 16 kHz
SHORTEST = 960  # samples; openSMILE's longest frame, 60 ms
RATES = (4_000, 384_000)  # Hz: a header that claims another is damaged, and believing it may take all memory
LONGEST = 3_600  # seconds of an utterance
MOST = 2**27  # numbers that are decoded at a time, all channels together: half a gigabyte
SLACK = 0.01  # seconds by which a header may claim more than there is
_SHOULD_BE = re.compile(r"(?:data|ssnd|data size|riff size)\s*: (\d+) \(should be (\d+)\)", re.I)  # libsndfile's log
_STREAMED = 0x7F000000  # bytes; from here on a header says that nobody knew the length


class Header(NamedTuple):
    """What an audio file says of itself: rate in Hz, channels, seconds, and how many more seconds it should hold.

    Page: book/your_corpus.
    """

    rate: int
    channels: int
    seconds: float
    missing: float


@functools.cache
def _note(text: str) -> None:
    """Say something once per process, not once per file."""
    warnings.warn(text, stacklevel=4)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """An audio file at a rate that speech may have, not yet read."""
    if not path.is_file():
        raise InputError(f"{path}: no such audio file. Check the path column of the corpus table.")
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise InputError(f"{path}: you may not read this file. Change its permissions, or ask its owner.") from error
    try:
        with soundfile.SoundFile(path) as file:
            if not RATES[0] <= file.samplerate <= RATES[1]:
                what = f"claims {file.samplerate} samples per second, and speech has {RATES[0]} to {RATES[1]}"
                raise InputError(f"{path}: {what}. Export it again at its true rate.")
            yield file
    except (soundfile.LibsndfileError, TypeError) as error:
        raise InputError(f"{path}: not a readable audio file ({error}). Convert it to WAV or FLAC.") from error


def _short_of(file: soundfile.SoundFile) -> float:
    """By how many seconds a file that is not compressed is shorter than its header claims."""
    for claimed, there in _SHOULD_BE.findall(file.extra_info):
        if int(there) < int(claimed) < _STREAMED:
            return (int(claimed) - int(there)) / max(1, int(there)) * max(1, file.frames) / file.samplerate
    return 0.0


def _counts(file: soundfile.SoundFile) -> bool:
    """Whether the header holds the number of samples; an MP3 without a Xing or VBRI frame is only estimated."""
    if file.format != "MP3":
        return True
    with open(file.name, "rb") as raw:
        start = raw.read(10)  # a tag may stand first, its size in four times seven bits
        raw.seek(10 + sum(byte << 7 * (3 - n) for n, byte in enumerate(start[6:])) if start[:3] == b"ID3" else 0)
        return bool(re.search(rb"Xing|Info|VBRI", raw.read(256)))


def header(path: str | Path) -> Header:
    """What the header of an audio file says, and whether its last sample is there; the rest is not decoded.

    Of an MP3 the length is an estimate where no Xing or VBRI frame says it. Raises InputError where the file is missing
    or unreadable, or claims a rate that speech does not have. Page: book/your_corpus.
    """
    with _opened(Path(path)) as file:
        missing, seconds = _short_of(file), file.frames / file.samplerate
        if file.format in ("FLAC", "MP3") and file.frames and _counts(file):
            try:
                file.seek(file.frames - 1)
                missing = 0.0 if len(file.read(1)) else seconds
            except soundfile.LibsndfileError:
                missing = seconds
        return Header(file.samplerate, file.channels, seconds, missing if missing > SLACK else 0.0)


def read_audio(path: str | Path, start: float | None = None, end: float | None = None) -> np.ndarray:
    """One utterance as `(samples,)` float32 in [-1, 1], mono, at 16 kHz.

    `start` and `end` are seconds within the file; None means from its beginning, to its end. Several channels are
    averaged, other sampling rates converted (soxr; a peak may then pass 1 by a little), and samples up to ±2 divided by
    the largest, each with a note. Raises InputError, naming the file, when it is missing, unreadable, shorter than its
    header claims, empty, shorter than a frame (60 ms) or silent, or longer than an hour; when it holds NaN, infinite
    or larger samples, or whole numbers written as floats; and when its rate or the times make no sense.
    Page: book/your_corpus.
    """
    path = Path(path)
    if not all(time is None or 0 <= time < math.inf for time in (start, end)):
        raise InputError(f"{path}: from {start} to {end} s is no stretch of a file. Correct the times in the table.")
    duration(path)  # refuses a file that was cut off, wherever the stretch lies
    with _opened(path) as file:
        rate, whole = file.samplerate, file.subtype in ("FLOAT", "DOUBLE")
        first = min(round((start or 0.0) * rate), file.frames)
        count = max(0, (file.frames if end is None else min(round(end * rate), file.frames)) - first)
        if count > LONGEST * rate or count * file.channels > MOST:
            what = f"{count / rate:.0f} s in {file.channels} channels at {rate} Hz are more than an utterance may have"
            raise InputError(f"{path}: {what} (an hour, half a gigabyte). Give start and end of what is said.")
        try:
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{path}: cut off or damaged, it cannot be decoded to its end. Copy it again.") from error
        if len(samples) < count - SLACK * rate and _counts(file):
            lengths = f"{(first + len(samples)) / rate:.2f} s of {file.frames / rate:.2f} s can be decoded"
            raise InputError(f"{path}: shorter than its header claims, {lengths}. Copy it again.")
    if samples.size == 0:
        raise InputError(f"{path}: holds no samples in the stretch asked for. Remove its row from the table.")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds NaN or infinite samples. Export it again, or remove its row.")
    loudest = max(samples.max(), -samples.min())
    if loudest > 2 or (whole and loudest and np.array_equal(samples, samples.round())):
        what = f"samples are floats up to {loudest:.6g}, and floats should stay within ±1"
        raise InputError(f"{path}: {what}. Export it as 16-bit; whole numbers must first be divided by 32768.")
    if loudest > 1:
        _note("Files with samples beyond ±1: divided by their largest.")
        samples /= loudest
    if samples.shape[1] > 1:
        _note(f"Files with {samples.shape[1]} channels: the channels are averaged.")
    waveform = samples.mean(axis=1)
    if np.abs(waveform).max() < 1e-3 * min(loudest, 1) and samples.shape[1] > 1:
        raise InputError(f"{path}: its channels cancel out, one is the other turned round. Export one of them.")
    if rate != RATE:
        _note(f"Files at {rate} Hz: resampled to {RATE} Hz.")
        waveform = soxr.resample(waveform, rate, RATE)
    if len(waveform) < SHORTEST:
        raise InputError(f"{path}: {len(waveform)} samples are shorter than a frame. Remove its row from the table.")
    if not waveform.any():
        raise InputError(f"{path}: is silent, every sample is zero. Remove its row from the table.")
    return waveform


def duration(path: str | Path) -> float:
    """The length of an audio file in seconds, from its header.

    Raises InputError as `header` does, and where the file is shorter than that. Page: book/your_corpus.
    """
    about = header(path)
    if about.missing:
        raise InputError(f"{path}: shorter than its header claims, so it was cut off. Copy it again.")
    return about.seconds


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
