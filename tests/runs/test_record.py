"""What a record is: what was run is what is shown, and what is no whole record is named."""

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

from serlib.errors import InputError
from serlib.runs import REFERENCE, Record, describe, read_record
from serlib.runs import record as records_of

AS_OF_67DF243 = json.loads(Path(__file__).with_name("as_of_67df243.json").read_text())


def test_a_record_holds_what_was_tested(task, validate, scores_of):
    """Else a prediction would be credited to another utterance, speaker or fold."""
    record = validate(task, seed=3)
    rows = record.predictions().set_index("utterance_id")
    assert len(rows) == 24 and set(rows.index) == set(task.table["utterance_id"])
    for fold in task.folds:
        tested = rows.loc[task.table["utterance_id"].iloc[fold.test]]
        assert set(tested["fold"]) == {fold.name} == set(tested["speaker"])
        np.testing.assert_array_equal(tested["label"], task.labels[fold.test])
        np.testing.assert_array_equal(tested["predicted"], scores_of(task, fold).argmax(1))
    np.testing.assert_allclose(record.folds[1]["scores"], scores_of(task, task.folds[1]), atol=5e-5)
    assert (record.corpus, record.protocol, record.seed) == ("tones", "li2018", 3)
    assert record.classes == ["anger", "happiness", "neutral", "sadness"] and record.updates() == 7
    assert "protocol li2018" in record.behaviour and "corpus synthetic" not in record.behaviour
    assert record.origin["environment"]["threads"] == 1 and record.origin["data"] and record.origin["date"]


def test_predictions_instead_of_scores(task, validate):
    """Else a machine without probabilities could not be recorded."""
    record = validate(task, lambda fold, place: {"predicted": task.labels[fold.test][::-1]})
    assert record.folds[0]["predicted"] == task.labels[task.folds[0].test][::-1].tolist()
    assert "scores" not in record.folds[0] and record.updates() == 0 and record.folds[0]["seconds"] > 0


def test_scores_are_scikit_learns(task, validate):
    """Else the tables of the book would not follow from the predictions that are stored."""
    record = validate(task)
    rows = record.predictions()
    labels, predicted = rows["label"], rows["predicted"]
    found = record.scores()
    assert found["overall_accuracy"][0] == pytest.approx(accuracy_score(labels, predicted))
    assert found["uar"][0] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert all(low <= value <= high and low < high for value, low, high in found.values())
    np.testing.assert_array_equal(record.confusion(), confusion_matrix(labels, predicted))
    recalls = record.recalls()
    assert recalls.pop("overall") == pytest.approx(accuracy_score(labels, predicted))
    assert list(recalls.values()) == pytest.approx(recall_score(labels, predicted, average=None))
    assert list(recalls) == record.classes
    value, low, high = found["overall_accuracy"]
    assert record.shown("overall_accuracy") == f"{100 * value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def test_a_record_of_one_fold(task, validate):
    """Else the quick profile, which tests one speaker, could not show its numbers."""
    record = validate(task, folds=1)
    value, low, high = record.scores()["overall_accuracy"]
    assert low < value < high and np.isnan(record.scores()["uar"][1])
    assert "nan" not in record.shown("uar") and "[" in record.shown("overall_accuracy")
    record.folds[0] |= {"utterance_id": [*"abcd"], "speaker": ["s0"] * 4, "label": [0, 0, 1, 3]}
    record.folds[0] |= {"predicted": [0, 1, 1, 1]}  # no class is left out for having no utterance, or no answer
    np.testing.assert_array_equal(record.confusion(), [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])


def test_a_record_round_trips(task, validate, folder):
    """Else what is read back would not be what was run."""
    found = validate(task, folder=folder)
    [place] = folder.iterdir()
    assert sorted(os.listdir(place)) == ["01-s0.json", "02-s1.json", "03-s2.json"]
    assert read_record(place) == found == Record(**json.loads(json.dumps(dataclasses.asdict(found))))
    one = read_record(place / "02-s1.json")
    assert one == dataclasses.replace(found, folds=found.folds[1:2])


