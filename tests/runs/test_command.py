"""`python -m serlib`: tables, behaviour and the queue from one line, and one line about what is wrong."""

import contextlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile

from serlib import runs
from serlib.__main__ import PAPERS, main
from serlib.errors import InputError
from serlib.papers import li2018, zhang2019
from serlib.runs import behaviour, queue, record

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


@pytest.fixture
def said(capsys):
    """A function: what stands on stderr, one line and no traceback."""

    def said():
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    return said


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
    lines, files = err.splitlines(), sorted((tmp_path / "kept" / "li2018").glob("CNN*/*.json"))
    assert len(lines) == len(files) == 5 and lines[-1].endswith("; 0 left")
    assert {line.split(", fold ")[1][:2] for line in lines} == {f"s{n}" for n in range(5)}
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
        ("queue --jobs -1", "a number from 1 on, not '-1'"),
        ("queue --chapter zhang2020", "invalid choice: 'zhang2020'"),
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
    assert main(["behaviour"]) == 0
    assert capsys.readouterr().out == "protocol li2018: as recorded\nnetwork li2018 CNN_TF_GAP: as recorded\n"
    recorded["network li2018 CNN_TF_GAP"] = {"losses": [1.5, 1.35]}
    assert main(["behaviour"]) == 1
    first, differs, *records = capsys.readouterr().out.splitlines()
    assert first.endswith("as recorded")
    assert differs == "network li2018 CNN_TF_GAP: losses: number 2 of 2 was 1.25 and is 1.35"
    assert len(records) == 3 and all(line.startswith("    li2018/CNN_TF_GAP_tones") for line in records)
    assert main(["behaviour", "protocol li2018"]) == 0 and the_record().is_current()
    assert main(["behaviour", "--accept", "network li2018 CNN_TF_GAP"]) == 0
    assert "recorded anew: network li2018 CNN_TF_GAP" in capsys.readouterr().out
    assert the_record().shown("uar").endswith("†")
    assert main(["behaviour"]) == 0


def test_behaviour_that_cannot_be_compared(recorded, said):
    """Else a wrong name, or a file of an older version, would end in a traceback; or all be accepted by accident."""
    before = record.BEHAVIOUR.read_text()
    assert main(["behaviour", "network li2018"]) == 1
    assert "There is no fingerprint named 'network li2018'" in said()
    assert main(["behaviour", "--accept"]) == 1
    assert "--accept takes the names" in said() and record.BEHAVIOUR.read_text() == before
    record.BEHAVIOUR.write_text(json.dumps({"fingerprints": recorded}))
    assert main(["behaviour"]) == 1
    assert "of format 1, and this version of serlib reads format 2" in said()


SHORT = {"epochs": 1, "most_updates": 1, "batch_size": 4}


def listed(path, corpus, model="Conv1_2x2", schedule=SHORT, value=1, minutes=1):
    """Add a run to the list."""
    entry = {"chapter": "li2018", "corpus": str(corpus), "protocol": "li2018", "models": [model], "seeds": [0]}
    entry |= {"why": "to see", "value": value, "minutes": minutes}
    lines = [f"{key} = {json.dumps(given)}" for key, given in entry.items()]
    lines += [f"schedule.{key} = {given}" for key, given in schedule.items()]
    with path.open("a") as file:
        print("[[run]]", *lines, sep="\n", file=file)


