"""How much memory the hardest inputs take, each in its own process: `make memory`. Fails where one takes too much."""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

RATE, GB = 16_000, 2**30


def table(folder: Path, rows: int, speakers: int) -> Path:
    """A corpus of so many rows: stretches of recordings of 500 s, a second each."""
    noise = np.random.default_rng(0).normal(0, 0.1, 500 * RATE).astype(np.float32)
    for number in range(-(-rows // 500)):
        soundfile.write(folder / f"{number}.wav", np.roll(noise, number), RATE)
    at = np.arange(rows)
    columns = {"file": [f"{number}.wav" for number in at // 500], "start": at % 500, "end": at % 500 + 1}
    emotion = np.array(["anger", "happiness", "neutral", "sadness"])[at % 4]
    speaker = [f"s{number:05}" for number in at * speakers // rows]
    pd.DataFrame(columns | {"speaker": speaker, "emotion": emotion}).to_csv(folder / "table.csv", index=False)
    return folder


def forty_thousand_speakers(folder: Path) -> str:
    """A corpus in which nobody speaks twice, and its folds."""
    from serlib import corpora, protocols

    task = protocols.li2018(corpora.read_path(table(folder, 40_000, 40_000)))
    return f"{len(task.folds)} folds, {len(task.folds[-1].train)} rows to train on in the last"


def forty_thousand_folds(folder: Path) -> str:
    """A run on all of them, planned, and its last fold run, of a model that is told the answers."""
    from serlib import corpora, protocols
    from serlib.runs.make import Run, plan

    task = protocols.li2018(corpora.read_path(table(folder, 40_000, 40_000)))
    parts = plan(Run(task, "told", "baselines.told", {}, lambda fold, _: {"predicted": task.labels[fold.test]}), None)
    return f"{len(parts)} folds, {len(parts[-1].record().predictions())} row tested in the last"


def hundred_thousand_rows(folder: Path) -> str:
    """A large corpus, read and checked."""
    from serlib import corpora
    from serlib.corpora.report import problems, report

    read = corpora.read_path(table(folder, 100_000, 1_000))
    return f"{len(read)} rows, {len(report(read, problems(read)).splitlines())} lines of report"


def half_an_hour(folder: Path) -> str:
    """The test segments of chapter 1 of a recording of 30 minutes."""
    from serlib.audio import read_audio
    from serlib.papers.li2018 import segments_for_testing

    soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(0, 0.1, 1800 * RATE), RATE)
    return f"{len(segments_for_testing(read_audio(folder / 'a.wav')))} segments"


def one_hertz(folder: Path) -> str:
    """60 kB that claim a sample a second."""
    from serlib.audio import read_audio
    from serlib.errors import InputError

    soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(0, 0.1, 30_000), 1)
    try:
        return f"read: {len(read_audio(folder / 'a.wav'))} samples"
    except InputError:
        return "refused"


def fifty_minutes(folder: Path) -> str:
    """About the longest utterance that is read: 50 minutes at 44.1 kHz."""
    from serlib.audio import read_audio

    part = np.random.default_rng(0).normal(0, 0.1, 60 * 44_100)
    with soundfile.SoundFile(folder / "a.wav", "w", 44_100, 1) as file:
        for _ in range(50):
            file.write(part)
    return f"{len(read_audio(folder / 'a.wav'))} samples"


LIMITS = {
    hundred_thousand_rows: 2,
    forty_thousand_speakers: 2,
    forty_thousand_folds: 2,
    half_an_hour: 2,
    one_hertz: 1,
    fifty_minutes: 2,
}


def main() -> int:
    """Print a line for each: what, the most memory that the process held, the limit, what came of it."""
    status = 0
    for what, limit in LIMITS.items():
        with tempfile.TemporaryDirectory() as folder:
            line = [sys.executable, __file__, what.__name__, folder]
            done = subprocess.run(line, capture_output=True, text=True)
        said = json.loads(done.stdout) if done.returncode == 0 else {"GB": np.inf, "said": done.stderr[-300:]}
        status |= said["GB"] > limit
        print(f"{said['GB']:6.2f} GB, at most {limit} GB: {what.__doc__} {said['said']}", flush=True)
    return status


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    chosen, where = sys.argv[1:]
    outcome = globals()[chosen](Path(where))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"GB": held / GB, "said": outcome}))
