"""Look into the teacher of chapter 5: `make findings CHAPTER=zhao2021`.

A recogniser is taught what four sessions of the full synthetic corpus say. One speaker of the fifth chooses the epoch,
the other is written down: how wrong is it, greedily, by beam, by CTC alone, on sentences that it knows and on others?
And where do its maps look: how near to the frame that asks, and how evenly, beside those of a network that was never
taught? One utterance is kept, with its phones, what was written, the alignment, and the map.
"""

import dataclasses
import json

import numpy as np
import torch
from shared import RUNS

import serlib
from serlib import corpora, device, protocols, runs
from serlib.audio import read_row
from serlib.device import seed_everything
from serlib.papers import zhao2021
from serlib.papers.jalal2020 import spoken_in
from serlib.papers.zhao2021 import Teacher, dictated, error_rate, heard, map_of, phones_of, transcribed
from serlib.runs.make import plan
from serlib.sequences import pad
from serlib.training import best_epoch

UPDATES = 1000
NEAR = 12  # frames: 0.12 s, about a phone and its neighbours


def sides() -> tuple:
    """What is taught, what the epoch is chosen on, and what is tested: tables of the full synthetic corpus."""
    table = transcribed(corpora.load("synthetic:full"))
    session, short = table["session"] == "Ses01", table["duration"] < zhao2021.LESSON
    chosen = table[session & (table["speaker"] == "Ses01_M") & (table["duration"] < 8)].iloc[::12]
    tested = table[session & (table["speaker"] == "Ses01_F") & (table["duration"] < 8)].iloc[::8]
    return table[~session & short], chosen, tested


def the_teacher(taught, chosen) -> tuple[Teacher, list[dict]]:
    """The teacher and its history: read where it is there, else taught."""
    path = RUNS / "zhao2021" / "teacher.safetensors"
    if not path.exists():
        checkpoint = path.with_suffix(".checkpoint")
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        teacher, history = zhao2021.teach(taught, updates=UPDATES, listen=chosen, checkpoint=checkpoint)
        zhao2021.keep_teacher(path, teacher, taught)
        path.with_suffix(".json").write_text(json.dumps(history))
    fold = protocols.zhao2021(corpora.load("synthetic:full")).folds[0]
    task = protocols.zhao2021(corpora.load("synthetic:full"))
    teacher = zhao2021.load_teacher(path, task, fold, "TCN", "self")
    return teacher, json.loads(path.with_suffix(".json").read_text())


@torch.no_grad()
def by_ctc(teacher: Teacher, sequences: list) -> list[list[str]]:
    """What the encoder alone says, step by step, repetitions and nothings left out."""
    texts = []
    for sequence in sequences:
        numbers = teacher.align(teacher.listen(pad([sequence]))[0])[0].argmax(-1).tolist()
        kept = [n for n, before in zip(numbers, [0, *numbers], strict=False) if n and n != before]
        texts.append([teacher.symbols[n] for n in kept])
    return texts


@torch.no_grad()
def habits(teacher: Teacher, sequences: list) -> tuple[float, float]:
    """The share of a map that lies within `NEAR` frames of the one that asks, and its spread, exp(entropy) / T."""
    near, even = [], []
    for sequence in sequences:
        weights = map_of(teacher, sequence).double()
        steps = torch.arange(len(weights))
        near.append(float((weights * ((steps[:, None] - steps).abs() <= NEAR)).sum(1).mean()))
        entropy = -(weights * weights.clamp_min(1e-12).log()).sum(1)
        even.append(float(entropy.exp().mean() / len(weights)))
    return float(np.mean(near)), float(np.mean(even))


def followed(alignment: np.ndarray, written: list[str], spans: list) -> tuple[float, float, float]:
    """How attention follows the sound: the share of steps that go forward or stay; of peaks within 0.05 s of speech;
    and, where as many phones were written as the corpus has, of peaks within 0.05 s of the phone of the same number.
    """
    peaks = (alignment.argmax(1)[: len(written)] + 0.5) * zhao2021.STEP / 100
    edges = np.array([(start - 0.05, end + 0.05) for start, end, _ in spans])
    own = peaks[[phone != "|" for phone in written]]
    forward = float(np.mean(np.diff(peaks) >= 0)) if len(peaks) > 1 else np.nan
    in_speech = float(np.mean([((edges[:, 0] <= t) & (t <= edges[:, 1])).any() for t in own])) if len(own) else np.nan
    if len(own) != len(edges):
        return forward, in_speech, np.nan
    return forward, in_speech, float(np.mean((edges[:, 0] <= own) & (own <= edges[:, 1])))


def aligned(teacher: Teacher, tested, sequences: list) -> np.ndarray:
    """`followed` of every tested utterance, `(utterances, 3)`."""
    rows = []
    for (_, row), features in zip(tested.iterrows(), sequences, strict=True):
        [numbers], [alignment] = zhao2021.write_down(teacher, pad([features]))
        written = [teacher.symbols[n] for n in numbers]
        rows.append(followed(alignment.numpy(), written, spoken_in(row, "phseg")[0]))
    return np.array(rows)


