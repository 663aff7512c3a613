"""From a text to phonemes, by espeak-ng: for languages and words that no dictionary has."""

import re
from ctypes import POINTER, c_char_p, c_int

from serlib.corpora.espeak import UTF8, _engine


def phonemes(text: str, voice: str = "en-us") -> list[str]:
    """What espeak-ng would say, as its mnemonics without stress marks, with `|` between two words.

    `voice` is a language, such as `de`. A text without a word gives none. Raises ValueError for an unknown voice.
    Page: notebooks/05.
    """
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.replace("\u2019", "'"))
    said = []
    with _engine(voice) as (lib, _):
        lib.espeak_TextToPhonemes.restype = c_char_p
        lib.espeak_TextToPhonemes.argtypes = [POINTER(c_char_p), c_int, c_int]
        for word in words:
            rest, marks = c_char_p(word.encode()), []
            while rest.value:  # it comes back with what is left to say
                marks += (lib.espeak_TextToPhonemes(rest, UTF8, ord("_") << 8) or b"").decode().split("_")
            phones = [mark.strip().lstrip("',%=|") for mark in marks]
            said += [phone for phone in phones if phone and phone[0] not in "!:;("] + ["|"]
    return said[:-1]
