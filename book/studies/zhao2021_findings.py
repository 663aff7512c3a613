"""Look into the teachers and students of chapter 5: `make findings CHAPTER=zhao2021`.

`teacher`: a recogniser is taught what four sessions of the full synthetic corpus say. One speaker of the fifth chooses
the epoch, the other is written down: how wrong is it, greedily, by beam, by CTC alone, on sentences that it knows and
on others? And where do its maps look: how near to the frame that asks, and how evenly, beside those of one never
taught? One utterance is kept, with its phones, what was written, the alignment, and the map.
`teacher_z`: one whose decoder gets Z and no more, taught three times as long. `plain`: the first without CTC.
`sentences`: what do recognisers of EmoDB's ten sentences and RAVDESS's two write of one that they were not taught?
`students`: where do trained students and their teachers look, on EmoDB and beside the teacher of synthetic voices?
`places`, `places_z`, `places_others`: where do the maps of teachers lie, before speech, in it, and after it?
`places_english`: and that of a recogniser of synthetic English, on people, and those of its pupils? Each is a file of
its own; an argument names those that are made.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

import librosa
import numpy as np
import pandas as pd
import torch
from shared import RUNS, item, keep_findings

import serlib
from serlib import corpora, device, protocols, runs
from serlib.audio import read_row
from serlib.device import seed_everything
from serlib.papers import zhao2021
from serlib.papers.jalal2020 import spoken_in
from serlib.papers.zhao2021 import (
    ROWS,
    Teacher,
    dictated,
    error_rate,
    heard,
    map_of,
    phones_of,
    recognition_loss,
    transcribed,
)
from serlib.protocols import Fold
from serlib.runs.make import plan
from serlib.runs.record import read_record
from serlib.sequences import pad
from serlib.training import best_epoch

UPDATES = 1000
TEACHERS = {  # of the full synthetic corpus: the attention, updates, and how much CTC counts
    "teacher": ("self", UPDATES, 1.0),
    "teacher_z": ("self alone", 3 * UPDATES, 1.0),
    "plain": ("self", UPDATES, 0.0),
}
NEAR = 12  # frames: 0.12 s, about a phone and its neighbours


def sides() -> tuple:
    """What is taught, what the epoch is chosen on, and what is tested: tables of the full synthetic corpus."""
    table = transcribed(corpora.load("synthetic:full"))
    session, short = table["session"] == "Ses01", table["duration"] < zhao2021.LESSON
    chosen = table[session & (table["speaker"] == "Ses01_M") & (table["duration"] < 8)].iloc[::12]
    tested = table[session & (table["speaker"] == "Ses01_F") & (table["duration"] < 8)].iloc[::8]
    return table[~session & short], chosen, tested


def the_teacher(name: str, taught, chosen) -> tuple[Teacher, list[dict]]:
    """One of `TEACHERS` and its history: read where it is there, else taught."""
    path, (attention, updates, ctc) = RUNS / "zhao2021" / f"{name}.safetensors", TEACHERS[name]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        how = {"checkpoint": path.with_suffix(".checkpoint"), "backward": partial(recognition_loss, ctc=ctc)}
        teacher, history = zhao2021.teach(taught, attention=attention, updates=updates, listen=chosen, **how)
        zhao2021.keep_teacher(path, teacher, taught)
        path.with_suffix(".json").write_text(json.dumps(history))
    task = protocols.zhao2021(corpora.load("synthetic:full"))
    teacher = zhao2021.load_teacher(path, task, task.folds[0], "TCN", attention)
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
def habits(looks: Callable, sequences: list) -> tuple[float, float]:
    """The share of a map that lies within `NEAR` frames of the one that asks, and its spread, exp(entropy) / T.

    In soft attention no frame asks: the first is NaN.
    """
    near, even = [], []
    for sequence in sequences:
        weights = looks(sequence).double().reshape(-1, len(sequence))
        steps = torch.arange(len(sequence))
        own = (weights * ((steps[:, None] - steps).abs() <= NEAR)).sum(1).mean()
        near.append(float(own) if len(weights) == len(steps) else np.nan)
        entropy = -(weights * weights.clamp_min(1e-12).log()).sum(1)
        even.append(float(entropy.exp().mean() / len(sequence)))
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
    near = habits(partial(map_of, teacher), heard(task.table.iloc[fold.test]))
    print("EmoDB:", rates, near)
    return np.array([*rates, *near])


def of_history(history: list[dict]) -> dict[str, np.ndarray]:
    """How a teacher learned, as arrays."""
    return {
        "updates": np.array([epoch["updates"] for epoch in history]),
        "curve": np.array([epoch["score"] for epoch in history]),
        "loss": np.array([np.mean(epoch["losses"]) for epoch in history]),
        "minutes": np.array(sum(epoch["seconds"] for epoch in history) / 60),
        "best": np.array(best_epoch(history)),
    }


def rests_on(alone: bool | None = None) -> runs.Record:
    """An empty record of what findings about a teacher rest on; `alone` is one whose decoder gets Z and no more."""
    task = protocols.zhao2021(corpora.load("synthetic:full"))
    how = {"teacher": "synthetic:full", "teacher_updates": UPDATES, "only_attended": alone}
    schedule = zhao2021.Schedule(weight=1.0, **how)
    return plan(runs.network_run(zhao2021.CHAPTER, task, "TCN+self-attention w/AT", schedule), None)[0].blank


def written_by(teacher: Teacher, taught, tested, sequences: list, greedy: list) -> dict[str, np.ndarray]:
    """How wrong a teacher is, and on how much it was tried and taught; and how its attention follows the sound.

    `greedy` is what it writes of the tested utterances.
    """
    said = [phones_of(text) for text in tested["transcript"]]
    known = tested["transcript"].isin(taught["transcript"]).to_numpy()
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
    return {
        "rates": np.array(list(rates.values())),
        "rate_names": np.array(list(rates)),
        "tested": np.array([len(tested), int(known.sum()), len(few)]),
        "taught": np.array([len(taught), taught["duration"].sum() / 3600, len(teacher.symbols) - 3]),
        "followed": aligned(teacher, tested, sequences),
    }


def keep_teacher_findings() -> None:
    """What the reference teacher writes, and where it looks."""
    taught, chosen, tested = sides()
    (teacher, history), sequences = the_teacher("teacher", taught, chosen), heard(tested)
    greedy = dictated(teacher, sequences)
    arrays = written_by(teacher, taught, tested, sequences, greedy) | of_history(history)
    seed_everything(0)
    untaught = Teacher(teacher.symbols[3:]).eval()
    untaught.listen.front_end.load_state_dict(teacher.listen.front_end.state_dict())
    some = sequences[::4]
    share = float(np.mean([min(1, (2 * NEAR + 1) / len(each)) for each in some]))
    near = [habits(partial(map_of, one), some) for one in (teacher, untaught)]
    arrays |= {"habits": np.array([*near, (share, 1.0)]), "emodb": on_people()}
    arrays |= one_utterance(teacher, tested, [phones_of(text) for text in tested["transcript"]], greedy)
    keep_findings("zhao2021/teacher", [rests_on()], **arrays)


def keep_teacher_z() -> None:
    """What a teacher of Z writes that was taught three times as long, and where its map lies: is it a recogniser?"""
    taught, chosen, tested = sides()
    (teacher, history), sequences = the_teacher("teacher_z", taught, chosen), heard(tested)
    arrays = written_by(teacher, taught, tested, sequences, dictated(teacher, sequences)) | of_history(history)
    arrays |= {"place": lies(teacher, tested), "habits": np.array(habits(partial(map_of, teacher), sequences[::4]))}
    print("place:", arrays["place"], "habits:", arrays["habits"])
    keep_findings("zhao2021/teacher_z", [rests_on(alone=True)], **arrays)


def keep_plain() -> None:
    """The curve of a teacher without CTC, and what it writes in the end."""
    taught, chosen, tested = sides()
    teacher, history = the_teacher("plain", taught, chosen)
    rate = error_rate([phones_of(text) for text in tested["transcript"]], dictated(teacher, heard(tested)))
    print(f"without CTC: {rate:.3f}")
    keep_findings("zhao2021/plain", [rests_on()], rate=np.array(rate), **of_history(history))


def keep_sentences() -> None:
    """Of EmoDB's ten sentences two are not taught, of RAVDESS's two one: what is written of these, and of the others?

    Beside each rate that of always writing the nearest sentence which was taught, and how often one is written whole.
    """
    rates, numbers, examples, blanks = [], [], {}, []
    for corpus, unheard in (("emodb", 2), ("ravdess_speech", 1)):
        given = {"epochs": 20, "weight": 1.0, "only_attended": None, "teacher": None, "teacher_updates": 500}
        run = item("zhao2021", ROWS[7], corpus, "zhao2021", **given).run()
        fold, voice = run.task.folds[0], zhao2021.voice_of(run.task.table)
        away = sorted(run.task.table["transcript"].unique())[-unheard:]
        taught = transcribed(zhao2021.lessons(run.task, fold, None))
        taught = taught[~taught["transcript"].isin(away)]
        known = [phones_of(text, voice) for text in taught["transcript"].unique()]
        teacher, _ = zhao2021.teach(taught, updates=500)
        tested = run.task.table.iloc[fold.test]
        new = tested["transcript"].isin(away)
        for rows in (tested[~new], tested[new]):
            said, written = [phones_of(text, voice) for text in rows["transcript"]], dictated(teacher, heard(rows))
            nearest = [min(known, key=lambda text, one=one: error_rate([one], [text])) for one in said]
            whole = np.mean([text in known for text in written])
            rates.append((error_rate(said, written), error_rate(said, nearest), whole))
            numbers.append((len(rows), rows["transcript"].nunique(), len(known)))
            print(corpus, numbers[-1], rates[-1], *zip(said[:2], written[:2], strict=True))
        examples |= {f"{corpus} said": np.array(said[0]), f"{corpus} written": np.array(written[0])}
        blanks.append(plan(run, None)[0].blank)
    keep_findings("zhao2021/sentences", blanks, rates=np.array(rates), numbers=np.array(numbers), **examples)


def looked(student: zhao2021.SER, sequence) -> torch.Tensor:
    """The student's map over one utterance."""
    return student.listen(pad([sequence]))[1][0]


