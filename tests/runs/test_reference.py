"""`make reference`: the list of runs that are worth having, worked off by what a minute brings."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import reference

from serlib import runs


def command(line):
    """What the command line does."""
    return reference.carry_out(reference.main, **reference.arguments(line))


@pytest.mark.parametrize(("line", "message"), [("--jobs -1", "'-1'"), ("--chapter zhang2020", "'zhang2020'")])
def test_wrong_usage(line, message, capsys, tmp_path, monkeypatch):
    """Else a typing error would start a night of training, of something else."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        command(line.split())
    assert stop.value.code == 2 and message in capsys.readouterr().err and not list(tmp_path.iterdir())


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
    path = tmp_path / "reference.toml"
    monkeypatch.setattr(reference, "items", partial(reference.items, path))
    monkeypatch.setattr(reference, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(os, "nice", lambda step: 0)
    reference.table_of.cache_clear(), reference._references.cache_clear()
    yield path
    reference.table_of.cache_clear(), reference._references.cache_clear()


def test_it_runs_what_is_left_by_value_a_minute(the_list, corpus, tmp_path, capsys):
    """Else the time there is would go to what is worth least, to what is done, or to nothing for want of a corpus."""
    listed(the_list, corpus, value=2, minutes=30)
    listed(the_list, corpus, model="Conv1_4x4", minutes=5)
    listed(the_list, tmp_path / "nowhere", value=10)
    line = ["--folder", str(tmp_path / "kept"), "--jobs", "1"]
    assert command([*line, "--show"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert ["nowhere" in out[1], "Conv1_4x4" in out[2], "Conv1_2x2" in out[3]] == [True] * 3
    assert "no such folder" in out[1] and "3 folds, 30 min" in out[3] and not (tmp_path / "kept").exists()
    assert command(line) == 0
    done = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines() if "left" in line and "fold " in line]
    assert done == ["Conv1_4x4"] * 3 + ["Conv1_2x2"] * 3

    kept = [runs.read_record(path) for path in (tmp_path / "reference").glob("li2018/*.json")]
    assert {record.model: len(record.folds) for record in kept} == {"Conv1_4x4": 3, "Conv1_2x2": 3}

    shutil.rmtree(tmp_path / "reference")
    reference._references.cache_clear()
    one, *rest = sorted((tmp_path / "kept").glob("**/*.json"))
    one.unlink()
    before = [file.stat().st_mtime_ns for file in rest]
    assert command(line) == 0
    assert capsys.readouterr().out.count("fold ") == 1 and one.exists()
    assert [file.stat().st_mtime_ns for file in rest] == before

    shutil.rmtree(tmp_path / "kept")
    reference._references.cache_clear()
    assert command(line) == 0
    assert capsys.readouterr().out.count("done") == 2 and not list((tmp_path / "kept").glob("**/*.json"))


def test_what_is_finished_here_joins_what_the_package_has(the_list, corpus, tmp_path):
    """Else folds that an earlier folder had trained would have to be trained again before any of them counts."""
    listed(the_list, corpus)
    [item], folder = reference.items(), tmp_path / "kept"
    assert reference.finished(item, folder) is None
    reference.work(reference.left_of(item, folder)[0], jobs=1)
    whole, _ = reference.finished(item, folder)
    assert [fold["name"] for fold in whole.folds] == [fold.name for fold in item.run().task.folds]

    first, *others = sorted(folder.glob("li2018/*/*.json"))
    (tmp_path / "reference" / "li2018").mkdir(parents=True)
    first.rename(tmp_path / "reference" / "li2018" / "kept.json")
    reference._references.cache_clear()
    assert reference.finished(item, folder)[0] == whole
    others[0].unlink()
    assert reference.finished(item, folder) is None
    [left], _ = reference.left_of(item, folder)
    assert left.fold.name == whole.folds[1]["name"]


def test_a_list_that_is_torn(the_list, said):
    """Else a slip in the list would end in a traceback."""
    the_list.write_text("[[run]]\nchapter = 3")
    assert command(["--show"]) == 1
    assert "reference.toml: not a list of runs" in said()


@pytest.mark.parametrize("everybody", [True, False])
def test_ctrl_c_leaves_what_is_finished_and_nobody_running(everybody, the_list, tmp_path, write_corpus):
    """Else a window would fill with tracebacks, a worker would go on in secret, or a finished fold would be lost.

    A terminal tells everybody that runs in it; `kill` tells one. A thread that puts semaphores away must be waited for:
    else some run in a hundred, on a busy machine, would end with the warning of a tracker.
    """
    corpus, folder = write_corpus(tmp_path / "tones", speakers=4, takes=1), tmp_path / "kept"
    listed(the_list, corpus, schedule={"epochs": 20, "batch_size": 8})
    code = "import sys, pathlib, functools, signal, threading, time, reference\n"
    code += "tracker = sys.modules['joblib.externals.loky.backend.resource_tracker']\n"
    code += "forget, main = tracker.unregister, threading.current_thread()\n"
    code += "late = lambda *what: (threading.current_thread() == main or time.sleep(0.5), forget(*what))\n"
    code += "tracker.unregister = late\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup takes away\n"
    code += "reference.items = functools.partial(reference.items, pathlib.Path(sys.argv[1]))"
    code += "; del sys.argv[1]; sys.exit(reference.carry_out(reference.main, **reference.arguments()))"
    line = [sys.executable, "-c", code, the_list, "--folder", folder, "--jobs", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    place = {"PYTHONPATH": os.pathsep.join([str(Path(reference.__file__).parent), *filter(None, sys.path)])}
    with subprocess.Popen(line, env=os.environ | place, start_new_session=True, **pipes) as process:
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
    assert len(list(reference.left_of(*reference.items(), folder)[0])) == 4 - len(finished)
