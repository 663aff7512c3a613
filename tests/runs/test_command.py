"""`python -m serlib`: tables from one line, and one line about what is wrong."""

import importlib
import inspect

import numpy as np
import pandas as pd
import pytest
import soundfile

from serlib.__main__ import PAPERS, main
from serlib.errors import InputError
from serlib.papers import li2018, zhang2019

TINY = li2018.Schedule(epochs=1, batch_size=8, most_updates=1)


@pytest.fixture
def five_speakers(tmp_path, write_corpus):
    """The folder of a corpus of five speakers, without ratings: levels are mapped from emotions."""
    return write_corpus(tmp_path / "mapped", speakers=5, takes=1, seconds=0.1)


@pytest.fixture
def asked(monkeypatch):
    """What `recompute` was asked for; it finds nothing."""
    calls = []
    monkeypatch.setattr(zhang2019, "recompute", lambda *a, **how: calls.append((*a, how)) or [])
    return calls


@pytest.mark.parametrize("more", [[], ["--jobs", "2"]])
def test_a_paper_is_reproduced_on_the_corpus_that_is_named(five_speakers, tmp_path, asked, capsys, more):
    """Else a table would be of another corpus, or records of two papers lie in one folder."""
    line = ["reproduce", "zhang2019", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept"), *more]
    assert main(line) == 0
    [(table, folder, how)] = asked
    assert (table.attrs["corpus"], len(table), folder) == ("mapped", 20, tmp_path / "kept" / "zhang2019")
    out, err = capsys.readouterr()
    assert how["jobs"] == (2 if more else None) and out.startswith("serlib ") and err == ""
    assert out.endswith(zhang2019.results_table([]).to_string() + "\n")
    assert all(name in out for name in zhang2019.PUBLISHED.index) and "not run" in out


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_that_is_offered_has_a_table(paper):
    """Else the command would offer a paper and raise when it is asked for."""
    module = importlib.import_module(f"serlib.papers.{paper}")
    inspect.signature(module.recompute).bind("table", "folder", jobs=2, progress=print)
    assert module.results_table([]).to_string()


def test_by_default_the_environments_corpus_and_runs(five_speakers, tmp_path, asked, monkeypatch):
    """Else the corpus would not be the one that the chapters read."""
    monkeypatch.setenv("SERLIB_CORPUS", str(five_speakers))
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "zhang2019"]) == 0
    [(table, folder, _)] = asked
    assert table.attrs["corpus"] == "mapped" and folder == tmp_path / "runs" / "zhang2019"


def test_the_whole_way(five_speakers, tmp_path, monkeypatch, capsys):
    """Else the command would stop after a night; begin again when called again; or find other things with two jobs."""
    monkeypatch.setattr(li2018, "paper_schedule", lambda task: TINY)
    monkeypatch.setattr(li2018, "POOLINGS", {"CNN_TF_GAP": li2018.GlobalAveragePooling})
    rng = np.random.default_rng(0)
    monkeypatch.setattr("serlib.baselines.extract", lambda table, _: [rng.normal(size=88) for _ in range(len(table))])
    line = ["reproduce", "li2018", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept")]
    assert main([*line, "--jobs", "2"]) == 0
    out, err = capsys.readouterr()
    lines, files = err.splitlines(), sorted((tmp_path / "kept" / "li2018").glob("*/*.json"))
    rows = [line.split(" (")[0] for line in lines]
    assert {row: rows.count(row) for row in rows} == {"CNN_TF_GAP": 5, "DNN+ELM": 5, "RNN+ELM": 5}
    assert {line.split(", fold ")[1][:2] for line in lines} == {f"s{n}" for n in range(5)}
    assert len(files) == 20 and lines[-1].endswith("; 0 left")  # five are the support vector machine's
    before = [file.stat().st_mtime_ns for file in files]
    files[2].unlink()
    assert main(line) == 0
    assert capsys.readouterr().out == out
    assert [file.stat().st_mtime_ns == when for file, when in zip(files, before, strict=True)].count(False) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reproduce", "required: paper"),
        ("reproduce zhang2020", "invalid choice: 'zhang2020'"),
        ("reproduce zhang2019 here", "unrecognized arguments: here"),
        ("reproduce zhang2019 --corpus", "expected one argument"),
        ("reproduce zhang2019 --jobs 0", "a number from 1 on, not '0'"),
        ("reproduce zhang2019 --jobs x", "a number from 1 on, not 'x'"),
        ("reproduce zhang2019 --jobs 2 --dask tcp://there:8786", "not allowed with argument --jobs"),
    ],
)
def test_wrong_usage(line, message, asked, capsys, monkeypatch, tmp_path):
    """Else a typing error would start a night of training, of something else."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not asked and not list(tmp_path.iterdir())


def _silent(folder):
    soundfile.write(folder / "s2_anger_0.wav", np.zeros(1600), 16_000)


def _without_speakers(folder):
    pd.read_csv(folder / "table.csv").drop(columns="speaker").to_csv(folder / "table.csv", index=False)


def _of_three(folder):
    rows = pd.read_csv(folder / "table.csv")
    rows[rows["speaker"] < "s3"].to_csv(folder / "table.csv", index=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "mapped: no such folder"),
        (_of_three, "needs five sessions, or five speakers without sessions, and found 3"),
        (_without_speakers, "the column 'speaker' is missing"),
        (_silent, "s2_anger_0.wav: is silent"),
    ],
)
def test_a_corpus_that_cannot_be_used(spoil, message, five_speakers, tmp_path, said):
    """Else whoever mistyped a folder, or has a bad table or recording, would read a traceback."""
    spoil(five_speakers)
    assert main(["reproduce", "zhang2019", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept")]) == 1
    assert message in said()


@pytest.mark.parametrize("error", [InputError("torn"), OSError("full"), FloatingPointError("diverged")])
def test_what_stops_it(error, five_speakers, monkeypatch, said):
    """Else a full disk would fill the window with a traceback."""

    def stop(*_, **__):
        raise error

    monkeypatch.setattr(zhang2019, "recompute", stop)
    assert main(["reproduce", "zhang2019", "--corpus", str(five_speakers)]) == 1
    assert said() == f"error: {error}\n"