# Further dimensions, and what was chosen on


def answers(task, rows, seed):
    """Class numbers of some rows, right or wrong at random."""
    return np.random.default_rng([seed, *rows]).integers(0, len(task.classes), len(rows))


def all_answers(task, as_scores=False):
    """A `test_fold` that answers on both dimensions and parts, each time something else."""

    def shaped(rows, seed):
        found = answers(task, rows, seed)
        return np.eye(len(task.classes))[found] if as_scores else found

    def test_fold(fold, place):
        kind = "scores" if as_scores else "predicted"
        return {
            kind: shaped(fold.test, 0),
            "dimensions": {"valence": shaped(fold.test, 1)},
            "validation": {kind: shaped(fold.validation, 2), "dimensions": {"valence": shaped(fold.validation, 3)}},
            "updates": 7,
        }

    return test_fold


@pytest.mark.parametrize("as_scores", [False, True])
def test_every_dimension_and_part_has_its_own_answers(levels, validate, folder, as_scores):
    """Else a score of the development part, or of another dimension, would be shown as that of the test."""
    record = validate(levels, all_answers(levels, as_scores), folder=folder)
    for number, (part, dimension) in enumerate(itertools.product(("test", "validation"), ("activation", "valence"))):
        parts = [getattr(fold, part) for fold in levels.folds]
        chosen = np.concatenate(parts)
        shown = record.on(dimension, part)
        rows = shown.predictions()
        assert rows["utterance_id"].tolist() == levels.table["utterance_id"].iloc[chosen].tolist()
        assert rows["speaker"].tolist() == levels.table["speaker"].iloc[chosen].tolist()
        assert rows["label"].tolist() == levels.auxiliary[dimension][chosen].tolist()
        assert rows["predicted"].tolist() == [answer for rows in parts for answer in answers(levels, rows, number)]
        assert rows["fold"].tolist() == [fold.name for fold in levels.folds for _ in fold.test]
        assert (shown.settings["dimension"], record.settings["dimension"]) == (dimension, "activation")
        assert (shown.model, shown.behaviour, shown.updates()) == (record.model, record.behaviour, 7)
        if dimension == "activation":
            pd.testing.assert_frame_equal(rows, record.on(part=part).predictions())
    pd.testing.assert_frame_equal(record.on().predictions(), record.predictions())
    for fold in record.folds:  # scores of the test alone are kept, or records would grow fourfold
        assert np.shape(fold.get("scores", np.zeros((8, 2)))) == (8, 2)
        assert fold["dimensions"]["valence"].keys() == {"label", "predicted"}
        assert fold["validation"].keys() == {"utterance_id", "speaker", "label", "predicted", "dimensions"}


def test_what_a_record_does_not_hold(task, levels, validate):
    """Else another dimension or part would be shown in the place of the one that was asked for."""
    plain, full = validate(task), validate(levels, all_answers(levels))
    for record, wanted, missing in (
        (plain, {"part": "validation"}, "validation"),
        (plain, {"dimension": "valence"}, "valence, test"),
        (full, {"dimension": "dominance"}, "dominance, test"),
        (full, {"dimension": "dominance", "part": "validation"}, "dominance, validation"),
        (full, {"part": "dimensions"}, "dimensions"),
        (full.on("valence"), {"dimension": "activation"}, "activation, test"),
    ):
        with pytest.raises(InputError, match=f"a model .*does not hold: {missing}"):
            record.on(**wanted)
    assert "dimension" not in plain.settings


