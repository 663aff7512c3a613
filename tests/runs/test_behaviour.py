"""Would today's code compute the same? The fingerprints, and what a difference says."""

import json
from functools import partial

import behaviour
import numpy as np
import pytest
from behaviour import check, differences, fingerprints, record_anew, resting_on

from serlib import runs
from serlib.errors import InputError
from serlib.protocols import PROTOCOLS
from serlib.runs import record
from serlib.runs.record import rests_on


@pytest.mark.parametrize("name", fingerprints())
def test_todays_code_computes_as_recorded(name, small_corpus, monkeypatch):
    """Else the records that rest on it are of other code: see what changed, and accept it only if it is meant."""
    monkeypatch.setenv("SERLIB_CACHE", str(small_corpus))
    ((_, _, lines),) = check([name])
    assert not lines, f"{name}: {'; '.join(lines)}. On it rest: {', '.join(resting_on(name)) or 'no records'}"


def test_every_fingerprint_is_recorded_and_none_is_left_over():
    """Else something new would never be compared, or something gone would be vouched for."""
    kept = json.loads(record.BEHAVIOUR.read_text("utf-8"))["fingerprints"]
    assert list(kept) == list(fingerprints())
    assert {f"protocol {protocol.__name__}" for protocol in PROTOCOLS} <= {*kept}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A file of three fingerprints in place of the real one, and a record that rests on two of them."""
    reference = tmp_path / "reference"
    values = {"network x A": {"losses": [1.0, 2.0], "parameters": 3}, "feature f": {"values": [0.5]}, "protocol p": {}}
    (reference / "x").mkdir(parents=True)
    path = reference / "behaviour.json"
    path.write_text(json.dumps({"format": record.FORMAT, "taken": {}, "fingerprints": values}))
    monkeypatch.setattr(record, "BEHAVIOUR", path)
    monkeypatch.setattr(record, "REFERENCE", reference)
    record._ids.cache_clear()
    ids = record.fingerprint_ids()
    about = ("A", "papers.x", "c", "p", ["a", "b"], {}, 0, {name: ids[name] for name in ("network x A", "protocol p")})
    rows = {"utterance_id": ["u"], "speaker": ["s"], "label": [0], "predicted": [0]}
    origin = {"date": "2026-01-01", "environment": {"device": "cpu", "precision": "float32", "threads": 1}}
    made = record.Record(*about, origin=origin, folds=[{"name": "1", "seconds": 1.0, **rows}])
    (reference / "x" / "A.json").write_text(json.dumps(vars(made)))
    yield made
    record._ids.cache_clear()


def taking(monkeypatch, **values):
    """Today's code as it would give these values."""
    found = {name.replace("_", " "): lambda value=value: value for name, value in values.items()}
    monkeypatch.setattr(behaviour, "fingerprints", lambda: found)


def test_a_difference_names_the_model_the_update_and_the_records(kept, monkeypatch):
    """Else one would know that something changed, but not what, by how much, and whom it concerns."""
    taking(monkeypatch, network_x_A={"losses": [1.0, 2.1], "parameters": 4})
    ((name, _, lines),) = check()
    assert name == "network x A"
    assert lines == ["losses: number 2 of 2 was 2 and is 2.1", "parameters: was 3 and is 4"]
    assert resting_on(name) == ["x/A.json"] and resting_on("feature f") == []


def test_what_the_same_code_gives_on_another_chip_counts_until_the_code_changes(kept, monkeypatch):
    """Else every chip that rounds otherwise would accuse unchanged code, or an old value vouch for changed code."""
    file = json.loads(record.BEHAVIOUR.read_text())
    file["other chips"] = {"network x A": [{"losses": [1.0, 2.1], "parameters": 3}]}
    record.BEHAVIOUR.write_text(json.dumps(file))
    for losses, differ in (([1.0, 2.0], False), ([1.0, 2.1], False), ([1.0, 2.2], True)):
        taking(monkeypatch, network_x_A={"losses": losses, "parameters": 3})
        ((_, _, lines),) = check()
        assert bool(lines) == differ
    assert lines == ["losses: number 2 of 2 was 2 and is 2.2"] and kept.is_current()
    record_anew({"network x A": {"losses": [1.0, 2.2], "parameters": 3}})
    taking(monkeypatch, network_x_A={"losses": [1.0, 2.1], "parameters": 3})
    ((_, _, lines),) = check()
    assert lines


def test_an_accepted_value_gives_its_records_a_dagger(kept, monkeypatch):
    """Else numbers of other code would stand beside today's without a mark, or every record would get one."""
    assert kept.is_current()
    taking(monkeypatch, network_x_A={"losses": [1.0, 2.1]}, feature_f={"values": [0.5]}, protocol_p={})
    record_anew({"feature f": {"values": [0.6]}})
    record._ids.cache_clear()
    assert kept.is_current()
    record_anew({"network x A": {"losses": [1.0, 2.1]}})
    record._ids.cache_clear()
    assert not kept.is_current()
    assert [lines for _, _, lines in check(["network x A"])] == [[]]


def test_a_fingerprint_that_is_none_or_new(kept, monkeypatch):
    """Else a slip of the pen would pass for a check, and a new network for a known one."""
    taking(monkeypatch, network_x_B={"losses": [1.0]})
    assert [lines for _, _, lines in check()] == [["is not recorded yet"]]
    with pytest.raises(InputError, match="no fingerprint named 'network y'"):
        list(check(["network y"]))


