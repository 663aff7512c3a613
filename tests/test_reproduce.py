"""`python -m serlib reproduce`: a paper's table from one line, and one line about what is wrong."""

import importlib
import inspect

import numpy as np
import pandas as pd
import pytest
import soundfile

from serlib.__main__ import PAPERS, main
from serlib.errors import InputError
from serlib.papers import zhang2019


@pytest.fixture
def few_speakers(corpus):
    """The folder of a corpus that is sound, and has three speakers."""
    return corpus


@pytest.fixture
def five_speakers(tmp_path, write_corpus):
    """The folder of a corpus of five speakers, without ratings: levels are mapped from emotions."""
    return write_corpus(tmp_path / "mapped", speakers=5, takes=1, seconds=0.1)


@pytest.fixture
def asked(monkeypatch):
    """What `recompute` was asked for; it finds nothing."""
    calls = []
    monkeypatch.setattr(zhang2019, "recompute", lambda *arguments: calls.append(arguments) or [])
    return calls


def test_a_paper_is_reproduced_on_the_corpus_that_is_named(five_speakers, tmp_path, asked, capsys):
    """Else a table would be of another corpus, or records of two papers lie in one folder."""
    line = ["reproduce", "zhang2019", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept")]
    assert main(line) == 0
    [(table, folder)] = asked
    assert (table.attrs["corpus"], len(table), folder) == ("mapped", 20, tmp_path / "kept" / "zhang2019")
    out, err = capsys.readouterr()
    assert out.startswith("serlib ") and err == ""
    assert out.endswith(zhang2019.results_table([]).to_string() + "\n")
    assert all(name in out for name in zhang2019.PUBLISHED.index) and out.count("not run") == 36


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_that_is_offered_has_a_table(paper):
    """Else the command would offer a paper and raise when it is asked for: it needs no more than table and folder."""
    module = importlib.import_module(f"serlib.papers.{paper}")
    inspect.signature(module.recompute).bind("table", "folder")
    assert module.results_table([]).to_string()


def test_by_default_the_environments_corpus_and_runs(five_speakers, tmp_path, asked, monkeypatch):
    """Else the corpus would not be the one that the chapters read."""
    monkeypatch.setenv("SERLIB_CORPUS", str(five_speakers))
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "zhang2019"]) == 0
    [(table, folder)] = asked
    assert table.attrs["corpus"] == "mapped" and folder.parts == ("runs", "zhang2019")


def test_the_whole_way(five_speakers, tmp_path, monkeypatch, capsys):
    """Else the command would stop, on a real corpus, after a night; or begin again when it is called again."""
    recompute, trained, train = zhang2019.recompute, [], zhang2019.train
    tiny = zhang2019.Schedule(epochs=1, batch_size=8, longest=0.06, most_updates=1)
    small = {"schedule": tiny, "seeds": (0,)}
    monkeypatch.setattr(zhang2019, "recompute", lambda table, folder: recompute(table, folder, **small))
    monkeypatch.setattr(zhang2019, "train", lambda *a, **k: trained.append(k["name"]) or train(*a, **k))
    rng = np.random.default_rng(0)
    monkeypatch.setattr("serlib.baselines.extract", lambda table, _: [rng.normal(size=88) for _ in range(len(table))])
    monkeypatch.setattr(
        zhang2019, "extract", lambda table, _: [rng.normal(size=(9, 23)).astype("f") for _ in range(len(table))]
    )
    line = ["reproduce", "zhang2019", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept")]
    assert main(line) == 0
    first = capsys.readouterr().out
    assert sorted(trained) == sorted(["OS+RNNs", "e2e STL", "e2e STL+att."] * 2 + ["e2e MTL", "e2e MTL+att."])
    assert first.count("not run") == 12 and len(list((tmp_path / "kept" / "zhang2019").glob("*.json"))) == 10
    assert main(line) == 0
    assert capsys.readouterr().out == first and len(trained) == 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reproduce", "required: paper"),
        ("reproduce zhang2020", "invalid choice: 'zhang2020'"),
        ("reproduce zhang2019 here", "unrecognized arguments: here"),
        ("reproduce zhang2019 --corpus", "expected one argument"),
    ],
)
def test_wrong_usage(line, message, asked, capsys, monkeypatch, tmp_path):
    """Else a typing error would start a night of training, of something else."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not asked and not list(tmp_path.iterdir())


def said(capsys):
    """What stands on stderr: one line, and no traceback."""
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


def test_a_corpus_that_is_not_there(asked, tmp_path, capsys):
    """Else somebody who mistyped a folder would read a traceback."""
    assert main(["reproduce", "zhang2019", "--corpus", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in said(capsys) and not asked


def test_a_corpus_with_too_few_speakers(few_speakers, tmp_path, capsys):
    """Else a corpus on which the partition cannot be made would end in a traceback."""
    line = ["reproduce", "zhang2019", "--corpus", str(few_speakers), "--folder", str(tmp_path / "kept")]
    assert main(line) == 1
    assert "needs five sessions, or five speakers without sessions, and found 3" in said(capsys)
    assert not (tmp_path / "kept").exists()


def test_a_table_that_is_torn(five_speakers, asked, capsys):
    """Else a fault in a table would be looked for in the code."""
    table = pd.read_csv(five_speakers / "table.csv").drop(columns="speaker")
    table.to_csv(five_speakers / "table.csv", index=False)
    assert main(["reproduce", "zhang2019", "--corpus", str(five_speakers)]) == 1
    assert "the column 'speaker' is missing" in said(capsys) and not asked


def test_a_file_that_is_silent_is_named(five_speakers, tmp_path, capsys):
    """Else one bad recording would be looked for by hand."""
    soundfile.write(five_speakers / "s2_anger_0.wav", np.zeros(1600), 16_000)
    line = ["reproduce", "zhang2019", "--corpus", str(five_speakers), "--folder", str(tmp_path / "kept")]
    assert main(line) == 1
    assert "s2_anger_0.wav: is silent" in said(capsys)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (InputError("torn"), 1), (OSError("full"), 1)]
)
def test_what_stops_it(error, status, five_speakers, monkeypatch, capsys):
    """Else stopping a night's run, or a full disk, would fill the window with a traceback."""

    def stop(*_):
        raise error

    monkeypatch.setattr(zhang2019, "recompute", stop)
    assert main(["reproduce", "zhang2019", "--corpus", str(five_speakers)]) == status
    assert capsys.readouterr().err == ("" if status == 130 else f"error: {error}\n")
