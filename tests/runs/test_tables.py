"""Records as tables: what is shown is what was run, chosen by effort, with what makes it believable."""

import dataclasses
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest

from serlib.runs import (
    by_speaker,
    compare,
    describe,
    fullest,
    learning_curves,
    over_seeds,
    recalls,
    record,
    reference,
)

PUBLISHED = pd.DataFrame({"WA": [71.35, 71.75], "UA": [67.54, 68.06]}, index=["GAP", "Att"])


@pytest.fixture
def trained(task, validate):
    """The record of a model with so many updates, right on a share of everything."""

    def test_fold(updates, right, fold, place):
        wrong = np.arange(len(fold.test)) >= right * len(fold.test)
        return {"updates": updates, "loss": 0.1, "predicted": task.labels[fold.test] ^ wrong}

    return lambda model, updates, right=1.0, **options: validate(
        task, partial(test_fold, updates, right), model=model, **options
    )


def test_the_fullest_runs_are_chosen_by_effort(trained):
    """Else the best of many tries would be shown as the result, or all seeds but one be left out."""
    short, other = trained("GAP", 100), trained("Att", 7)
    few_folds, elsewhere = trained("GAP", 9000, folds=2), trained("GAP", 100, settings={"batch_size": 8})
    long = [trained("GAP", 5000 + 10 * seed, 0.25 * seed, seed=seed, settings={"patience": 3}) for seed in range(3)]
    for order in ([short, *long, other, few_folds, elsewhere], [elsewhere, few_folds, other, *long[::-1], short]):
        found = fullest(iter(order))
        assert found["Att"] == [other] and found["GAP"] == long  # though patience ended each after other updates
    assert fullest([]) == {}


def test_over_seeds(trained, behave):
    """Else one seed would be shown for three, or a number of other behaviour look like one of today's."""
    runs = [trained("a", 7, right, seed=seed) for seed, right in enumerate((1.0, 0.75, 0.25))]
    assert over_seeds(runs, "overall_accuracy") == "66.7 ± 38.2 (n=3)"  # as numpy has it, of 100, 75 and 25 %
    assert f"{np.mean([100, 75, 25]):.1f} ± {np.std([100, 75, 25], ddof=1):.1f} (n=3)" == "66.7 ± 38.2 (n=3)"
    uar = [100 * run.scores()["uar"][0] for run in runs]
    assert over_seeds(runs, "uar") == f"{sum(uar) / 3:.1f} ± {pd.Series(uar).std():.1f} (n=3)"
    assert over_seeds(runs[1:2], "uar") == runs[1].shown("uar")
    behave("protocol li2018")
    fresh = [trained("a", 7, right, seed=seed) for seed, right in enumerate((0.5, 0.25))]
    assert "†" not in over_seeds(fresh, "uar")
    assert over_seeds([*fresh, runs[0]], "uar").endswith(" (n=3) †")
    assert over_seeds(runs[:1], "uar").endswith(" †")


def test_what_was_not_run_says_so(trained):
    """Else an empty cell of the comparison could be read as a zero, or as a number that was left out."""
    ours, mine = [trained("Att", 5000, seed=seed) for seed in (0, 1)], trained("SVM", 0, 0, folds=1)
    table = compare(PUBLISHED, iter([*ours, trained("NN", 3)]), iter([mine]))
    assert list(table.index) == ["GAP", "Att", "NN", "SVM"]
    assert table["published"].loc["Att"].tolist() == ["71.75", "68.06"]
    assert table["reference: tones"].loc["Att"].tolist() == ["100.0 ± 0.0 (n=2)"] * 2
    assert table["reference: tones"].loc["NN"].tolist() == ["100.0 [100, 100]"] * 2
    assert set(table["reference: tones"].loc[["GAP", "SVM"]].to_numpy().ravel()) == {"not run"}
    assert table["this run: tones"].loc["SVM", "accuracy"].startswith("0.0 ")
    assert set(table["this run: tones"].loc[["GAP", "Att", "NN"]].to_numpy().ravel()) == {"not run"}


