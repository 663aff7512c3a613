"""A corpus of synthetic speech, written as IEMOCAP is: every chapter runs on it, with no licence and no network.

Each utterance has a place near its emotion in the space of valence, activation and dominance. The rules of
synthetic.toml turn it into prosody, linearly as in Schröder (2006), with the signs on which Scherer (2003) and Juslin
and Laukka (2003) agree; three simulated raters disagree about it as raters do. Loudness says little, for everybody sits
at their own distance from the microphone. This corpus teaches how to work; it is no evidence about human speech.
"""

import contextlib
import io
import os
import shutil
import tomllib
import zlib
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from filelock import FileLock
from scipy.fft import irfft, next_fast_len, rfft

from serlib import espeak
from serlib.audio import RATE
from serlib.cache import cache_root, digest, room_for
from serlib.errors import InputError
from serlib.iemocap import EMOTIONS, alignment_path, read_iemocap

MADE_OF = Path(__file__).with_suffix(".toml")
_of = tomllib.loads(MADE_OF.read_text("utf-8"))


def load_synthetic(size: str = "small") -> pd.DataFrame:
    """The synthetic corpus as a corpus table; made on first use, in seconds, under `cache_root()`.

    It is made once, however many processes ask, and again when the code that makes it has changed. Raises InputError
    for an unknown size, and when there is no room on the disk. Page: book/your_corpus.
    """
    makers = [Path(file).read_bytes() for file in (__file__, MADE_OF, espeak.__file__)]
    root = cache_root() / f"synthetic-{size}-{digest(*makers, version('espeakng-loader'))}"
    part = root.with_name(f"{root.name}.part")  # the corpus appears whole or not at all, whoever is killed
    with room_for(root), FileLock(f"{root}.lock"), contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, part, ignore_errors=True)
        shutil.rmtree(part, ignore_errors=True)
        if not root.exists():
            os.replace(make_synthetic(part, size), root)
    table = read_iemocap(root)
    table.attrs["corpus"] = "synthetic"
    return table


