"""Hostile cases of runs: other sound under the same name, lost weights, spoilt recordings, records that are none."""

import contextlib
import dataclasses
import json
import re
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import nn

from serlib import cache
from serlib.corpora import read_folder
from serlib.errors import InputError
from serlib.features import extract
from serlib.protocols import li2018
from serlib.runs import (
    Chapter,
    Run,
    by_speaker,
    compare,
    describe,
    learning_curves,
    load,
    read_record,
    recalls,
    reproduce,
    run_all,
)
from serlib.training import batches, fit, predict
from tests.hostile.places import needs_namespaces, python, said, small_disk
from tests.hostile.test_disk import swapped


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """The same arithmetic on every processor."""
    monkeypatch.setenv("SERLIB_PRECISION", "float32")


@dataclasses.dataclass(frozen=True)
class Schedule:
    epochs: int = 3
    most_updates: int | None = None


def bands(waveform):
    return np.log(np.abs(np.fft.rfft(waveform[:9600])[:640]).reshape(8, -1).mean(1) + 1e-3)


def heard(task, rows):
    return torch.tensor(np.stack(extract(task.table.iloc[rows], bands)), dtype=torch.float32)


def make_model(name):
    return nn.Linear(8, 4)


def train(task, fold, name, schedule, seed=0, checkpoint=None, watch=None):
    torch.manual_seed(seed)
    examples = partial(batches, heard(task, fold.train), torch.tensor(task.labels[fold.train]), 8)
    options = {"epochs": schedule.epochs, "most_updates": schedule.most_updates, "seed": seed}
    sgd = partial(torch.optim.SGD, lr=0.1)
    return fit(make_model(name), examples, sgd, checkpoint=checkpoint, watch=watch, **options)


def answers(network, task, fold, name):
    return {"scores": predict(network, heard(task, fold.test)).softmax(1).numpy()}


CHAPTER = Chapter("li2018", make_model, train, answers)


def of(corpus, folder=None, chapter=CHAPTER, **options):
    """The record of the linear network on a corpus."""
    return reproduce(chapter, li2018(read_folder(corpus)), "linear", Schedule(), folder=folder, **options)


def scores(record):
    return [fold["scores"] for fold in record.folds]


def stop_after(number):
    seen = []

    def watch(history):
        seen.append(1)
        if len(seen) == number:
            raise KeyboardInterrupt

    return watch


@pytest.fixture
def two(tmp_path, write_corpus):
    """Two corpora of one name and one table, the second with other sound: louder, and backwards in time."""
    one = write_corpus(tmp_path / "a" / "ok", takes=1, seconds=1)
    other = tmp_path / "b" / "ok"
    shutil.copytree(one, other)
    for path in other.glob("*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, np.roll(samples, 3)[::-1] * np.linspace(0.2, 2, len(samples)) % 1, rate)
    return one, other


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


# A1: other sound under the same name


def test_another_corpus_of_the_same_name_and_table(two, folder):
    """Train on `a/ok`, then on `b/ok`, into one folder: each has its own record, as if it were alone."""
    one, other = (of(corpus, folder) for corpus in two)
    assert scores(one) == scores(of(two[0])) and scores(other) == scores(of(two[1])) and scores(one) != scores(other)
    assert len(list(folder.iterdir())) == 2 and of(two[0], folder) == one


def test_a_stopped_run_is_not_continued_on_other_sound(two, folder):
    """Stopped on `a/ok` after an epoch, called again on `b/ok`: no checkpoint of the first goes into the second."""
    with pytest.raises(KeyboardInterrupt):
        of(two[0], folder, watch=stop_after(2))
    assert list(folder.glob("*/*.checkpoint"))
    assert scores(of(two[1], folder)) == scores(of(two[1]))
    assert scores(of(two[0], folder)) == scores(of(two[0]))


@pytest.mark.parametrize("stopped", [False, True])
def test_recordings_change_places_between_two_calls(two, folder, stopped):
    """Same files, sizes and times, other sound, in one session of Python: neither record nor checkpoint is taken."""
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            of(two[0], folder, watch=stop_after(2))
    else:
        before = scores(of(two[0], folder))
    swapped(*(two[0] / f"s1_{emotion}_0.wav" for emotion in ("anger", "sadness")))
    after = scores(of(two[0], folder))
    assert after == scores(of(two[0])) and (stopped or after != before)


# A6: features that are kept, to the table of results


def table(corpus):
    """What a reader sees: the table in which a run stands beside what was published."""
    record = reproduce(CHAPTER, li2018(read_folder(corpus)), "linear", Schedule(epochs=50))
    return compare(pd.DataFrame({"UAR": {"linear": 0.5}}), [], [record]).to_string()


def test_bytes_of_kept_features_flip(two, monkeypatch):
    """Two bytes of every feature in the cache: the table of results is as before, and would not have been."""
    before = table(two[0])
    kept = [*cache.cache_root().glob("bands/*.npy")]
    for path in kept:
        content = bytearray(path.read_bytes())
        for number in (0, 1):
            content[128 + 4 * number + 3] ^= 127  # after the header: the exponents of the first two bands
        path.write_bytes(content)
    with monkeypatch.context() as careless:
        careless.setattr(cache, "read_sealed", lambda path: path.read_bytes().rpartition(cache.SEAL)[0])
        assert len(kept) == 12 and table(two[0]) != before, "these bytes do not matter"
    assert table(two[0]) == before


@pytest.mark.parametrize("later", [False, True], ids=["at once", "looked up"])
def test_recordings_change_places_behind_kept_features(later, two, tmp_path, monkeypatch):
    """Files of one size and time are swapped: the table is that of their sound now, as an empty cache gives it."""
    if later:  # what has just been written is not trusted: let it be long ago
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 10 * 10**9)
    before = table(two[0])
    swapped(*(two[0] / f"s1_{emotion}_0.wav" for emotion in ("anger", "sadness")))
    after = table(two[0])
    monkeypatch.setenv("SERLIB_CACHE", str(tmp_path / "empty"))
    assert after == table(two[0]) != before


