"""Hostile cases of the command line: Ctrl-C at any moment, settings that this machine lacks, names that steer it."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from serlib.__main__ import main
from tests.hostile.places import ROOT, said


def command(*words, options=(), start_new_session=False, **environment):
    """`python -m serlib`, begun; Ctrl-C reaches it even where nohup would take it away."""
    given = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": ""}
    code = "import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    line = [sys.executable, "-c", code, sys.executable, *options, "-m", "serlib", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, env=os.environ | given | environment, start_new_session=start_new_session, **pipes)


@pytest.mark.parametrize("module", ["numpy", "torch", "pandas", "serlib.corpora.table", "joblib", "serlib.runs.make"])
def test_ctrl_c_while_it_imports(module, corpus):
    """Pressed before anything has begun, right after this module was imported: exit 130, no traceback."""
    process, before = command("reproduce", "li2018", "--corpus", corpus, options=["-X", "importtime"]), []
    for line in process.stderr:
        before.append(line)
        if line.rstrip().endswith(f" {module}"):
            break
    process.send_signal(signal.SIGINT)
    status, _, err = said(process)
    assert status == 130 and "Traceback" not in "".join(before) + err, err[-1000:]


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0])
def test_ctrl_c_while_it_works(corpus, seconds):
    """Pressed while a corpus is read, checked or printed, at any moment: exit 130 or the whole answer, no traceback."""
    process = command("corpus", "check", corpus, options=["-X", "importtime"])
    for line in process.stderr:
        if line.rstrip().endswith(" serlib.corpora.report"):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    status, _, err = said(process)
    assert status in (0, 130) and "Traceback" not in err and "Exception ignored" not in err, err[-1000:]


@pytest.mark.parametrize("moment", ["synthetic-full*", "*.part/**/*.wav"], ids=["its workers begin", "they speak"])
def test_ctrl_c_while_workers_make_a_corpus(tmp_path, moment):
    """Pressed for everybody in the terminal: exit 130, no word of theirs, nobody goes on in secret."""
    process = command("corpus", "make", "--size", "full", start_new_session=True, LOKY_MAX_CPU_COUNT="2")
    with process:
        while not list((tmp_path / "cache").rglob(moment)) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(1)
        began = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        status, out, err = said(process)
    assert (status, out, err) == (130, "", "")
    assert not psutil.wait_procs(began, timeout=10)[1] and not list((tmp_path / "cache").glob("*.making"))


@pytest.mark.parametrize(
    "setting", ["SERLIB_DEVICE=cuda", "SERLIB_DEVICE=mps", "SERLIB_PRECISION=float16", "SERLIB_DEVICE=a\x1b[31mred"]
)
def test_a_setting_that_this_machine_lacks(corpus, tmp_path, monkeypatch, capsys, setting):
    """A setting from another machine, or nonsense: a line with the setting and what it may be, and nothing trained."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setenv(*setting.split("="))
    assert main(["reproduce", "li2018", "--corpus", str(corpus), "--folder", str(tmp_path / "kept")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {setting.split('=')[0]}=") and "et it to" in err and err.count("\n") == 1
    assert "\x1b" not in err and not (tmp_path / "kept").exists()


def test_names_that_steer_a_terminal(corpus, capsys):
    """A speaker whose name clears the screen and rings: shown as letters, in a report as in an error."""
    rows = pd.read_csv(corpus / "table.csv")
    rows["speaker"] = rows["speaker"].replace("s1", "s1\x1b[2J\x07\x9b31m")
    rows.to_csv(corpus / "table.csv", index=False)
    main(["corpus", "check", str(corpus)])
    main(["corpus", "check", f"{corpus}/\x1b[2J"])
    out, err = capsys.readouterr()
    assert out and err and not {"\x1b", "\x07", "\x9b"} & {*out, *err}


def test_nobody_reads_to_the_end(corpus):
    """`| head -1` closes the pipe: no traceback, no complaint of Python's when it ends."""
    process = command("corpus", "check", corpus)
    process.stdout.close()
    with process:
        assert process.wait(60) in (0, 1) and process.stderr.read() == ""


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "loop/x", "a\0b"])
def test_a_path_that_leads_nowhere(path, tmp_path, monkeypatch, capsys):
    """A user whom nobody knows, symbolic links in a circle, a zero byte: a line, wherever a path comes in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for line in (["corpus", "check", path], ["reproduce", "li2018", "--corpus", path], ["corpus", "make", path]):
        assert main(line) == 1, line
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1, err
    for name in ("SERLIB_CACHE", "SERLIB_DATA", "SERLIB_IEMOCAP", "SERLIB_CORPUS"):
        if "\0" not in path:
            with monkeypatch.context() as patch:
                patch.setenv(name, path)
                found = {"SERLIB_IEMOCAP": ["iemocap"], "SERLIB_DATA": ["tones"]}.get(name, [])
                assert main(["corpus", "check", *found]) == 1, name
                err = capsys.readouterr().err
                assert err.startswith("error: ") and err.count("\n") == 1, err
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["loop"]


def test_home_and_variables_are_replaced(corpus, tmp_path, monkeypatch, capsys):
    """`SERLIB_CACHE='~/x'` in a file that no shell reads: no folder named `~` appears, in any of the settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINE", "tones")
    for setting, line in (
        ("SERLIB_CORPUS=~/$MINE", []),
        ("SERLIB_DATA=~", ["tones"]),
        ("SERLIB_CACHE=~/kept", ["~/${MINE}"]),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(*setting.split("="))
            assert main(["corpus", "check", *line]) in (0, 1) and "24 utterances" in capsys.readouterr().out, setting
    assert not (tmp_path / "~").exists()
