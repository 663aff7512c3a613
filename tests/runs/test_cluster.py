"""Folds on a Dask cluster, for real: a scheduler and two workers on this machine."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import serlib
from serlib.corpora.voices import voices
from serlib.errors import InputError
from serlib.protocols import Fold, Task
from serlib.runs import Chapter, network_run, run_all
from serlib.runs.cluster import on_cluster
from serlib.training import batches, fit, predict

pytest.importorskip("distributed")


@dataclasses.dataclass(frozen=True)
class Schedule:
    epochs: int = 4


def inputs_of(task, rows):
    return torch.randn(len(task.table), 5, generator=torch.Generator().manual_seed(0))[rows]


def make_model(name):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(), torch.nn.Linear(8, 2))


def train(task, fold, name, schedule, seed, checkpoint, watch):
    epoch_of = partial(batches, inputs_of(task, fold.train), torch.from_numpy(task.labels[fold.train]), 2)
    sgd = partial(torch.optim.SGD, lr=0.1)
    how = {"epochs": schedule.epochs, "seed": seed, "checkpoint": checkpoint, "watch": watch}
    return fit(make_model(name), epoch_of, sgd, **how)


def answers(network, task, fold, name):
    return {"scores": predict(network, inputs_of(task, fold.test)).softmax(1).numpy()}


CHAPTER = Chapter("made_up", make_model, train, answers)


def the_run(watch=None, first=None):
    """A small network on four folds of made-up numbers; a file of each speaker stands for all sound."""
    rows = np.arange(24)
    table = pd.DataFrame({"utterance_id": [f"u{row}" for row in rows], "speaker": [f"s{row % 4}" for row in rows]})
    table = table.assign(path=voices()["path"].to_numpy()[rows % 4], start=0.0, end=1.0)
    sides = [(f"s{part}", rows[rows % 4 != part], rows[rows % 4 == part]) for part in range(4)]
    folds = tuple(Fold(name, others, rows[:0], own, others) for name, others, own in sides)
    task = Task("made_up", "numbers", table, rows // 2 % 2, ("low", "high"), folds)
    return network_run(CHAPTER, task, "small", Schedule(), folds=first, watch=watch)


def what_counts(record):
    """A record without what no two runs share: when, where and how fast."""
    folds = [dict(fold, seconds=0, curve=fold["curve"] | {"seconds": 0}, origin=None) for fold in record.folds]
    return dataclasses.replace(record, origin={}, folds=folds)


def end(process):
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A function: a scheduler and some workers of one thread, its process and address. All end with the tests."""
    started, place = [], tmp_path_factory.mktemp("dask")
    python_path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    settings = {"PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", "SERLIB_PRECISION": "float32"}
    settings["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "1"  # the second worker that a fold kills is the last
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}

    def dask(*arguments):
        command = [sys.executable, "-m", "dask", *map(str, arguments), "--host", "127.0.0.1", "--no-dashboard"]
        started.append(subprocess.Popen(command, env=os.environ | settings, cwd=place, **quiet))
        return started[-1]

    def start(workers, threads=1):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        scheduler, address = dask("scheduler", "--port", port), f"tcp://127.0.0.1:{port}"
        for _ in range(workers):
            dask("worker", address, "--nthreads", threads, "--memory-limit", 0, "--local-directory", place)
        return scheduler, address

    yield start
    for process in started:
        end(process)


@pytest.fixture(scope="module")
def cluster(start):
    """A scheduler with two workers: its process and address."""
    from distributed import Client

    scheduler, address = start(2)
    with Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
    return scheduler, address


def refusal(address, seconds=60.0, **call):  # a loaded machine takes its time; an idle one does not wait
    """What is said of a cluster where nothing can run, or not to its end: one sentence after the other, no more."""
    with pytest.raises(InputError) as error, on_cluster(address, seconds):
        assert call, "this cluster should not have been entered"
        run_all(**call)
    said = str(error.value)
    assert "\n" not in said and said.endswith(".")
    return said


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "somewhere:eighty"])
def test_a_scheduler_that_is_not_there(address):
    """Else a wrong address would be waited for, or end in a traceback."""
    assert f"{address}: no Dask scheduler with a worker answers" in refusal(address, 1)