@pytest.fixture
def the_list(tmp_path, monkeypatch):
    """The path of an empty list of runs; to work it off leaves the priority of the tests alone."""
    path = tmp_path / "queue.toml"
    monkeypatch.setattr(queue, "items", partial(queue.items, path))
    monkeypatch.setattr(queue, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(os, "nice", lambda step: 0)
    queue.table_of.cache_clear(), queue._references.cache_clear()
    yield path
    queue.table_of.cache_clear(), queue._references.cache_clear()


def test_the_queue_runs_what_is_left_by_value_a_minute(the_list, corpus, tmp_path, capsys):
    """Else the time there is would go to what is worth least, to what is done, or to nothing for want of a corpus."""
    listed(the_list, corpus, value=2, minutes=30)
    listed(the_list, corpus, model="Conv1_4x4", minutes=5)
    listed(the_list, tmp_path / "nowhere", value=10)
    command = ["queue", "--folder", str(tmp_path / "kept"), "--jobs", "1"]
    assert main([*command, "--show"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert ["nowhere" in out[1], "Conv1_4x4" in out[2], "Conv1_2x2" in out[3]] == [True] * 3
    assert "no such folder" in out[1] and "3 folds, 30 min" in out[3] and not (tmp_path / "kept").exists()
    assert main(command) == 0
    done = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines() if "left" in line and "fold " in line]
    assert done == ["Conv1_4x4"] * 3 + ["Conv1_2x2"] * 3

    one, *rest = sorted((tmp_path / "kept").glob("**/*.json"))
    one.unlink()
    before = [file.stat().st_mtime_ns for file in rest]
    assert main(command) == 0
    assert capsys.readouterr().out.count("fold ") == 1 and one.exists()
    assert [file.stat().st_mtime_ns for file in rest] == before

    (tmp_path / "kept").rename(tmp_path / "reference")
    one.parent.mkdir(parents=True)
    queue._references.cache_clear()
    assert main(command) == 0
    assert capsys.readouterr().out.count("done") == 2 and not list((tmp_path / "kept").glob("**/*.json"))


def test_what_is_finished_here_joins_what_the_package_has(the_list, corpus, tmp_path):
    """Else folds that an earlier folder had trained would have to be trained again before any of them counts."""
    listed(the_list, corpus)
    [item], folder = queue.items(), tmp_path / "kept"
    assert queue.finished(item, folder) is None
    queue.work(queue.left_of(item, folder)[0], jobs=1)
    whole = queue.finished(item, folder)
    assert [fold["name"] for fold in whole.folds] == [fold.name for fold in item.run().task.folds]

    first, *others = sorted(folder.glob("li2018/*/*.json"))
    (tmp_path / "reference" / "li2018").mkdir(parents=True)
    first.rename(tmp_path / "reference" / "li2018" / "kept.json")
    queue._references.cache_clear()
    assert queue.finished(item, folder) == whole
    others[0].unlink()
    assert queue.finished(item, folder) is None
    [left], _ = queue.left_of(item, folder)
    assert left.fold.name == whole.folds[1]["name"]


def test_a_list_that_is_torn(the_list, said):
    """Else a slip in the list would end in a traceback."""
    the_list.write_text("[[run]]\nchapter = 3")
    assert main(["queue", "--show"]) == 1
    assert "queue.toml: not a list of runs" in said()


@pytest.mark.parametrize("everybody", [True, False])
def test_ctrl_c_leaves_what_is_finished_and_nobody_running(everybody, the_list, tmp_path, write_corpus):
    """Else a window would fill with tracebacks, a worker would go on in secret, or a finished fold would be lost.

    A terminal tells everybody that runs in it; `kill` tells one.
    """
    corpus, folder = write_corpus(tmp_path / "tones", speakers=4, takes=1), tmp_path / "kept"
    listed(the_list, corpus, schedule={"epochs": 20, "batch_size": 8})
    code = "import sys, pathlib, functools, signal; from serlib.runs import queue; from serlib.__main__ import main\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup takes away\n"
    code += "queue.items = functools.partial(queue.items, pathlib.Path(sys.argv[1])); sys.exit(main(sys.argv[2:]))"
    command = [sys.executable, "-c", code, the_list, "queue", "--folder", folder, "--jobs", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        while not list(folder.glob("*/*/*.json")) and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, process.stderr.read()
        began = psutil.Process(process.pid).children(recursive=True)
        assert sum("LokyProcess" in " ".join(child.cmdline()) for child in began) == 2
        (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert err == "stopped: what was finished stays, and the same command goes on from there\n"
    psutil.wait_procs(began, timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 0)
        raise AssertionError(f"{[child for child in began if child.is_running()]} still run")
    finished = [runs.read_record(file) for file in folder.glob("*/*/*.json")]
    assert 0 < len(finished) < 4 and all(len(found.folds) == 1 for found in finished)
    assert len(list(queue.left_of(*queue.items(), folder)[0])) == 4 - len(finished)
