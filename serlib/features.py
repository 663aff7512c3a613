"""The third room: from a waveform to what a model sees."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from serlib.audio import RATE, read_row
from serlib.cache import cached, digest
from serlib.errors import InputError


def frame_count(samples: int, window: int, hop: int, centred: bool) -> int:
    """How many frames `samples` samples give; centred frames may overhang the ends by half a window.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    return 1 + (samples // hop if centred else (samples - window) // hop)


def spectrogram(
    waveforms: np.ndarray | torch.Tensor, window: int = 640, hop: int = 160, dft: int = 1600, top_hz: float = 4000
) -> torch.Tensor:
    """Magnitude spectrogram `(batch, bins, frames)` of waveforms `(batch, samples)` at 16 kHz.

    Periodic Hamming window of `window` samples every `hop`, centred with reflection at the ends, a DFT of `dft`
    points, the bins from 0 Hz up to but without `top_hz`, and the last frame dropped: a segment of s seconds gives
    exactly 100 s frames with the default hop. 2 s give 400 x 200, the matrix of Li 2018, section 2.1.

    Raises InputError when the waveforms are shorter than one window.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    waveforms = torch.tensor(np.asarray(waveforms), dtype=torch.float32)
    if waveforms.shape[-1] < max(window, dft // 2 + 1):
        raise InputError(f"A waveform of {waveforms.shape[-1]} samples is shorter than one frame; pad it with zeros.")
    spectrum = torch.stft(
        waveforms, dft, hop, window, torch.hamming_window(window), center=True, pad_mode="reflect", return_complex=True
    )
    bins = int(np.ceil(top_hz * dft / RATE))
    return spectrum[:, :bins, :-1].abs()


def functionals(waveform: np.ndarray) -> np.ndarray:
    """The 88 functionals of the extended Geneva minimalistic acoustic parameter set (eGeMAPS v02), `(88,)`.

    Computed by openSMILE; Eyben et al. 2016.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return smile.process_signal(waveform, RATE).to_numpy(dtype=np.float32)[0]


def _sources(function: Callable) -> set[str]:
    """The source of a function, of the functions that it calls, and of the constants that they use."""
    found, waiting = {}, [function]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found[current] = inspect.getsource(current)
        codes = [current.__code__]
        for code in codes:  # with the bodies of comprehensions and inner functions
            codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
        names = {name: current.__globals__.get(name) for code in codes for name in code.co_names}
        waiting += [value for value in names.values() if inspect.isfunction(value)]
        found[current] += repr({n: v for n, v in sorted(names.items()) if isinstance(v, int | float | str | tuple)})
    return set(found.values())


def extract(table: pd.DataFrame, function: Callable[[np.ndarray], np.ndarray], keep: bool = True) -> list[np.ndarray]:
    """`function(waveform)` for every row of a corpus table, from the cache where it is there already.

    The cache knows an utterance by its file (path, size, time of change, start, end) and the function by its source
    and that of all it calls, so neither an edited wav nor an edited function brings back an old result. What was
    computed before an error stays. `keep=False` computes without the cache.

    Raises InputError for the first utterance that cannot be used, naming its file.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    arrays = []
    code = sorted(_sources(function) | _sources(read_row))
    for row in tqdm(table.itertuples(), total=len(table), desc="features", leave=False, delay=2):
        try:
            if not keep:
                arrays.append(function(read_row(row)))
                continue
            status = Path(row.path).stat() if Path(row.path).is_file() else None
            file = (row.path, status and (status.st_size, status.st_mtime_ns), row.start, row.end)
            arrays.append(cached(function.__name__, digest(*file, *code), lambda row=row: function(read_row(row))))
        except InputError as error:
            raise InputError(f"{row.utterance_id}: {error}") from error
    return arrays
