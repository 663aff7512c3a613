"""Verdicts: none without the files that it rests on."""

import re

import pytest

from serlib.errors import InputError
from serlib.runs import Verdict, verdicts

RECORDS = ("li2018/CNN_TF_GAP_emodb_*.json",)


def test_a_verdict_shows_its_claim_its_evidence_and_its_files():
    """Else a reader could not look up what the sentence rests on."""
    held = Verdict("attention < averaging & more", "holds", "because", RECORDS)
    (name,) = held.files()
    shown = verdicts([held, Verdict("80.5", "cannot be told", "needs IEMOCAP")]).data
    assert "attention &lt; averaging &amp; more" in shown and name in shown
    assert re.findall("<strong>(.*?)</strong>", shown) == ["holds", "cannot be told"]


def test_a_verdict_whose_records_are_not_there_is_none():
    """Else a claim would be judged by files that were renamed, or never made."""
    with pytest.raises(InputError, match=r"'80.5': no file serlib/reference/li2018/none_\*\.json"):
        verdicts([Verdict("80.5", "holds", "because", (*RECORDS, "li2018/none_*.json"))])
