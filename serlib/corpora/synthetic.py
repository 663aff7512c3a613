"""A corpus of synthetic speech, written as IEMOCAP is: every chapter runs on it, with no licence and no network.

Each utterance has a place near its emotion in the space of valence, activation and dominance. The rules of
synthetic.toml turn it into prosody, linearly as in Schröder (2006), with the signs on which Scherer (2003) and Juslin
and Laukka (2003) agree; three simulated raters disagree about it as raters do. Loudness says little, for everybody sits
at their own distance from the microphone. This corpus teaches how to work; it is no evidence about human speech.
"""

import contextlib
import io
import json
import os
import tomllib
import zlib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path

import joblib
import numpy as np
import soundfile
from scipy.fft import irfft, next_fast_len, rfft
from tqdm.auto import tqdm

from serlib.audio import RATE, equal_parts
from serlib.cache import contents, digest, locked, room_for, write_atomically
from serlib.corpora import espeak
from serlib.corpora.iemocap import EMOTIONS, alignment_path
from serlib.errors import InputError

NOTE = "SYNTHETIC.txt"  # in a corpus's folder: which synthetic corpus it is, for people; its label files say it too
SUMS = "digests.json"  # there too: the digest of each of its files, by its name
MADE_OF = Path(__file__).with_suffix(".toml")
_of = tomllib.loads(MADE_OF.read_text("utf-8"))
_WITHOUT_WORDS = "Ses03M_impro03_M001"  # IEMOCAP's one utterance without a .wdseg has none here either
_SHORTEST, _LONGEST = 0.6, 34.0  # seconds, as in IEMOCAP
_VOTES = {"exc": "Excited", "neu": "Neutral state"}  # IEMOCAP's words where they are not the book's


@dataclass(frozen=True)
class _Turn:
    """Who (F or M) says something that most raters will hear as `code`, about how long; the text, if it is scripted."""

    letter: str
    code: str
    seconds: float
    text: str | None = None


def make_synthetic(root: str | Path, size: str = "small", seed: int = 0) -> Path:
    """Write the synthetic corpus into the new folder `root`, in IEMOCAP's layout and formats, and return it.

    `small` has 210 utterances by ten speakers in five sessions and takes seconds; `full` has IEMOCAP's size and its
    counts per session, scenario, speaker and emotion, and takes minutes, 1.6 GB, and all processors. Equal seeds give
    equal bytes on one platform: what is random in an utterance comes from the seed and its id. The folder appears when
    it is whole, with the digests of its files; what a killed call has made lies beside it, and the next call goes on
    there. One process makes it, however many ask, and its workers never hear Ctrl-C: who started them ends them. Raises
    InputError for an unknown size, a folder that holds something else, and a full disk. Page: book/your_corpus.
    """
    root = Path(root).expanduser().resolve()
    if size not in _of["sizes"]:
        raise InputError(f"There is no synthetic corpus of size {size!r}; take one of {', '.join(_of['sizes'])}.")
    if root.is_file():
        raise InputError(f"{root} is a file. Give a new folder.")
    name = "synthetic" if size == "small" else f"synthetic:{size}"
    note = f"{name} (seed {seed}, {made_by()}) is synthetic speech in IEMOCAP's layout, made by serlib.\n"
    part = root.with_name(f"{root.name}-{size}-{seed}-{made_by()}.part")
    with room_for(root), locked(root.with_name(f"{root.name}.making")):
        if root.is_dir() and any(root.iterdir()):
            if (root / NOTE).is_file() and (root / NOTE).read_text("utf-8") == note:
                return root
            raise InputError(f"{root} is not empty. Give a new folder, or empty this one.")
        dialogues = _plan(size, seed)
        missing = [dialogue for dialogue in dialogues if not _labels(part, dialogue).exists()]
        write, many = joblib.delayed(_write_dialogue), len(dialogues) > 50
        with contextlib.ExitStack() as stack:
            if many:
                from serlib.runs.cluster import undisturbed  # which needs all of this room

                stack.enter_context(undisturbed())
            jobs = (write(part, name, dialogue, dialogues[dialogue], seed) for dialogue in missing)
            done = joblib.Parallel(-1 if many else 1, return_as="generator_unordered")(jobs)
        list(tqdm(done, "synthetic speech", len(missing), leave=False, delay=2, unit="dialogue"))
        (part / NOTE).write_text(note, "utf-8", newline="\n")
        (part / SUMS).write_text(json.dumps(sums(part)), "utf-8", newline="\n")
        if root.is_dir():
            root.rmdir()
        os.replace(part, root)
    return root


