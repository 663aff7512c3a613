"""Text to speech with word and phone times: a small binding to espeak-ng, the voice of the synthetic corpus.

The `espeakng-loader` wheel carries the engine and its voices; all that is C stays in this module. espeak-ng has hidden
state between utterances (the phase of its pitch flutter, random numbers), so `speak` loads a fresh engine each time:
3 ms, and nothing of what was spoken before is heard in what is spoken now.
"""

import _ctypes
import re
from contextlib import contextmanager
from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, c_char, c_int, c_long, c_short, c_void_p
from dataclasses import dataclass
from itertools import count, groupby, pairwise, takewhile
from pathlib import Path
from string import punctuation, whitespace
from threading import Lock

import espeakng_loader
import numpy as np

# From speak_lib.h: modes and flags, then types of events.
SYNCHRONOUS, PHONEME_EVENTS, DONT_EXIT, CHARACTERS, UTF8 = 2, 0x0001, 0x8000, 1, 1
NO_MORE, WORD, END, PHONEME = 0, 1, 5, 7
_one_at_a_time = Lock()


class _Event(Structure):
    _integers = ("type", "id", "text_position", "length", "milliseconds", "sample")
    _fields_ = [(name, c_int) for name in _integers] + [("user_data", c_void_p), ("phone", c_char * 8)]


_Callback = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@dataclass(frozen=True)
class Speech:
    """What was said, and when.

    `samples` is float32 mono in [-1, 1], shape (samples,), at `rate` Hz. `words` and `phones` hold (start, end, label)
    in seconds from the first sample, in order, without pauses. A word is as in the text, without punctuation. Phones
    are espeak's mnemonics without stress marks. Page: book/your_corpus.
    """

    samples: np.ndarray
    rate: int
    words: list[tuple[float, float, str]]
    phones: list[tuple[float, float, str]]


def speak(text: str, voice="en-us+f1", rate=170, pitch=50, pitch_range=50, volume=100, word_gap=0) -> Speech:
    """Say `text` and return the sound with the times of its words and phones, true to within 20 ms.

    `voice` is a language and a variant of espeak-ng, such as `en-us+f1` or `en-us+m3`. `rate` is in words per minute
    (80 to 450). 50 steps of `pitch` (0 to 99) are an octave of F0; `pitch_range` (0 to 99) scales F0's excursions;
    `volume` goes from 0 to 200; `word_gap` lengthens the pauses between words, in steps of about 10 ms. Beyond these
    limits espeak takes the limit. Equal arguments give equal samples. Raises ValueError for an unknown voice, and for a
    text with nothing to say. Source: speak_lib.h of espeak-ng 1.52. Page: book/your_corpus.
    """
    pieces, places, marks = [], [], []

    @_Callback
    def receive(wav, samples, events):
        if wav and samples > 0:
            pieces.append(np.ctypeslib.as_array(wav, (samples,)).copy())
        for event in takewhile(lambda e: e.type != NO_MORE, map(events.__getitem__, count())):
            if event.type == WORD:
                places.append(event.text_position - 1)
            elif event.type in (PHONEME, END):
                phone = event.phone.decode() if event.type == PHONEME else "_"
                marks.append((event.milliseconds / 1000, phone.lstrip("',%=|"), len(places) - 1))
        return 0

    with _engine(voice) as (lib, sampling_rate):
        for number, value in {1: rate, 2: volume, 3: pitch, 4: pitch_range, 7: word_gap}.items():
            lib.espeak_SetParameter(number, value, 0)
        lib.espeak_SetSynthCallback(receive)
        # Spaces that do not break: else espeak takes "of the" for one word, and cuts "it is" elsewhere.
        apart = re.sub(r"(?<=\w) (?=\w)", "\u00a0", text).encode()
        lib.espeak_Synth(apart, len(apart) + 1, 0, CHARACTERS, 0, UTF8, None, None)
    if not places:
        raise ValueError(f"There is nothing to say in the text {text!r}.")

    said = [(t, end, p, word) for (t, p, word), (end, *_) in pairwise(marks) if end > t and p[:1] != "_"]
    words, places = [], [*places, len(text)]
    for word, group in groupby(said, key=lambda phone: phone[3]):
        phones = list(group)
        label = " ".join(text[places[word] : places[word + 1]].split()).strip(punctuation + whitespace)
        words.append((phones[0][0], phones[-1][1], label))
    samples = np.concatenate(pieces).astype(np.float32) / 32768
    return Speech(samples, sampling_rate, words, [phone[:3] for phone in said])


@contextmanager
def _engine(voice: str):
    """A freshly loaded espeak-ng with `voice` set, and its sampling rate. Its state is global: one at a time."""
    data, variant = Path(espeakng_loader.get_data_path()), voice.partition("+")[2]
    unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
    with _one_at_a_time:
        lib = CDLL(espeakng_loader.get_library_path())
        try:
            rate = lib.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), PHONEME_EVENTS | DONT_EXIT)
            lib.espeak_ng_SetRandSeed(c_long(1))
            unheard_of = variant and not (data / "voices" / "!v" / variant).is_file()
            if unheard_of or lib.espeak_SetVoiceByName(voice.encode()):
                raise ValueError(f"espeak-ng has no voice {voice!r}: name one such as 'en-us+f1'.")
            yield lib, rate
        finally:
            lib.espeak_Terminate()
            unload(lib._handle)
