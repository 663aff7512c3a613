"""A corpus of synthetic speech, written as IEMOCAP is: every page runs on it, with no licence and no network.

Each utterance has an emotion, and a place drawn near it in the space of valence, activation and dominance.
`RULES` turn the place into prosody; three simulated raters disagree about it as raters do. The rules are
linear, as in Schröder (2006, IEEE Trans. Audio Speech Lang. Process. 14), with the signs on which Scherer
(2003, Speech Communication 40) and Juslin and Laukka (2003, Psychological Bulletin 129) agree: activation
raises F0, its range, tempo and the high frequencies, and shortens pauses; joy widens the range and, smiling,
raises the formants; anger is tense; sadness is low, flat, slow and breathy. Loudness says little, for
everybody sits at their own distance from the microphone, and improvised words say nothing. This corpus
teaches how to work; it is no evidence about human speech.
"""

import errno
import io
import os
import shutil
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
from serlib.cache import cache_root, digest
from serlib.errors import InputError
from serlib.iemocap import EMOTIONS, alignment_path, read_iemocap

__all__ = ["load_synthetic", "make_synthetic"]

RATE = 16_000

#: Valence, activation and dominance, from 1 to 5, at the centre of each emotion.
PLACES = dict(ang=(1.9, 3.8, 4.0), hap=(4.2, 3.4, 3.2), neu=(3.0, 2.8, 2.9), sad=(2.0, 2.1, 2.3))
PLACES |= dict(exc=(4.3, 4.0, 3.5), fru=(2.2, 3.0, 3.4))

#: Neutral value; change per unit of valence, activation, dominance; spread over utterances and over speakers.
RULES = {
    "pitch": (38, 11.0, 18.0, -2.0, 3.5, 4.0),  # 50 steps are an octave
    "pitch_range": (38, 26.0, 16.0, 2.0, 6.0, 5.0),  # espeak's scale
    "rate": (170, 10.0, 28.0, 4.0, 8.0, 8.0),  # words per minute
    "word_gap": (2.0, -1.0, -3.5, -1.0, 0.8, 0.5),  # pauses between words, 10 ms
    "tilt": (0.0, -1.4, 2.2, 1.4, 0.6, 0.6),  # dB per octave above 500 Hz
    "breath": (-26, 1.0, -4.0, -8.0, 2.0, 2.0),  # dB, noise to voice
    "formants": (1.0, 0.05, 0.0, -0.012, 0.007, 0.025),  # factor
    "gain": (-27, 0.0, 1.0, 0.5, 4.0, 3.0),  # dB below full scale
}
ASKED = {"rate": (90, 320), "pitch": (0, 99), "pitch_range": (5, 99), "word_gap": (0, 8)}
VOICES = {"F": ("f1", "Annie", "linda", "f1", "Annie"), "M": ("m1", "m3", "m6", "m1", "m3")}

#: Improvised utterances of each session's woman and man: IEMOCAP's proportions, at a scale of about 1 to 22.
CODES = ("neu", "hap", "exc", "sad", "ang", "fru", "xxx")
SIZES = {
    "small": (
        ((5, 2, 2, 2, 2, 1, 1), (5, 2, 2, 3, 2, 1, 1)),
        ((4, 2, 4, 3, 2, 1, 1), (6, 2, 2, 2, 2, 1, 1)),
        ((4, 2, 2, 5, 2, 1, 1), (5, 2, 2, 4, 3, 1, 1)),
        ((2, 2, 5, 2, 2, 1, 1), (6, 2, 2, 2, 2, 1, 1)),
        ((7, 3, 3, 3, 2, 1, 1), (6, 2, 5, 3, 2, 1, 1)),
    )
}

#: What is said in improvised speech, whatever the emotion.
SHORT = "Yeah.|Yeah. I don't know.|Okay.|Right.|I see.|Maybe.|Really?|You think so?"
OPENERS = "Well,|You know,|I mean,|Listen,|Look,|So|I think|I guess|And then|As far as I know,||||"
CLOSERS = ", that's all.|, or something like that.|, more or less.|, you see.|.|.|.|.|?"
CLAUSES = """the train leaves at seven|my sister keeps the keys|we moved those boxes yesterday|it was on sale
nobody told me about this meeting|she put your letter on my desk|they painted every wall again|they left
I left my coat near the door|the shop opens after lunch|he called twice this morning|we both work on Mondays
you were sitting by the window|the bus stops right behind that church|I have to sign three more papers
we talked about it last week|the neighbours have two dogs now|they want us there before noon|it never rains
it takes about twenty minutes from here|I found the ticket under a chair|our table is next to the kitchen
he asked what time the doctor comes|you said the road was closed|the lights went out at half past nine
my brother drives a different car these days|she writes her name on everything|our cousin plays the piano"""

#: The scripted dialogue, the same in every session. As in IEMOCAP, its lines give their emotion away.
SCRIPT = """F neu What time is it?
M neu Almost nine. They are late again.
F fru You always say that, and then we wait all evening.
M ang Then don't wait! Nobody asked you to wait!
F sad I thought this evening would be different.
M sad So did I. I really did.
F exc Listen! There's a car outside, it must be her!
M hap I told you. She never forgets us."""


def load_synthetic(size: str = "small") -> pd.DataFrame:
    """The synthetic corpus as a corpus table; made on first use, in seconds, under `cache_root()`.

    It is made once, however many processes ask for it, and again when the code that makes it has changed.
    Raises InputError for an unknown size, and when there is no room for it on the disk.

    Page: book/your_corpus.md
    """
    makers = [Path(file).read_bytes() for file in (__file__, espeak.__file__)]
    root = cache_root() / f"synthetic-{size}-{digest(*makers, version('espeakng-loader'))}"
    if not root.exists():
        _make_once(root, size)
    table = read_iemocap(root)
    table.attrs["corpus"] = "synthetic"
    return table