def made_by() -> str:
    """A hash of all that determines the corpus's bytes. Page: book/your_corpus."""
    makers = [Path(file).read_bytes() for file in (__file__, MADE_OF, espeak.__file__)]
    return digest(*makers, version("espeakng-loader"))


def sums(root: Path) -> dict[str, str]:
    """What each file of a corpus holds; what a desktop adds has other names. Page: book/your_corpus."""
    found = contents(path for path in sorted(root.rglob("S*")) if path.name.startswith(("Ses", NOTE)))
    return {path.relative_to(root).as_posix(): content for path, content in found.items() if content}


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _plan(size: str, seed: int) -> dict[str, list[_Turn]]:
    """The turns of each dialogue, by its name."""
    of, dialogues = _of["sizes"][size], {}
    for session in range(5):
        start, turns = f"Ses0{session + 1}", []
        rng = _random(seed, start)
        for letter, row in ("F", 2 * session), ("M", 2 * session + 1):
            parts = dict(zip(("neu", "hap", "sad", "ang"), of.get("parts", [()] * 10)[row], strict=False))
            for code, count in zip(of["codes"], of["improvised"][row], strict=True):
                turns += [_Turn(letter, code, t) for t in _lengths(count, *of["seconds"], rng, parts.get(code))]
        rng.shuffle(turns)
        shares = len(of["dialogues"])
        dialogues |= {f"{start}{name}": turns[number::shares] for number, name in enumerate(of["dialogues"])}
        dialogues |= _performances(of, session, seed)
    return dialogues


def _lengths(count: int, median: float, spread: float, longest: float, rng, parts: int | None = None) -> np.ndarray:
    """Lengths of utterances in seconds; drawn anew, one by one, until together they have so many parts of 3 s."""

    def draw(number: int) -> np.ndarray:
        return np.clip(rng.lognormal(np.log(median), spread, number), _SHORTEST + 0.1, longest)

    lengths = draw(count)
    while parts and (gap := parts - equal_parts(lengths).sum()):
        one, other = rng.integers(count), draw(1)
        change = equal_parts(other)[0] - equal_parts(lengths[one])
        lengths[one] = other[0] if abs(gap - change) < abs(gap) else lengths[one]
    return lengths


def _performances(of: dict, session: int, seed: int) -> dict[str, list[_Turn]]:
    """The scripted dialogues of a session: the lines that every session has, and emotions of its own number.

    A line is heard as it was written while that emotion lasts; then as an emotion that is left over.
    """
    turns = {(scene, letter): [] for scene in of["scenes"] for letter in "FM"}
    for letter, row in ("F", 2 * session), ("M", 2 * session + 1):
        left = Counter(dict(zip(of["codes"], of["scripted"][row], strict=True)))
        places = [(scene, number) for scene in of["scenes"] for number in range(of["lines"])][: left.total()]
        lines = [_line(of, f"{scene[1:]}{letter}{number}", seed) for scene, number in places]
        heard = []
        for code, _, _ in lines:
            heard.append(code if left[code] else None)
            left[code] -= bool(left[code])
        others = iter(_random(seed, f"{session}{letter}").permutation(sorted(left.elements())).tolist())
        for (scene, _), (_, text, seconds), code in zip(places, lines, heard, strict=True):
            turns[scene, letter].append(_Turn(letter, code or next(others), seconds, text))
    names = {scene: f"Ses0{session + 1}{scene}" for scene in of["scenes"]}
    names["M_script01_1"] += "b" * (session == 4)  # as a dialogue of IEMOCAP, whose name shifts fixed positions
    pairs = {name: zip_longest(turns[scene, "F"], turns[scene, "M"]) for scene, name in names.items()}
    return {name: [turn for pair in pairs[name] for turn in pair if turn] for name in pairs}


def _line(of: dict, name: str, seed: int) -> tuple[str, str, float]:
    """The emotion of a line of the script, its text, and about how many seconds it takes."""
    rng = _random(seed, name)
    often = np.sum(of["scripted"], axis=0) * [code in _of["script"] for code in of["codes"]]
    code = rng.choice(of["codes"], p=often / often.sum())
    (seconds,) = _lengths(1, *of["seconds"], rng)
    sentences = iter(rng.permutation(_of["script"][code]))
    text = next(sentences) if _characters(seconds) > 16 else rng.choice(_of["sentences"]["short"])
    while len(text) < _characters(seconds) - 16 and (more := next(sentences, None)):
        text = f"{text} {more}"
    return str(code), str(text), seconds


def _characters(seconds: float) -> float:
    """How long a text is that takes so many seconds, silence before and after it included."""
    return 15 * (seconds - 0.45)