def trained(
    name: str, corpus: str, alone: bool | None = None, **others
) -> Iterator[tuple[pd.DataFrame, Fold, zhao2021.SER]]:
    """The networks of an item of the queue whose weights are here: what each is tested on, its fold, and itself.

    `alone` are pupils of a teacher whose decoder gets Z and no more; `others` are more of its schedule.
    """
    given = {"epochs": 20, "weight": 1.0 if " w/" in name else None, "only_attended": alone}
    given["teacher"] = "synthetic:full" if corpus.startswith("synthetic") and name.endswith("w/AT") else None
    given |= others
    run = item("zhao2021", name, corpus, "zhao2021", **given).run()
    for part in plan(run, RUNS / "zhao2021"):
        if part.path.exists():
            student = runs.load(zhao2021.make_model(name), RUNS / "zhao2021", read_record(part.path), part.fold.name)
            yield run.task.table.iloc[part.fold.test], part.fold, student


def on_emodb(names: list[str], alone: bool | None = None) -> dict[str, np.ndarray]:
    """`habits` of students on EmoDB's tested utterances: a row for each name and fold."""
    rows = []
    for name in names:
        for tested, fold, student in trained(name, "emodb", alone):
            rows.append((name, fold.name, *habits(partial(looked, student), heard(tested))))
            print(*rows[-1])
    return {"habits": np.array([row[2:] for row in rows]), "of": np.array([row[:2] for row in rows])}


