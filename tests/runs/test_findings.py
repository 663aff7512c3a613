"""What was looked up in trained networks: it rests on what the networks' records rest on."""

import numpy as np
import pytest
from shared import keep_findings

from serlib.runs import REFERENCE, findings, record


def test_findings_rest_on_their_records(task, levels, validate, tmp_path, monkeypatch, behave, capsys):
    """Else a picture of what a network attends to would not say what it is of, or look like one of today's code."""
    monkeypatch.setattr(record, "REFERENCE", tmp_path)
    one = validate(task)
    two = validate(levels, lambda fold, place: {"predicted": levels.labels[fold.test]})
    shares = np.arange(6.0).reshape(2, 3)
    keep_findings("li2018/shares", (found for found in (one, two)), shares=shares, names=np.array(["a", "b"]))
    found = findings("li2018/shares")
    np.testing.assert_array_equal(found["shares"], shares)
    assert found.keys() == {"shares", "names", "about"} and found["names"].tolist() == ["a", "b"]
    assert found["about"]["behaviour"] == one.behaviour | two.behaviour and one.behaviour != two.behaviour
    assert found["about"]["origin"].keys() == one.origin.keys()
    assert set(found["about"]["origin"]["data"].split(", ")) == {one.origin["data"], two.origin["data"]}
    behave("protocol common_loso")  # on which neither rests
    findings("li2018/shares")
    assert capsys.readouterr().out == ""
    behave("protocol common_levels")
    findings("li2018/shares")
    assert capsys.readouterr().out == "† li2018/shares: made by code that behaved otherwise (protocol common_levels)\n"


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*/*.npz")), ids=lambda path: path.stem)
def test_every_finding_that_ships_reads(path):
    """Else a chapter would end in an error at its picture, or show one that comes from nowhere."""
    found = findings(path.relative_to(REFERENCE).with_suffix("").as_posix())
    about = found.pop("about")
    assert about["behaviour"] and {"commit", "date", "data"} <= about["origin"].keys()
    assert found and all(array.dtype.kind != "O" and array.size for array in found.values())