def one_utterance(teacher: Teacher, tested, said: list, greedy: list) -> dict[str, np.ndarray]:
    """Of the tested utterances of two to four seconds that with the median error, to look at and to hear."""
    some = np.flatnonzero(tested["duration"].between(2, 4))
    rates = [error_rate([said[n]], [greedy[n]]) for n in some]
    row = tested.iloc[some[np.argsort(rates, kind="stable")[len(some) // 2]]]
    [features], waveform = heard(tested.loc[[row.name]]), read_row(row)
    [numbers], [alignment] = zhao2021.write_down(teacher, pad([features]))
    found = {"waveform": np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)}
    found["said"] = np.array(phones_of(row["transcript"]))
    found["written"] = np.array([teacher.symbols[n] for n in numbers])
    found |= {"alignment": alignment.numpy().astype(np.float16), "transcript": np.array(row["transcript"])}
    for key, kind in (("words", "wdseg"), ("phones", "phseg")):
        found[key] = np.array(spoken_in(row, kind)[0], dtype=str)
    with torch.no_grad():
        found["map"] = map_of(teacher, features)[::2, ::2].numpy().astype(np.float16)
    return found


def on_people() -> np.ndarray:
    """Of the teacher of EmoDB's first fold: phone error rates, tested and taught, and `habits` on the test."""
    task = protocols.zhao2021(corpora.load("emodb"))
    fold, rates = task.folds[0], []
    teacher = zhao2021.teacher_of(task, fold, "TCN", "self", None, 500)
    for rows in (fold.test, fold.train):
        table = task.table.iloc[rows]
        said = [phones_of(text, "de") for text in table["transcript"]]
        rates.append(error_rate(said, dictated(teacher, heard(table))))
    near = habits(teacher, heard(task.table.iloc[fold.test]))
    print("EmoDB:", rates, near)
    return np.array([*rates, *near])


if __name__ == "__main__":
    print(serlib.setup())
    device.keep_pages()
    torch.set_num_threads(1)
    taught, chosen, tested = sides()
    teacher, history = the_teacher(taught, chosen)
    sequences, said = heard(tested), [phones_of(text) for text in tested["transcript"]]
    known = tested["transcript"].isin(taught["transcript"]).to_numpy()
    greedy = dictated(teacher, sequences)
    few = [n for n in range(len(sequences)) if n % 4 == 0]
    beam = [[teacher.symbols[n] for n in zhao2021.beam_search(teacher, sequences[k], 4)] for k in few]

    def pick(texts: list, rows) -> list:
        return [texts[n] for n in rows]

    rates = {
        "greedy": error_rate(said, greedy),
        "greedy, known sentences": error_rate(pick(said, np.flatnonzero(known)), pick(greedy, np.flatnonzero(known))),
        "greedy, others": error_rate(pick(said, np.flatnonzero(~known)), pick(greedy, np.flatnonzero(~known))),
        "every fourth, greedy": error_rate(pick(said, few), pick(greedy, few)),
        "every fourth, beam of 4": error_rate(pick(said, few), beam),
        "CTC alone": error_rate(said, by_ctc(teacher, sequences)),
        "words, greedy": error_rate(*([zhao2021.words_of(t) for t in texts] for texts in (said, greedy))),
    }
    for name, rate in rates.items():
        print(f"{name}: {rate:.3f}")
    seed_everything(0)
    untaught = Teacher(teacher.symbols[3:]).eval()
    untaught.listen.front_end.load_state_dict(teacher.listen.front_end.state_dict())
    some = sequences[::4]
    share = float(np.mean([min(1, (2 * NEAR + 1) / len(each)) for each in some]))
    arrays = {
        "rates": np.array(list(rates.values())),
        "rate_names": np.array(list(rates)),
        "tested": np.array([len(tested), int(known.sum()), len(few)]),
        "taught": np.array([len(taught), taught["duration"].sum() / 3600, len(teacher.symbols) - 3]),
        "updates": np.array([epoch["updates"] for epoch in history]),
        "curve": np.array([epoch["score"] for epoch in history]),
        "loss": np.array([np.mean(epoch["losses"]) for epoch in history]),
        "minutes": np.array(sum(epoch["seconds"] for epoch in history) / 60),
        "best": np.array(best_epoch(history)),
        "habits": np.array([habits(teacher, some), habits(untaught, some), (share, 1.0)]),
    }
    arrays["emodb"] = on_people()
    arrays["followed"] = aligned(teacher, tested, sequences)
    print("followed:", np.nanmean(arrays["followed"], axis=0), np.isfinite(arrays["followed"]).sum(0))
    arrays |= one_utterance(teacher, tested, said, greedy)
    task = protocols.zhao2021(corpora.load("synthetic:full"))
    schedule = zhao2021.Schedule(weight=1.0, teacher="synthetic:full", teacher_updates=UPDATES)
    blank = plan(runs.network_run(zhao2021.CHAPTER, task, "TCN+self-attention w/AT", schedule), None)[0].blank
    runs.keep_findings("zhao2021/teacher", [dataclasses.replace(blank)], **arrays)