def _compose(length: float, rng: np.random.Generator) -> str:
    """A few sentences, together of about `length` characters."""
    short, openers, closers, clauses = (_of["sentences"][pool] for pool in ("short", "openers", "closers", "clauses"))
    text = rng.choice(short) if length < 12 else ""
    while len(text) < length - 6:
        sentence = f"{rng.choice(openers)} {rng.choice(clauses)}{rng.choice(closers)}".strip()
        sentence = sentence if len(text) + len(sentence) < length + 8 else rng.choice(short)
        text = f"{text} {sentence[0].upper()}{sentence[1:]}".strip()
    return str(text)


def _write_dialogue(root: Path, corpus: str, dialogue: str, turns: list[_Turn], seed: int) -> None:
    """The wavs, alignments, transcripts and, when all these are there, the labels of a dialogue."""
    session = root / f"Session{dialogue[4]}"
    labels, spoken = [f"% {corpus}, made by serlib: [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"], []
    clock, said = 0.0, Counter()
    for turn in turns:
        name = f"{dialogue}_{turn.letter}{said[turn.letter]:03d}"
        said[turn.letter] += 1
        rng = _random(seed, name)
        place, votes, ratings = _rate(turn.code, rng)
        text, wave, words, phones = _utter(turn, place, f"{dialogue[:5]}_{turn.letter}", seed, rng)
        wav = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        soundfile.write(file := io.BytesIO(), wave, RATE, format="WAV", subtype="PCM_16")
        files = {wav: file.getvalue()}
        files[alignment_path(wav, "phseg")] = _aligned("Phone", phones, len(wave), ("SIL", "SIL", "SIL"))
        if name != _WITHOUT_WORDS:
            files[alignment_path(wav, "wdseg")] = _aligned("Word", words, len(wave), ("<s>", "<sil>", "</s>"))
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        start = round(clock + rng.uniform(0.1, 1.5), 4)
        clock = start + len(wave) / RATE
        means = ", ".join(f"{mean:.4f}" for mean in ratings.mean(axis=0))
        labels += ["", f"[{start:.4f} - {clock:.4f}]\t{name}\t{turn.code}\t[{means}]"]
        labels += [f"C-E{n}:\t{_VOTES.get(vote, EMOTIONS[vote].capitalize())};\t()" for n, vote in enumerate(votes, 1)]
        labels += [f"A-E{n}:\tval {v}; act {a}; dom  {d};\t()" for n, (v, a, d) in enumerate(ratings, 1)]
        spoken.append(f"{name} [{start:08.4f}-{clock:08.4f}]: {text}")
    transcripts = session / "dialog" / "transcriptions" / f"{dialogue}.txt"
    for path, lines in ((transcripts, spoken), (_labels(root, dialogue), labels)):
        with write_atomically(path) as file:
            file.write("\n".join([*lines, ""]).encode())


def _labels(root: Path, dialogue: str) -> Path:
    """The file with a dialogue's labels. It is written last: where it is, the dialogue is whole."""
    return root / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


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
        votes[1:] = ["oth", "oth"] if code == "oth" else votes[1:]
        favourite, count = Counter(votes).most_common(1)[0]
        if code == (favourite if count > 1 else "xxx"):
            ratings = [np.searchsorted(cuts, heard[:, axis]) for axis, cuts in enumerate(_of["scale"].values())]
            return place, votes, 1 + np.stack(ratings, axis=1)


def _utter(turn: _Turn, place: np.ndarray, speaker: str, seed: int, rng: np.random.Generator) -> tuple:
    """What a turn says, the samples, and its words and phones; improvised, until it is as long as it should be."""
    length = _characters(turn.seconds)
    while True:
        text = turn.text or _compose(length, rng)
        wave, words, phones = _say(text, place, speaker, seed, rng)
        seconds = len(wave) / RATE
        if _SHORTEST <= seconds <= _LONGEST and (turn.text or equal_parts(seconds) == equal_parts(turn.seconds)):
            return text, wave, words, phones
        length *= np.clip(turn.seconds / seconds, 0.5, 2)  # a slow voice says less in the time


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
    after += -(before + length + after) % 16  # whole milliseconds: what the labels say is exact
    sound = np.pad(sound, (before, after)) + rng.normal(0, 0.0005, before + length + after)
    pace, wait = length / RATE * speech.rate / size, before / RATE
    words = [(wait + pace * start, wait + pace * end, word.upper()) for start, end, word in speech.words]
    phones = [(wait + pace * start, wait + pace * end, phone) for start, end, phone in speech.phones]
    return np.clip(sound, -0.99, 0.99), words, phones