@pytest.mark.parametrize("text", ['{"fingerprints": {', "[]", '{"fingerprints": {}}', '{"format": 1}'])
def test_a_torn_or_older_file_is_named(text, kept):
    """Else a half-written file would end in a traceback, or an older one be misread."""
    record.BEHAVIOUR.write_text(text)
    with pytest.raises(InputError, match="behaviour.json: .*(not a whole file of fingerprints|format 1)"):
        list(check())


@pytest.mark.parametrize(
    "name, factor, differ",
    [
        *[("network x", 1 + 9e-4, False), ("network x", 1 + 2e-3, True), ("feature x", 1 + 9e-5, False)],
        *[("feature x", 1 + 2e-4, True), ("baseline x", 1 + 1e-6, True), ("baseline x", 1, False)],
    ],
)
def test_the_tolerance_is_of_the_kind(name, factor, differ):
    """Else another processor's rounding would raise alarms, or a changed feature would not."""
    before = np.linspace(1, 3, 5)
    assert bool(differences(name, {"losses": before.tolist()}, {"losses": (before * factor).tolist()})) == differ


def test_other_shapes_and_kinds_differ():
    """Else fewer updates, or none, would pass."""
    assert differences("network x", {"losses": [1.0]}, {"losses": [1.0, 1.0]}) == [
        "losses: was [1.0] and is [1.0, 1.0]"
    ]
    assert differences("network x", {"a": {"b": 1}}, {"a": {}}) == ["a, b: was 1 and is None"]


@pytest.mark.parametrize(
    "run, expected",
    [
        (("papers.li2018", "li2018", "Conv1_2x80", {}, "emodb"), {"network li2018 Conv1_10x2", "protocol li2018"}),
        (("papers.jalal2020", "jalal2020", "MOMA", {"milestones": None}, "synthetic"), {"corpus synthetic"}),
        (("papers.jalal2020", "jalal2020", "MOMA", {"milestones": [4]}, "emodb"), {"network jalal2020 milestones"}),
        (
            ("papers.zhang2019", "common_levels", "e2e STL", {"dropout_at": "input"}, "x"),
            {"network zhang2019 dropout_at"},
        ),
        (("baselines.functionals_svm", "li2018", "SVM", {"C": "development"}, "x"), {"feature functionals"}),
        (("papers.unheard_of", "nobodys", "A", {}, "x"), set()),
    ],
)
def test_a_run_rests_on_what_it_goes_through(run, expected):
    """Else a changed filter, feature or protocol would leave the marks of its records as they are."""
    found = rests_on(*run)
    assert expected <= {*found}
    assert ("corpus synthetic" in found) == run[-1].startswith("synthetic")
    assert ("network jalal2020 milestones" in found) == bool(run[3].get("milestones"))
    assert {*found} <= {*fingerprints()}


def command(*line):
    """What the command line does."""
    return behaviour.carry_out(behaviour.main, **behaviour.arguments(line))


@pytest.fixture
def recorded(task, a_run, tmp_path, monkeypatch):
    """Two fingerprints, as recorded, and a reference record that rests on both; then the network does otherwise."""
    values = {"protocol li2018": {"rows": "ab"}, "network li2018 CNN_TF_GAP": {"losses": [1.5, 1.25]}}
    monkeypatch.setattr(record, "BEHAVIOUR", tmp_path / "behaviour.json")
    monkeypatch.setattr(record, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(behaviour, "fingerprints", lambda: {name: partial(dict, v) for name, v in values.items()})
    record.BEHAVIOUR.write_text(json.dumps({"format": record.FORMAT, "fingerprints": values}))
    record._ids.cache_clear()
    runs.run_all([a_run(task, model="CNN_TF_GAP")], record.REFERENCE / "li2018")
    yield values
    record._ids.cache_clear()


def the_record():
    [folder] = record.REFERENCE.glob("*/*")
    record._ids.cache_clear()  # as the next command begins
    return runs.read_record(folder)


def test_behaviour_as_recorded_and_otherwise(recorded, capsys):
    """Else a change would pass unseen, or one that was meant could not be recorded, or would bring no dagger."""
    assert command() == 0
    assert capsys.readouterr().out == "protocol li2018: as recorded\nnetwork li2018 CNN_TF_GAP: as recorded\n"
    recorded["network li2018 CNN_TF_GAP"] = {"losses": [1.5, 1.35]}
    assert command() == 1
    first, differs, *records = capsys.readouterr().out.splitlines()
    assert first.endswith("as recorded")
    assert differs == "network li2018 CNN_TF_GAP: losses: number 2 of 2 was 1.25 and is 1.35"
    assert len(records) == 3 and all(line.startswith("    li2018/CNN_TF_GAP_tones") for line in records)
    assert command("protocol li2018") == 0 and the_record().is_current()
    assert command("--accept", "network li2018 CNN_TF_GAP") == 0
    assert "recorded anew: network li2018 CNN_TF_GAP" in capsys.readouterr().out
    assert the_record().shown("uar").endswith("†")
    assert command() == 0


def test_behaviour_that_cannot_be_compared(recorded, said):
    """Else a wrong name, or a file of an older version, would end in a traceback; or all be accepted by accident."""
    before = record.BEHAVIOUR.read_text()
    assert command("network li2018") == 1
    assert "There is no fingerprint named 'network li2018'" in said()
    assert command("--accept") == 1
    assert "--accept takes the names" in said() and record.BEHAVIOUR.read_text() == before
    record.BEHAVIOUR.write_text(json.dumps({"fingerprints": recorded}))
    assert command() == 1
    assert "of format 1, and this version of serlib reads format 2" in said()
