"""What do two jobs gain on two cores? Four folds one after the other, then two at a time, in one run.

Chapter 1's smallest network on the synthetic corpus, in four folds. Each job has one thread: run it with
OMP_NUM_THREADS=1, on a machine with two idle cores. The features are computed before, and the workers are there before
the clock runs. The ratio is what counts, and that both find the same. `--epochs` says how long a fold takes.
"""

import argparse
import dataclasses
import time

import joblib

import serlib
from serlib import corpora, runs
from serlib.papers.li2018 import CHAPTER, Schedule
from serlib.protocols import li2018
from serlib.runs import Record


def timed(jobs: int, schedule: Schedule) -> tuple[float, Record]:
    """Seconds of four folds, and their record."""
    task = li2018(corpora.load("synthetic"))
    start = time.perf_counter()
    record = runs.reproduce(CHAPTER, task, "Conv1_2x2", schedule, folds=4, jobs=jobs)
    return time.perf_counter() - start, record


def what_was_found(record: Record) -> Record:
    """A record without date, machine and seconds."""
    folds = [fold | {"seconds": 0, "curve": fold["curve"] | {"seconds": []}, "origin": {}} for fold in record.folds]
    return dataclasses.replace(record, origin={}, folds=folds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="of a fold; the default takes some 20 s")
    schedule = Schedule(epochs=parser.parse_args().epochs, batch_size=16, learning_rate=0.01)
    print(serlib.setup())
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        for jobs in (1, 2):  # features are cached, and workers started
            timed(jobs, dataclasses.replace(schedule, most_updates=1))
        (alone, one), (together, other) = (timed(jobs, schedule) for jobs in (1, 2))
    print(f"one job {alone:.1f} s, two jobs {together:.1f} s: {alone / together:.2f} times as fast")
    print(f"the records are {'equal' if what_was_found(one) == what_was_found(other) else 'NOT equal'}")