def test_a_scheduler_without_workers(start):
    """Else a night would be spent waiting for workers that never come."""
    _, address = start(0)
    assert f"{address}: no Dask scheduler with a worker answers (" in refusal(address, 5)


def test_a_worker_of_two_threads(start):
    """Else two folds would draw from one row of random numbers, and no record could be had again."""
    _, address = start(1, threads=2)
    assert "runs several folds in one process" in refusal(address, 30)


def test_dask_that_is_not_installed(monkeypatch):
    """Else whoever has not asked for Dask would read a traceback."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'serlib[cluster]'" in refusal("tcp://127.0.0.1:9")


def noted(path, history):
    """Called after every epoch: note which process ended which."""
    with path.open("a") as file:
        file.write(f"{os.getpid()} {len(history)}\n")


def test_the_record_is_that_of_one_process(cluster, tmp_path):
    """Else a cluster would answer other than a laptop, or the laptop would do the work."""
    lines = []
    with on_cluster(cluster[1]):
        [record] = run_all([the_run(partial(noted, tmp_path / "epochs"))], tmp_path, progress=lines.append)
    assert what_counts(record) == what_counts(run_all([the_run()], tmp_path / "alone")[0])
    assert len(list(tmp_path.glob("small*/*.json"))) == 4 and lines[-1].endswith("; 0 left")
    assert {line.split(", fold ")[1][:2] for line in lines} == {"s0", "s1", "s2", "s3"}
    processes = {line.split()[0] for line in (tmp_path / "epochs").read_text().splitlines()}
    assert str(os.getpid()) not in processes


def noted_and_killed_once(path, history):
    """The first process to end its second epoch dies of it."""
    noted(path, history)
    with contextlib.suppress(FileExistsError):
        if len(history) == 2:
            path.with_name("killed").open("x").write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_in_mid_fold_changes_nothing(cluster, tmp_path):
    """Else a machine that is taken away would cost the night, or change its numbers."""
    with on_cluster(cluster[1]):
        [record] = run_all([the_run(partial(noted_and_killed_once, tmp_path / "epochs"))], tmp_path)
    assert what_counts(record) == what_counts(run_all([the_run()], tmp_path / "alone")[0])
    killed, lines = (tmp_path / "killed").read_text(), (tmp_path / "epochs").read_text().splitlines()
    assert f"{killed} 2" in lines and f"{killed} 3" not in lines
    assert sorted(int(line.split()[1]) for line in lines) == sorted([1, 2, 3, 4] * 4)  # none twice: from its checkpoint


def test_a_worker_with_other_versions(cluster, monkeypatch):
    """Else two machines would compute two things, and one record would hold both."""
    monkeypatch.setattr(serlib, "__version__", "0.0.1")
    assert "(0.0.1 here). Install the same versions everywhere." in refusal(cluster[1])


def deadly(history):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_fold_that_kills_every_worker(cluster):
    """Else a fold that no machine has the memory for would be waited for, for ever."""
    assert "a fold killed one worker after the other" in refusal(cluster[1], runs=[the_run(deadly, first=1)])


def slow(history):
    time.sleep(0.5)


def test_a_scheduler_that_dies_on_the_way(cluster, tmp_path, caplog):
    """Else what is lost would be waited for, or what was finished be lost too. The last test: it ends the cluster."""
    scheduler, address = cluster
    said = refusal(address, runs=[the_run(slow)], folder=tmp_path, progress=lambda line: end(scheduler))
    assert f"{address}: the scheduler was lost on the way. What was finished stays" in said
    assert 0 < len(list(tmp_path.glob("small*/*.json"))) < 4 and "Traceback" not in caplog.text