def test_what_nobody_rated_is_not_scored(levels, validate):
    """Else an utterance without a label would count as a mistake, or as a class of its own."""
    unrated = np.arange(24) % 5 == 2
    valence = np.where(unrated, -1, levels.auxiliary["valence"])
    activation = np.where(np.roll(unrated, 1), -1, levels.labels)
    partly = dataclasses.replace(levels, labels=activation, auxiliary={"valence": valence, "activation": activation})
    record = validate(partly, all_answers(partly))
    for name, labels in (("activation", activation), ("valence", valence)):
        for part in ("test", "validation"):
            shown = record.on(name, part)
            rows = shown.predictions()
            ids = partly.table["utterance_id"][labels >= 0]
            assert {*rows["utterance_id"]} == {*ids} and len(rows) == len(ids) < 24
            assert {*rows["label"]} == {0, 1} and rows.index.equals(pd.RangeIndex(len(rows)))
            assert shown.confusion().sum() == len(rows) == describe([shown])["utterances"].item()
            expected = balanced_accuracy_score(rows["label"], rows["predicted"])
            assert shown.scores()["uar"][0] == pytest.approx(expected)


def test_nothing_to_score(levels, validate):
    """Else a table of three dimensions would end in an error where a fold has no rating of one."""
    nobody = dataclasses.replace(levels, auxiliary=levels.auxiliary | {"valence": np.full(24, -1)})
    record = validate(nobody, all_answers(levels))
    empty = record.on("valence")
    assert empty.scores().keys() == record.scores().keys() and np.isnan([*empty.scores().values()]).all()
    assert {empty.shown(score) for score in empty.scores()} == {"no label"}
    assert empty.predictions().columns.tolist() == record.predictions().columns.tolist() and not empty.confusion().any()
    assert np.isnan(empty.recalls()["overall"])
    table = describe([record, empty])
    assert table["UAR"].tolist().count("no label") == 1 and sorted(table["utterances"]) == [0, 24]