def test_a_record_is_copied_from_the_run_on_other_sound(two, folder):
    """Somebody merges two folders of runs: the record of other sound is named, not shown."""
    for corpus in two:
        of(corpus, folder)
    first, second = sorted(folder.iterdir())
    shutil.copy(first / "02-s1.json", second / "02-s1.json")
    with pytest.raises(InputError, match=r"02-s1\.json: this is not linear .*\. Move the file away"):
        for corpus in two:
            of(corpus, folder)


def test_a_reference_record_of_other_sound_is_not_this_run(two, folder, monkeypatch):
    """The package holds a record of `a/ok`: the list of runs calls no run on `b/ok` done. Early ones do not know."""
    import reference  # on no path of a process that imports this file

    kept = of(two[0], folder)
    for known, expected in ((kept.origin, {"s0", "s1", "s2"}), ({**kept.origin, "data": None}, {"s0", "s1", "s2"})):
        monkeypatch.setattr(reference, "_references", lambda known=known: [dataclasses.replace(kept, origin=known)])
        assert set(reference.kept_of(dataclasses.replace(kept, folds=[]))) == expected
    monkeypatch.setattr(reference, "_references", lambda: [of(two[1])])
    assert not reference.kept_of(dataclasses.replace(kept, folds=[]))


# B7: a disk that fills up while a run is made

FILLS = """
import contextlib, itertools, json, sys
from pathlib import Path
from serlib import cache
from serlib.errors import InputError
from serlib.runs import make, weights
from tests.hostile.test_runs import of, scores

corpus, disk, place = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
seen = []

def fill():
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (disk / f"ballast{number}").touch()

def filling(write):
    def filled(path):
        if path.match(place):
            seen.append(path)
            if len(seen) == 2:
                fill()
        return write(path)
    return filled

for room in (cache, weights, make):
    room.write_atomically = filling(room.write_atomically)
make.locked = filling(make.locked)
try:
    of(corpus, disk / "runs")
except InputError as error:
    print(error)
for path in disk.glob("ballast*"):
    path.unlink()
before = {path.name for path in disk.rglob("*") if path.is_file()}
print(json.dumps(scores(of(corpus, disk / "runs"))))
print(json.dumps([sorted(before), [path.name for path in disk.rglob("*.*") if path.suffix in (".part", ".lock")]]))
"""


@needs_namespaces
@pytest.mark.parametrize("place", ["bands/*.npy", "*.checkpoint", "*.safetensors", "*.json", "*.lock"])
def test_a_disk_fills_up(place, two, tmp_path):
    """A feature, a checkpoint, weights, a record or a lock, the second of its kind, finds no room and no free entry.

    A line says so, with the path; what was there before is kept; and once there is room the same call ends in what a
    run that nothing disturbed ends in, with nothing left behind.
    """
    (disk := tmp_path / "disk").mkdir()
    given = {"before": small_disk(disk, "4m", 300), "SERLIB_CACHE": str(disk / "cache")}
    status, out, err = said(python(FILLS, two[0], disk, place, **given), 180)
    assert status == 0, err
    line, found, (before, left) = out.split("\n")[0], *map(json.loads, out.split("\n")[1:3])
    assert f"No room on disk to write {disk}/" in line and "Free some space" in line, out
    assert any(name.endswith(place[-4:]) for name in before) or place == "*.lock", "what was there before is lost"
    assert found == scores(of(two[0])) and not left


# B9: weights


def lost(path):
    path.unlink()


def foreign(path):
    shutil.copy(path.with_name("01-s0.safetensors"), path)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [lost, foreign, flipped])