def _make_once(root: Path, size: str) -> None:
    """The corpus appears at `root` whole or not at all, whoever is killed or comes second."""
    part = root.with_name(f"{root.name}.part")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{root}.lock"):
            shutil.rmtree(part, ignore_errors=True)
            if not root.exists():
                os.replace(make_synthetic(part, size), root)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        shutil.rmtree(part, ignore_errors=True)
        remedy = "It takes 30 MB: free them, or set SERLIB_CACHE to a folder on another disk."
        raise InputError(f"No room on disk to make the synthetic corpus {root}. {remedy}") from error


def make_synthetic(root: str | Path, size: str = "small", seed: int = 0) -> Path:
    """Write the synthetic corpus into the new folder `root`, in IEMOCAP's layout and formats, and return it.

    `small` has ten speakers in five sessions and 210 utterances. Equal seeds give equal bytes on one
    platform; what is random in an utterance comes from the seed and its id alone. Raises InputError for an
    unknown size, and for a folder that holds something.

    Page: book/your_corpus.md
    """
    root = Path(root)
    if size not in SIZES:
        raise InputError(f"There is no synthetic corpus of size {size!r}; take one of {', '.join(SIZES)}.")
    if root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root} is not empty. Give a new folder, or empty this one.")
    script = [line.split(" ", 2) for line in SCRIPT.split("\n")]
    for number, (woman, man) in enumerate(SIZES[size], 1):
        turns = [("F", code, None) for code in np.repeat(CODES, woman)]
        turns += [("M", code, None) for code in np.repeat(CODES, man)]
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
    clock, said = 0.0, Counter()
    for letter, code, text in turns:
        name = f"{dialogue}_{letter}{said[letter]:03d}"
        said[letter] += 1
        rng = _random(seed, name)
        place, votes, ratings = _rate(code, rng)
        text = text or _compose(rng)
        wave, words, phones = _say(text, place, f"{dialogue[:5]}_{letter}", seed, rng)
        soundfile.write(file := io.BytesIO(), wave, RATE, format="WAV", subtype="PCM_16")
        wav = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        _write(wav, file.getvalue())
        _write(alignment_path(wav, "wdseg"), _aligned("Word", words, len(wave), ("<s>", "<sil>", "</s>")))
        _write(alignment_path(wav, "phseg"), _aligned("Phone", phones, len(wave), ("SIL", "SIL", "SIL")))
        start = clock + rng.uniform(0.1, 1.5)
        clock = start + len(wave) / RATE
        means = ", ".join(f"{mean:.4f}" for mean in ratings.mean(axis=0))
        labels += ["", f"[{start:.4f} - {clock:.4f}]\t{name}\t{code}\t[{means}]"]
        labels += [f"C-E{n}:\t{EMOTIONS[vote].capitalize()};\t()" for n, vote in enumerate(votes, 1)]
        labels += [f"A-E{n}:\tval {v}; act {a}; dom  {d};\t()" for n, (v, a, d) in enumerate(ratings, 1)]
        spoken.append(f"{name} [{start:08.4f}-{clock:08.4f}]: {text}")
    for part, lines in (("EmoEvaluation", labels), ("transcriptions", spoken)):
        _write(session / "dialog" / part / f"{dialogue}.txt", "\n".join([*lines, ""]).encode())


def _write(path: Path, content: bytes) -> None:
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
    names, centres = list(PLACES), np.array(list(PLACES.values()))
    while True:
        place = rng.normal(PLACES.get(code, rng.choice(centres)), 0.25)
        heard = rng.normal(place, 0.4, (3, 3))
        votes = [names[i] for i in np.linalg.norm(heard[:, None] - centres, axis=2).argmin(axis=1)]
        favourite, count = Counter(votes).most_common(1)[0]
        if code == (favourite if count > 1 else "xxx"):
            return place, votes, np.clip(np.rint(heard), 1, 5).astype(int)


def _compose(rng: np.random.Generator) -> str:
    """A few sentences, together about as long as IEMOCAP's utterances."""
    short, openers, closers = (pool.split("|") for pool in (SHORT, OPENERS, CLOSERS))
    clauses = CLAUSES.replace("\n", "|").split("|")
    length, text = min(rng.lognormal(np.log(54), 0.6), 68), ""
    while len(text) < length - 8:
        sentence = f"{rng.choice(openers)} {rng.choice(clauses)}{rng.choice(closers)}".strip()
        if len(text) + len(sentence) > length + 12:
            return f"{rng.choice(short)} {text}".strip()
        text = f"{text} {sentence[0].upper()}{sentence[1:]}".strip()
    return text or rng.choice(short)


def _say(text: str, place: np.ndarray, speaker: str, seed: int, rng: np.random.Generator) -> tuple:
    """A text, said by a speaker from a place in emotion space: the samples, and timed words and phones."""
    person, rules = _random(seed, speaker), np.array(list(RULES.values()))
    moved = person.uniform(0.8, 1.2) * rules[:, 1:4] @ (place - PLACES["neu"])
    spread = rng.normal(0, rules[:, 4]) + person.normal(0, rules[:, 5])
    cue = dict(zip(RULES, rules[:, 0] + moved + spread, strict=True))
    # Played faster, formants rise as in a shorter vocal tract; F0 and tempo are asked for so much lower.
    cue["pitch"] -= 50 * np.log2(cue["formants"])
    cue["rate"] /= cue["formants"]
    asked = {name: int(np.clip(cue[name], *limits)) for name, limits in ASKED.items()}
    voice = VOICES[speaker[-1]][int(speaker[4]) - 1]
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