# Is it whole, of one run, and current?


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        *[(lambda text: text[: len(text) // 2], "whole"), (lambda text: "", "whole"), (lambda text: "[]", "whole")],
        *[(lambda text: '"text"', "whole"), (lambda text: "null", "whole"), (lambda text: '{"format": 2}', "whole")],
        *[(lambda text: text.replace('"seed"', '"sead"'), "whole"), (lambda text: text.encode("utf-16"), "whole")],
        (lambda text: text.replace('"format": 2', '"format": 1'), "of format 1, and .* reads format 2"),
        (lambda text: text.replace('"format": 2', '"from": 2'), "of format 1, and .* reads format 2"),
        (lambda text: text.replace('"format": 2', '"format": 3'), "of format 3, and .* reads format 2"),
    ],
)
def test_a_torn_or_foreign_record_is_named(task, validate, folder, damage, what):
    """Else a file that broke off in a copy, or is of another version, would end in an error that names no file."""
    validate(task, folder=folder)
    path = next(folder.glob("*/02-*.json"))
    damaged = damage(path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    for read in (lambda: read_record(path), lambda: read_record(path.parent), lambda: validate(task, folder=folder)):
        with pytest.raises(InputError, match=rf"02-s1\.json: .*{what}.*Delete it and run again"):
            read()


def test_folds_that_are_not_of_one_run(task, validate, folder, tmp_path):
    """Else a record would be half of one seed and half of another, count a speaker twice, or be of nothing."""
    for seed in (0, 1):
        validate(task, folder=folder, seed=seed)
    here, other = sorted(folder.iterdir())
    shutil.copy(here / "01-s0.json", here / "04-s0.json")
    with pytest.raises(InputError, match=f"{here.name}: fold 's0' is there twice"):
        read_record(here)
    shutil.copy(other / "01-s0.json", here / "04-s0.json")
    with pytest.raises(InputError, match=f"{here.name}: holds folds of two runs, with another seed"):
        read_record(here)
    with pytest.raises(InputError, match="no-run: not a whole run record"):
        read_record(tmp_path / "no-run")
    (tmp_path / "no-run").mkdir()
    with pytest.raises(InputError, match="no-run: holds no fold"):
        read_record(tmp_path / "no-run")


def test_a_fold_that_was_made_elsewhere_says_so(task, validate, folder):
    """Else one fold's commit or machine would be shown as that of all."""
    validate(task, folder=folder)
    path = next(folder.glob("*/02-*.json"))
    elsewhere = json.loads(path.read_text())
    elsewhere["origin"] |= {"commit": "0123456789ab", "date": "2001-01-01"}
    path.write_text(json.dumps(elsewhere))
    found = validate(task, folder=folder)
    assert found == read_record(path.parent) and found.origin != elsewhere["origin"]
    assert [fold.get("origin") for fold in found.folds] == [None, elsewhere["origin"], None]


def test_a_number_of_other_behaviour_has_a_dagger(task, validate, behave):
    """Else nobody could see that the code behind a number computes something else today."""
    found = validate(task)
    behave("protocol common_loso")  # on which it does not rest
    assert found.is_current() and "†" not in found.shown("uar")
    behave("protocol li2018")
    assert not found.is_current() and found.shown("uar").endswith(" †")
    assert validate(task).is_current() and found.behaviour != validate(task).behaviour
    assert not dataclasses.replace(found, behaviour={"network of yore": "0123"}).is_current()


@pytest.mark.parametrize("text", ["", '{"format": 1, "fingerprints": {}}', '{"fingerprints": {}}', "[]"])
def test_a_file_of_fingerprints_of_another_version(tmp_path, monkeypatch, text):
    """Else every record would have its dagger, or none, for want of anything to compare with."""
    (tmp_path / "torn.json").write_text(text)
    monkeypatch.setattr(records_of, "BEHAVIOUR", tmp_path / "torn.json")
    with pytest.raises(InputError, match=r"torn\.json: .*file of fingerprints.*Install serlib again"):
        records_of.fingerprint_ids()


def test_the_schema_describes_every_field():
    """Else a program of somebody else would refuse a record that the library reads, or not know a field of it."""
    schema = json.loads(Path(records_of.__file__).with_name("record.schema.json").read_text("utf-8"))
    fields = dataclasses.fields(Record)
    assert [*schema["properties"]] == [field.name for field in fields]
    optional = (dataclasses.MISSING, dataclasses.MISSING)
    assert schema["required"] == [f.name for f in fields if (f.default, f.default_factory) == optional]


# The records that ship with the package


def test_every_reference_record_reads():
    """Else a record that ships with the package would be torn, doubly count an utterance, or hold no score."""
    paths = sorted(REFERENCE.glob("*/**/*.json"))  # a folder for each paper; what lies beside them is no run
    assert paths
    for path in paths:
        record = read_record(path)
        rows = record.predictions()
        assert not rows["utterance_id"].duplicated().any(), path
        assert rows[["label", "predicted"]].isin(range(len(record.classes))).all(axis=None), path
        assert all(0 < value <= 1 for value, *_ in record.scores().values()), path
        assert not os.path.isabs(record.model) and record.origin["environment"]["torch"] and record.behaviour, path
        for fold in record.folds:
            if "scores" in fold:
                found = np.array(fold["scores"])
                np.testing.assert_allclose(found.sum(1), 1, atol=1e-3)
                rounded = found[np.arange(len(found)), fold["predicted"]]
                assert (rounded >= found.max(1) - 1e-4).all(), path


def predictions_digest(record):
    """A digest of all that a record says of utterances, in either format."""
    parts = []
    for fold in record["folds"]:
        for rows in (fold, fold.get("validation") or {}):
            further = sorted(rows.get("dimensions", rows.get("tasks", {})).items())
            keys = ("utterance_id", "label", "predicted", "scores")
            more = [[name, found["label"], found["predicted"]] for name, found in further]
            parts.append([fold["name"], *map(rows.get, keys), more])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def test_no_reference_record_was_rewritten():
    """Else a change of format, or of the code, would have changed a date or a prediction that was made before it."""
    records = {name: json.loads((REFERENCE / name).read_text("utf-8")) for name in AS_OF_67DF243}
    now = {n: {"date": r["origin"]["date"], "predictions": predictions_digest(r)} for n, r in records.items()}
    assert now == AS_OF_67DF243 and len(now) == 91