def test_the_weights_of_one_fold(two, folder, damage):
    """Lost, of another fold, or with a flipped bit: the table stays, the others load, and what adapts them goes on."""
    record = of(two[0], folder)
    damage(folder / record.folds[1]["weights"])
    assert of(two[0], folder) == record
    names = [fold["name"] for fold in record.folds]
    for name in (names[0], names[2]):
        load(make_model("linear"), folder, record, name)
    with pytest.raises(InputError, match=r"02-s1\.safetensors: these weights .*Delete 02-s1\.json"):
        load(make_model("linear"), folder, record, names[1])

    task = li2018(read_folder(two[0]))

    def adapt(fold, place):
        return answers(load(make_model("linear"), folder, record, fold.name), task, fold, "linear")

    run = Run(task, "adapted", "papers.li2018", {}, adapt)
    with pytest.warns(UserWarning, match=r"adapted .* fold s1 is left out\. .*02-s1\.safetensors"):
        [adapted] = run_all([run], folder)
    assert scores(adapted) == [record.folds[0]["scores"], record.folds[2]["scores"]]
    for path in folder.glob("linear*/*.safetensors"):
        path.unlink()
    with pytest.raises(InputError, match="these weights are missing"):
        run_all([dataclasses.replace(run, model="again")], folder)


# B10: sound that cannot be used


def cut(path):
    path.write_bytes(path.read_bytes()[:20])


def silent(path):
    soundfile.write(path, np.zeros(16_000), 16_000)


def text(path):
    path.write_text("no sound\n" * 900)


@pytest.mark.parametrize("spoil", [cut, silent, text, Path.unlink])
def test_a_spoilt_recording_of_the_last_speaker_who_is_tested(two, folder, spoil):
    """It is tested in the first fold alone: the error comes before an hour of training, not after it."""
    task = li2018(read_folder(two[0]))
    first = task.folds[0]
    row = task.table.iloc[first.test[0]]
    trained = []
    chapter = CHAPTER._replace(train=lambda *arguments: trained.append(1) or train(*arguments))
    spoil(Path(row.path))
    with pytest.raises(InputError, match=rf"{Path(row.path).name}: "):
        reproduce(chapter, task, "linear", Schedule(), folder=folder, folds=1)
    assert not trained and not list(folder.glob("*/*"))


def test_all_sound_is_read_once(two, folder, monkeypatch):
    """Eight models on a large corpus: what was read is not read again for the next, nor by the next command."""
    of(two[0], folder)
    task = li2018(read_folder(two[0]))
    monkeypatch.setattr(soundfile, "SoundFile", lambda path: pytest.fail("read again"))
    run_all(
        [Run(task, "other", "papers.li2018", {}, lambda fold, place: {"predicted": task.labels[fold.test]})], folder
    )


# C13: records that are none


def edited(change):
    """The text of a record after `change(record, its one fold)`."""

    def damage(text):
        record = json.loads(text)
        change(record, record["folds"][0])
        return json.dumps(record)

    return damage


