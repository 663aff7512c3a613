"""Verdicts: none without a record or a stated reason."""

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


@pytest.mark.parametrize(
    ("here", "evidence", "records", "said"),
    [
        ("holds", "because", (), "nothing that says so"),
        ("does not hold", "because", (), "nothing that says so"),
        ("cannot be told", "", (), "nothing that says so"),
        ("holds", "because", ("li2018/none_*.json",), "no file serlib/reference/li2018/none"),
        ("perhaps", "because", RECORDS, "'perhaps' is none of holds"),
    ],
)
def test_a_verdict_without_evidence_is_none(here, evidence, records, said):
    with pytest.raises(InputError, match=re.escape(said)):
        verdicts([Verdict("80.5", here, evidence, records)])