def teachers_on_emodb() -> dict[str, np.ndarray]:
    """`habits` and phone error rate of the teachers of four rows, on the tested utterances of each fold of EmoDB."""
    task, rows = protocols.zhao2021(corpora.load("emodb")), []
    for name in [name for name in ROWS if name.endswith(" w/AT")]:
        encoder, attention, _ = zhao2021.parts_of(name)
        for fold in task.folds:
            teacher = zhao2021.teacher_of(task, fold, encoder, attention, None, 500)
            tested = task.table.iloc[fold.test]
            sequences, said = heard(tested), [phones_of(text, "de") for text in tested["transcript"]]
            found = (*habits(partial(map_of, teacher), sequences), error_rate(said, dictated(teacher, sequences)))
            rows.append((name, fold.name, *found))
            print("teacher of", *rows[-1])
    return {"teachers": np.array([row[2:] for row in rows]), "teachers_of": np.array([row[:2] for row in rows])}


@torch.no_grad()
def side_by_side() -> dict[str, np.ndarray]:
    """One utterance of the tested synthetic voice: the maps of teacher and students, and how far they are apart."""
    alone, taught = ROWS[5], ROWS[7]
    tested, fold, student = next(trained(taught, "synthetic:full"))
    _, _, other = next(trained(alone, "synthetic:full"))
    task = item("zhao2021", taught, "synthetic:full", "zhao2021", only_attended=None).run().task
    teacher = zhao2021.teacher_of(task, fold, "TCN", "self", "synthetic:full", UPDATES)
    seed_everything(0)
    fresh = zhao2021.make_model(taught).eval()
    fresh.front_end.load_state_dict(student.front_end.state_dict())
    students = {"before": fresh, "after": student, "without transfer": other}
    looks = {"teacher": partial(map_of, teacher)} | {name: partial(looked, one) for name, one in students.items()}
    sequences = heard(tested)
    apart = {name: [distance(looks[name](each), looks["teacher"](each)) for each in sequences] for name in students}
    row = tested[tested["duration"].between(1.5, 3)].iloc[0]
    [features], waveform = heard(tested.loc[[row.name]]), read_row(row)
    maps = np.stack([look(features).numpy() for look in looks.values()])
    return {
        "names": np.array(list(looks)),
        "maps": maps[:, ::2, ::2].astype(np.float16),
        "apart": np.array([np.mean(each) for each in apart.values()]),
        "synthetic_habits": np.array([habits(look, sequences) for look in looks.values()]),
        "tested": np.array(len(sequences)),
        "waveform": np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16),
        "words": np.array(spoken_in(row, "wdseg")[0], dtype=str),
        "phones": np.array(spoken_in(row, "phseg")[0], dtype=str),
        "about_row": np.array([row["transcript"], row["emotion"], row["speaker"]]),
    }


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Equation 12 of two maps."""
    return zhao2021.transfer_loss(one[None], other[None], torch.tensor([len(one)])).item()


def keep_students() -> None:
    """Where students look, with and without transfer."""
    names = [*ROWS, *(f"{ROWS[5]} w/{control}" for control in zhao2021.CONTROLS)]
    schedule = zhao2021.Schedule(20, 8, 5e-4)
    task = protocols.zhao2021(corpora.load("emodb"))
    blank = plan(runs.network_run(zhao2021.CHAPTER, task, ROWS[5], schedule), None)[0].blank
    keep_findings("zhao2021/students", [rests_on(), blank], **on_emodb(names), **teachers_on_emodb(), **side_by_side())


@torch.no_grad()
def lies(teacher: Teacher, table: pd.DataFrame) -> np.ndarray:
    """Of a map's weight the shares on the first frame and the first five, before, in and after speech; of the frames
    those before it and in it.

    Speech goes from the first to the last sound within 30 dB of the loudest. Means over a table's utterances.
    """
    rows = []
    for (_, row), features in zip(table.iterrows(), heard(table), strict=True):
        weights = map_of(teacher, features).double().reshape(-1, len(features)).mean(0).numpy()
        _, ends = librosa.effects.trim(read_row(row), top_db=30, frame_length=400, hop_length=160)
        start, end = (min(int(at) // 160, len(weights)) for at in ends)
        parts = [part.sum() for part in np.split(weights, [start, end])]
        rows.append((weights[0], weights[:5].sum(), *parts, start / len(weights), (end - start) / len(weights)))
    return np.mean(rows, axis=0)


def keep_places(
    name: str,
    wanted: list[tuple[str, str, int, str]],
    taught: tuple[str, int] | None = None,
    **more: np.ndarray,
) -> None:
    """Where the maps of teachers lie on tested utterances, how wrongly they write, and their `habits`; and `more`.

    `wanted` are corpora, rows of the table, numbers of folds, and "" or " alone", where the decoder gets Z alone.
    `taught` is another corpus that they heard, and in how many updates.
    """
    rows, made = [], {}
    for corpus, row, number, alone in wanted:
        given = {"epochs": 20, "weight": 1.0, "only_attended": bool(alone) or None}
        own, updates = taught or ((corpus, UPDATES) if corpus.startswith("synthetic") else (None, 500))
        given |= {"teacher": own, "teacher_updates": updates}
        run = item("zhao2021", row, corpus, "zhao2021", **given).run()
        task = run.task
        encoder, attention, _ = zhao2021.parts_of(row)
        teacher = zhao2021.teacher_of(task, task.folds[number], encoder, attention + alone, own, updates)
        tested = task.table.iloc[task.folds[number].test]
        voice = zhao2021.voice_of(tested)
        said, sequences = [phones_of(text, voice) for text in tested["transcript"]], heard(tested)
        wrong = error_rate(said, dictated(teacher, sequences))
        rows.append((corpus, row, attention + alone, task.folds[number].name, *lies(teacher, tested), wrong))
        rows[-1] += habits(partial(map_of, teacher), sequences)
        print(*rows[-1])
        made[corpus, row] = plan(run, None)[0].blank
    arrays = {"places": np.array([row[4:-2] for row in rows]), "places_of": np.array([row[:4] for row in rows])}
    keep_findings(name, made.values(), **arrays, teachers=np.array([row[-2:] for row in rows]), **more)


def keep_places_first() -> None:
    """The teachers of all four rows on RAVDESS, those with self-attention of H + Z; and on EmoDB one of H + Z."""
    others = [(row, number, "") for row in ROWS if row.endswith(" w/AT") for number in (6, 8)]
    wanted = [("emodb", ROWS[7], 0, ""), ("ravdess_speech", ROWS[7], 0, "")]
    keep_places("zhao2021/places", [*wanted, *(("ravdess_speech", *other) for other in others)])


def keep_places_z() -> None:
    """The teachers of the row of the title with Z alone, of each training on EmoDB and RAVDESS; and on EmoDB how their
    pupils look, and those of their shuffled maps.
    """
    pupils = on_emodb([ROWS[7], f"{ROWS[5]} w/shuffled maps"], True)
    trainings = [(corpus, number) for corpus in ("emodb", "ravdess_speech") for number in range(0, 10, 2)]
    keep_places("zhao2021/places_z", [(corpus, ROWS[7], number, " alone") for corpus, number in trainings], **pupils)


def keep_places_others() -> None:
    """The teachers of Z of the BLSTM, of each training on RAVDESS; and those of both rows on synthetic voices."""
    wanted = [("ravdess_speech", ROWS[3], number, " alone") for number in range(0, 10, 2)]
    keep_places("zhao2021/places_others", [*wanted, *(("synthetic:full", ROWS[k], 0, " alone") for k in (3, 7))])


@torch.no_grad()
def keep_places_english() -> None:
    """The teacher of Z that was taught synthetic English for long: where it looks when people speak, and its pupils.

    `pupils`: their `habits` on tested utterances, how far their maps are from their teacher's there (equation 12), and
    how far an even map is. A row for each corpus and fold.
    """
    corpora_heard, taught = ("emodb", "ravdess_speech"), ("synthetic:full", 3 * UPDATES)
    how, rows = {"teacher": taught[0], "teacher_updates": taught[1]}, []
    for corpus in corpora_heard:
        task = item("zhao2021", ROWS[7], corpus, "zhao2021", only_attended=True, **how).run().task
        for tested, fold, student in trained(ROWS[7], corpus, True, **how):
            teacher = zhao2021.teacher_of(task, fold, "TCN", "self alone", *taught)
            sequences, look, apart = heard(tested), partial(looked, student), []
            for each in sequences:
                own, its, even = look(each), map_of(teacher, each), torch.full([len(each)] * 2, 1 / len(each))
                apart.append((distance(own, its), distance(even, its)))
            rows.append((corpus, fold.name, *habits(look, sequences), *np.mean(apart, axis=0)))
            print(*rows[-1])
    pupils = {"pupils": np.array([row[2:] for row in rows]), "pupils_of": np.array([row[:2] for row in rows])}
    wanted = [(corpus, ROWS[7], number, " alone") for corpus in corpora_heard for number in range(0, 10, 2)]
    keep_places("zhao2021/places_english", wanted, taught, **pupils)


if __name__ == "__main__":
    print(serlib.setup())
    device.keep_pages()
    torch.set_num_threads(1)
    made = {"teacher": keep_teacher_findings, "teacher_z": keep_teacher_z, "plain": keep_plain}
    made |= {"sentences": keep_sentences, "students": keep_students, "places": keep_places_first}
    made |= {"places_z": keep_places_z, "places_others": keep_places_others, "places_english": keep_places_english}
    for name in sys.argv[1:] or made:
        made[name]()