def make_synthetic(root: str | Path, size: str = "small", seed: int = 0) -> Path:
    """Write the synthetic corpus into the new folder `root`, in IEMOCAP's layout and formats, and return it.

    `small` has ten speakers in five sessions and 210 utterances. Equal seeds give equal bytes on one platform; what is
    random in an utterance comes from the seed and its id alone. Raises InputError for an unknown size, and for a folder
    that holds something. Page: book/your_corpus.
    """
    root = Path(root)
    codes, sizes = _of["sizes"]["codes"], [name for name in _of["sizes"] if name != "codes"]
    if size not in sizes:
        raise InputError(f"There is no synthetic corpus of size {size!r}; take one of {', '.join(sizes)}.")
    if root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root} is not empty. Give a new folder, or empty this one.")
    script = _of["sentences"]["script"]
    for number, (woman, man) in enumerate(_of["sizes"][size], 1):
        turns = [("F", code, None) for code in np.repeat(codes, woman)]
        turns += [("M", code, None) for code in np.repeat(codes, man)]
        _random(seed, f"Ses0{number}").shuffle(turns)
        _write_dialogue(root, f"Ses0{number}F_impro01", turns[::2], seed)
        _write_dialogue(root, f"Ses0{number}M_impro02", turns[1::2], seed)
        _write_dialogue(root, f"Ses0{number}M_script01_1{'b' if number == 5 else ''}", script, seed)
    return root


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _write_dialogue(root: Path, dialogue: str, turns: list, seed: int) -> None:
    """The wavs, alignments, labels and transcripts of turns: (F or M, emotion code, text or None)."""
    session = root / f"Session{dialogue[4]}"
    labels, spoken = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"], []
    clock, said, files = 0.0, Counter(), {}
    for letter, code, text in turns:
        name = f"{dialogue}_{letter}{said[letter]:03d}"
        said[letter] += 1
        rng = _random(seed, name)
        place, votes, ratings = _rate(code, rng)
        text = text or _compose(rng)
        wave, words, phones = _say(text, place, f"{dialogue[:5]}_{letter}", seed, rng)
        soundfile.write(file := io.BytesIO(), wave, RATE, format="WAV", subtype="PCM_16")
        wav = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        files[wav] = file.getvalue()
        files[alignment_path(wav, "wdseg")] = _aligned("Word", words, len(wave), ("<s>", "<sil>", "</s>"))
        files[alignment_path(wav, "phseg")] = _aligned("Phone", phones, len(wave), ("SIL", "SIL", "SIL"))
        start = clock + rng.uniform(0.1, 1.5)
        clock = start + len(wave) / RATE
        means = ", ".join(f"{mean:.4f}" for mean in ratings.mean(axis=0))
        labels += ["", f"[{start:.4f} - {clock:.4f}]\t{name}\t{code}\t[{means}]"]
        labels += [f"C-E{n}:\t{EMOTIONS[vote].capitalize()};\t()" for n, vote in enumerate(votes, 1)]
        labels += [f"A-E{n}:\tval {v}; act {a}; dom  {d};\t()" for n, (v, a, d) in enumerate(ratings, 1)]
        spoken.append(f"{name} [{start:08.4f}-{clock:08.4f}]: {text}")
    for part, lines in (("EmoEvaluation", labels), ("transcriptions", spoken)):
        files[session / "dialog" / part / f"{dialogue}.txt"] = "\n".join([*lines, ""]).encode()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _aligned(kind: str, spans: list, samples: int, silences: tuple[str, str, str]) -> bytes:
    """Timed labels as 10 ms frames that tile the utterance; silences at its start, within, at its end."""
    rows, at = [], 0
    for start, end, label in spans:
        first = max(at, round(100 * start))
        rows += [(at, first, silences[at > 0])] if first > at else []
        at = max(first + 1, round(100 * end))
        rows.append((first, at, label))
    rows.append((at, samples * 100 // RATE, silences[2]))
    lines = [f"{first:9d}{end - 1:9d}{1000 * (first - end):11d} {label}" for first, end, label in rows]
    head, foot = f"     SFrm     EFrm    SegAScr {kind}", f" Total score: {-1000 * rows[-1][1]:12d}\n"
    return "\n".join([head, *lines, foot]).encode()


def _rate(code: str, rng: np.random.Generator) -> tuple[np.ndarray, list[str], np.ndarray]:
    """A place near an emotion; three raters' votes for the emotion nearest to it and ratings, shape (3, 3).

    Drawn until most vote for `code`, or no two agree where it is `xxx`: a label is what raters agree on.
    """
    names, centres = list(_of["places"]), np.array(list(_of["places"].values()))
    while True:
        place = rng.normal(_of["places"].get(code, rng.choice(centres)), 0.25)
        heard = rng.normal(place, 0.4, (3, 3))
        votes = [names[i] for i in np.linalg.norm(heard[:, None] - centres, axis=2).argmin(axis=1)]
        favourite, count = Counter(votes).most_common(1)[0]
        if code == (favourite if count > 1 else "xxx"):
            return place, votes, np.clip(np.rint(heard), 1, 5).astype(int)


def _compose(rng: np.random.Generator) -> str:
    """A few sentences, together about as long as IEMOCAP's utterances."""
    short, openers, closers, clauses = (_of["sentences"][pool] for pool in ("short", "openers", "closers", "clauses"))
    length, text = min(rng.lognormal(np.log(54), 0.6), 68), ""
    while len(text) < length - 8:
        sentence = f"{rng.choice(openers)} {rng.choice(clauses)}{rng.choice(closers)}".strip()
        if len(text) + len(sentence) > length + 12:
            return f"{rng.choice(short)} {text}".strip()
        text = f"{text} {sentence[0].upper()}{sentence[1:]}".strip()
    return text or rng.choice(short)


def _say(text: str, place: np.ndarray, speaker: str, seed: int, rng: np.random.Generator) -> tuple:
    """A text, said by a speaker from a place in emotion space: the samples, and timed words and phones."""
    person, rules = _random(seed, speaker), np.array(list(_of["rules"].values()))
    moved = person.uniform(0.8, 1.2) * rules[:, 1:4] @ (place - _of["places"]["neu"])
    spread = rng.normal(0, rules[:, 4]) + person.normal(0, rules[:, 5])
    cue = dict(zip(_of["rules"], rules[:, 0] + moved + spread, strict=True))
    # Played faster, formants rise as in a shorter vocal tract; F0 and tempo are asked for so much lower.
    cue["pitch"] -= 50 * np.log2(cue["formants"])
    cue["rate"] /= cue["formants"]
    asked = {name: int(np.clip(cue[name], *limits)) for name, limits in _of["limits"].items()}
    voice = _of["voices"][speaker[-1]][int(speaker[4]) - 1]
    speech = espeak.speak(text, f"en-us+{voice}", volume=60, **asked)
    size = next_fast_len(round((speech.words[-1][1] + 0.03) * speech.rate))
    length = next_fast_len(round(size / cue["formants"] * RATE / speech.rate))
    spectrum = rfft(speech.samples[:size], size)[: length // 2 + 1]
    octaves = np.log2(np.maximum(np.arange(len(spectrum)) * RATE / length / 500, 1))
    sound = irfft(spectrum * 10 ** (cue["tilt"] * octaves / 20), length)
    envelope = np.sqrt(np.convolve(sound**2, np.full(320, 1 / 320), "same"))
    sound += 10 ** (cue["breath"] / 20) * envelope * rng.normal(size=length)
    sound *= 10 ** (cue["gain"] / 20) / np.sqrt(np.mean(sound**2))
    before, after = rng.integers(1600, 5600, 2)
    sound = np.pad(sound, (before, after)) + rng.normal(0, 0.0005, before + length + after)
    pace, wait = length / RATE * speech.rate / size, before / RATE
    words = [(wait + pace * start, wait + pace * end, word.upper()) for start, end, word in speech.words]
    phones = [(wait + pace * start, wait + pace * end, phone) for start, end, phone in speech.phones]
    return np.clip(sound, -0.99, 0.99), words, phones