DEEP = "[" * 10**5 + "]" * 10**5 + ","
SHORT = {"label": [], "predicted": []}
RECORDS = {
    "nested 100,000 deep": lambda text: text.replace('"settings": {', '"settings": {"x": ' + DEEP),
    "a number of 5,000 digits": lambda text: text.replace('"seed": 0', '"seed": ' + "9" * 5000),
    "a seed that is a text": edited(lambda record, fold: record.update(seed="0")),
    "a list of nulls": lambda text: "[null]",
    "no JSON": lambda text: "\0" * 4000,
    "folds missing": edited(lambda record, fold: record["folds"].clear()),
    "folds too many": edited(lambda record, fold: record["folds"].append({**fold, "name": "more"})),
    "a fold twice": edited(lambda record, fold: record["folds"].append(fold)),
    "a fold that is a number": edited(lambda record, fold: record["folds"].append(3)),
    "folds are a number": edited(lambda record, fold: record.update(folds=7)),
    "no classes": edited(lambda record, fold: record["classes"].clear()),
    "classes of another task": edited(lambda record, fold: record["classes"].pop()),
    "another model": edited(lambda record, fold: record.update(model="another")),
    "a model that is a list": edited(lambda record, fold: record.update(model=["linear"])),
    "a source without a name": edited(lambda record, fold: record.update(source="papers")),
    "another model's predictions, of other rows": edited(lambda record, fold: fold["utterance_id"].reverse()),
    "labels of other rows": edited(lambda record, fold: fold["label"].reverse()),
    "labels that nobody gave": edited(lambda record, fold: fold.update(label=[-1] * len(fold["label"]))),
    "predictions too few": edited(lambda record, fold: fold["predicted"].pop()),
    "predictions of classes that there are not": edited(lambda record, fold: fold["predicted"].__setitem__(0, 99)),
    "predictions of nothing": edited(lambda record, fold: fold["predicted"].__setitem__(0, None)),
    "predictions as text": edited(lambda record, fold: fold.update(predicted="0101")),
    "predictions that are fractions": edited(lambda record, fold: fold["predicted"].__setitem__(0, 0.5)),
    "speakers that are numbers": edited(lambda record, fold: fold.update(speaker=[1, 2, 3, 4])),
    "no speakers": edited(lambda record, fold: fold.pop("speaker")),
    "scores of three classes": edited(lambda record, fold: [row.pop() for row in fold["scores"]]),
    "scores that are no numbers": edited(lambda record, fold: fold["scores"][0].__setitem__(0, float("nan"))),
    "scores too few": edited(lambda record, fold: fold["scores"].pop()),
    "seconds beyond all floats": edited(lambda record, fold: fold.update(seconds=10**400)),
    "a setting that is not a number": edited(lambda record, fold: record["settings"].update(rate=float("nan"))),
    "no seconds": edited(lambda record, fold: fold.pop("seconds")),
    "endless seconds": edited(lambda record, fold: fold.update(seconds=float("inf"))),
    "a curve of two lengths": edited(lambda record, fold: fold["curve"]["loss"].pop()),
    "a curve that is a text": edited(lambda record, fold: fold.update(curve="steep")),
    "dimensions that are a list": edited(lambda record, fold: fold.update(dimensions=["valence"])),
    "a dimension of other length": edited(lambda record, fold: fold.update(dimensions={"v": SHORT})),
    "a validation that is a text": edited(lambda record, fold: fold.update(validation="none")),
    "a validation without rows": edited(lambda record, fold: fold.update(validation={"predicted": [1]})),
    "an origin that is a text": edited(lambda record, fold: record.update(origin="here")),
    "an origin without what it ran on": edited(lambda record, fold: record["origin"].pop("environment")),
    "an origin without its precision": edited(lambda record, fold: record["origin"]["environment"].pop("precision")),
    "an origin without a date": edited(lambda record, fold: record["origin"].pop("date")),
    "a fold's origin that is a number": edited(lambda record, fold: fold.update(origin=3)),
    "behaviour of numbers": edited(lambda record, fold: record.update(behaviour={"protocol li2018": [1]})),
    "updates that are a text": edited(lambda record, fold: fold.update(updates="many")),
    "a first loss that is a text": edited(lambda record, fold: fold.update(first_loss="2.5")),
    "another field": edited(lambda record, fold: record.update(extra=1)),
}


def shown(record):
    """All that a table takes from a record."""
    found = describe([record]), learning_curves(record), recalls({"x": [record]}), record.scores()
    return *found, by_speaker({"x": [record]})


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_corpus):
    """A corpus, and a folder of runs on it, of two folds."""
    place = tmp_path_factory.mktemp("made")
    corpus = write_corpus(place / "ok", takes=1, seconds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERLIB_CACHE", str(place / "cache"))
        patch.setenv("SERLIB_PRECISION", "float32")
        of(corpus, place / "runs", folds=2)
    return corpus, place / "runs"


@pytest.mark.parametrize("damage", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_none(made, folder, damage):
    """A record is damaged or forged: a line with the file and a remedy where a run needs it, and nothing trained.

    Read for itself it is refused too, or so whole that every table can be made of it.
    """
    corpus, runs = made
    shutil.copytree(runs, folder)
    [path] = folder.glob("*/02-s1.json")
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError) as error:
        of(corpus, folder, chapter=CHAPTER._replace(train=lambda *_: pytest.fail("trained")), folds=2)
    line = str(error.value)
    assert line.startswith(f"{path}: ") or line.startswith(f"{path.parent}: "), line
    assert "\n" not in line and len(line) < 500 and re.search(r"\. (Delete|Move) ", line), line
    with contextlib.suppress(InputError):
        shown(read_record(path))


def test_a_record_of_three_hundred_megabytes(made, folder):
    """Somebody's dump under the name of a record: refused by its size, before it is in memory."""
    shutil.copytree(made[1], folder)
    [path] = folder.glob("*/01-s0.json")
    with path.open("r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(InputError, match=r"01-s0\.json: not a whole run record \(more than 256 MB\)\. Delete it"):
        read_record(path)


def test_weights_that_lie_elsewhere(two, folder):
    """A forged record names weights far away, `../../x` or `/x`, where there are none: a line, as for any others."""
    record = of(two[0], folder, folds=1)
    for place in ("../../x.safetensors", "/nowhere/x.safetensors"):
        forged = dataclasses.replace(record, folds=[record.folds[0] | {"weights": place}])
        with pytest.raises(InputError, match=re.escape("x.safetensors: these weights are missing")):
            load(make_model("linear"), folder, forged, "s0")