@pytest.mark.parametrize(("references", "this_run"), [(False, False), (True, False), (False, True)])
def test_a_comparison_with_nothing_run(trained, references, this_run):
    """Else the chapter would stop where a corpus has no reference run."""
    records = [trained("GAP", 5)]
    table = compare(PUBLISHED, records * references, records * this_run)
    assert not table.isna().any(axis=None) and "not run" in table.to_numpy()


def test_describe(trained):
    """Else the compute card would leave out what made a number believable."""
    table = describe([trained("SVM", 0, folds=1, settings={}), *(trained("GAP", 5000, seed=seed) for seed in (2, 1))])
    assert list(table.index) == [("tones", "GAP"), ("tones", "GAP"), ("tones", "SVM")]
    assert table["seed"].tolist() == [1, 2, 0] and table["batch"].tolist() == [16, 16, ""]
    row = table.iloc[1]
    assert (row["utterances"], row["folds"], row["updates a fold"], row["protocol"]) == (24, 3, 5000, "li2018")
    assert row["accuracy"] == "100.0 [100, 100]" and table["updates a fold"].iloc[2] == ""
    assert re.fullmatch(r"cpu, \S+, 1 thread\(s\), float32", row["ran on"]) and re.match(
        r"\d{4}-\d\d-\d\d$", row["date"]
    )


def test_learning_curves(trained):
    """Else a curve would be of another fold, start at an epoch that does not exist, or hide one that was not kept."""
    found = trained("GAP", 4)
    assert len(learning_curves(found)) == 0  # a classifier, or a record from before they were kept
    found.folds[0]["curve"] = {"loss": [2.0, 1.5], "learning_rate": [0.1, 0.01], "seconds": [3.0, 4.0]}
    found.folds[2]["curve"] = {"learning_rate": [0.1]}
    rows = learning_curves(found)
    assert rows.index.tolist() == [("s0", 1), ("s0", 2), ("s2", 1)] and rows.index.names == ["fold", "epoch"]
    assert rows["learning_rate"].tolist() == [0.1, 0.01, 0.1] and rows.loc["s0", "loss"].tolist() == [2.0, 1.5]
    assert rows.loc["s2", "loss"].isna().all()


def test_reference_finds_what_is_wanted(task, validate, tmp_path, monkeypatch):
    """Else a table could show the record of another corpus."""
    monkeypatch.setattr(record, "REFERENCE", tmp_path / "reference")
    assert reference("li2018") == []
    for model in ("a", "b"):
        validate(task, folder=tmp_path / "runs", model=model)
    for path in (tmp_path / "runs").glob("*/01-*.json"):
        place = tmp_path / "reference" / "li2018" / f"{path.parent.name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    assert {found.model for found in reference("li2018")} == {"a", "b"}
    assert [found.model for found in reference("li2018", model="b", corpus="tones", seed=0)] == ["b"]
    assert reference("li2018", corpus="emodb") == reference("zhang2019") == []


def test_recalls_and_scores_by_speaker_are_means_over_runs():
    """Else a table of several seeds would show one of them, or pool speakers of unlike size."""
    rows = [("a", 0, 0), ("a", 0, 1), ("a", 1, 1), ("b", 0, 0), ("b", 1, 0)]  # speaker, meant, heard
    speakers, meant, heard = map(list, zip(*rows, strict=True))
    fold = {"name": "1", "utterance_id": [*"uvwxy"], "speaker": speakers, "label": meant}
    one, other = (
        record.Record("m", "papers.m", "c", "p", ["no", "yes"], {}, seed, {}, {}, [fold | {"predicted": answers}])
        for seed, answers in enumerate((heard, meant))
    )
    found = recalls({"first": [one], "both": [one, other]})
    assert found.loc["first"].tolist() == [1, "58.3", "66.7", "50.0"]  # 2 of 3 and 1 of 2
    assert found.loc["both"].tolist() == [2, "79.2", "83.3", "75.0"]
    speakers = by_speaker({"first": [one], "both": [one, other]})
    assert speakers.loc["a"].tolist() == [75, 87.5] and speakers.loc["b"].tolist() == [50, 75]
    few = dataclasses.replace(one, folds=[{key: value[:3] if key != "name" else value for key, value in fold.items()}])
    few.folds[0]["predicted"] = [0, 0, 0]
    assert list(by_speaker({"first": [one], "few": [few]}).index) == ["a"]  # whom both heard
