"""Which changes of the code do the fingerprints notice? `make mutants`: a table of alarms and silences.

The package is copied, one change is made in the copy, and `behaviour.py` is asked about the fingerprints that the
change concerns. A real change must raise the alarm (exit status 1); one that computes the same must not, and for these
all fingerprints are asked at once, all changes together.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ALARM, SILENCE = 1, 0


class Mutant(NamedTuple):
    """A change of one place: the file within serlib, what stands there, what is put there, and who is asked."""

    what: str
    file: str
    old: str
    new: str
    asked: tuple[str, ...]


REAL = (
    Mutant("equal parts of 2 s, not 3", "audio.py", "longest: float = 3.0", "longest: float = 2.0",
           ("feature spectrogram_parts",)),
    Mutant("a filter of 12 x 2, not 10 x 2", "papers/li2018.py", "same(10, 2), nn.Conv2d(1, 8, (10, 2))",
           "same(12, 2), nn.Conv2d(1, 8, (12, 2))", ("network li2018 CNN_TF_GAP",)),
    Mutant("momentum 0.8, not 0.9", "papers/li2018.py", "momentum=0.9", "momentum=0.8",
           ("network li2018 Conv1_10x2",)),
    Mutant("a plateau is waited for, nine epochs longer", "papers/jalal2020.py", "patience=schedule.plateau,",
           "patience=schedule.plateau + 9,", ("network jalal2020 CNN_LSTM",)),
    Mutant("Adam at 2e-4, not 1e-4", "papers/zhang2019.py", "learning_rate: float = 1e-4",
           "learning_rate: float = 2e-4", ("network zhang2019 OS+RNNs",)),
    Mutant("a Hann window, not Hamming", "features.py", "torch.hamming_window", "torch.hann_window",
           ("feature spectrogram",)),
    Mutant("a test segment every 0.5 s, not 0.4", "papers/li2018.py", "segments(waveform, hop=0.4)",
           "segments(waveform, hop=0.5)", ("feature segments_for_testing",)),
    Mutant("the order of the labels", "protocols/tasks.py", '("anger", "happiness", "neutral", "sadness")',
           '("anger", "neutral", "happiness", "sadness")', ("protocol li2018",)),
    Mutant("the order of the folds", "protocols/folds.py", "for a, b in groups]",
           "for a, b in groups[::-1]]", ("protocol li2018",)),
    Mutant("chosen on the last group, not the next", "protocols/folds.py", "groups[1:] + groups[:1]",
           "groups[-1:] + groups[:-1]", ("protocol common_loso",)),
    Mutant("crops half as long", "papers/jalal2020.py", "100 * schedule.longest", "50 * schedule.longest",
           ("network jalal2020 CNN_LSTM",)),
    Mutant("the grid of C begins at 0.01", "baselines.py", "np.logspace(-4, 0, 9)", "np.logspace(-2, 0, 5)",
           ("baseline functionals_svm",)),
    Mutant("gradients clipped at 0.5, not 5", "papers/zhang2019.py", "clip=5.0", "clip=0.5",
           ("network zhang2019 OS+RNNs",)),
    Mutant("an inner step twice as long", "papers/cai2020.py", "(practised), rates.alpha)",
           "(practised), 2 * rates.alpha)", ("network cai2020 MMTL",)),
    Mutant("the last layer reaches half as far", "papers/zhao2021.py", "kernel=3, dilations=(1, 2, 4, 8, 16)):",
           "kernel=3, dilations=(1, 2, 4, 8, 8)):", ("network zhao2021 TCN+self-attention",)),
    Mutant("the distance of the maps counts twice", "papers/zhao2021.py", "loss + weight * transfer_loss",
           "loss + 2 * weight * transfer_loss", ("network zhao2021 weight",)),
    Mutant("the last epoch kept, not the best", "training.py", "model.load_state_dict(best.state_dict())", "pass",
           ("network zhang2019 e2e STL",)),
)  # fmt: skip

SILENT = (
    Mutant("a comment", "training.py", "# One epoch: a step for every batch.", "# Now train.", ()),
    Mutant("a local renamed in fit", "training.py", "so_far", "scores_until_now", ()),
    Mutant("an error's wording", "training.py", "The loss is no longer a finite number.", "The loss is gone.", ()),
    Mutant("a docstring", "papers/li2018.py", "Five convolutions:", "Five layers:", ()),
    Mutant("a function renamed", "papers/zhang2019.py", "weighted_loss", "loss_of_dimensions", ()),
    Mutant("a new selection", "protocols/tasks.toml", "[mapped]",
           '[selections.impro3]\nclasses = {anger = "anger"}\nimprovised = true\nsessions = []\n\n[mapped]', ()),
)  # fmt: skip


def copy_of(package: Path, folder: Path) -> Path:
    """A copy of serlib that can be changed."""
    target = folder / "serlib"
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__", "*.npz", "*.safetensors"))
    return target


def change(package: Path, mutant: Mutant) -> None:
    """Make the change. Raises ValueError where its place is not there: then this table is out of date."""
    path = package / mutant.file
    text = path.read_text("utf-8")
    if mutant.old not in text:
        raise ValueError(f"{mutant.what}: {mutant.file} does not hold {mutant.old!r}.")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def move(package: Path, old: str, new: str) -> None:
    """Give a module another name, and tell all that import it."""
    (package / f"{old}.py").rename(package / f"{new}.py")
    for file in package.rglob("*.py"):
        file.write_text(file.read_text("utf-8").replace(f"serlib.{old}", f"serlib.{new}"), "utf-8")


def ask(folder: Path, names: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status and the lines of book/tools/behaviour.py on a changed copy."""
    environment = os.environ | {"PYTHONPATH": str(folder), "TQDM_DISABLE": "1"}
    command = [sys.executable, str(Path(__file__).with_name("behaviour.py")), *names]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if done.stderr:
        raise RuntimeError(f"The changed copy does not run:\n{done.stderr}")
    return done.returncode, done.stdout


def noticed(mutant: Mutant) -> tuple[int, str]:
    """What the fingerprints say to one change: the exit status, and the first difference."""
    with tempfile.TemporaryDirectory() as folder:
        change(copy_of(ROOT / "serlib", Path(folder)), mutant)
        status, lines = ask(Path(folder), mutant.asked)
    return status, lines.strip().splitlines()[0]


def silent(names: tuple[str, ...] = ()) -> tuple[int, str]:
    """What they, or those named, say to all changes at once that compute the same."""
    with tempfile.TemporaryDirectory() as folder:
        package = copy_of(ROOT / "serlib", Path(folder))
        for mutant in SILENT:
            change(package, mutant)
        move(package, "sequences", "utterances")
        status, lines = ask(Path(folder), names)
    return status, "\n".join(line for line in lines.splitlines() if not line.endswith("as recorded"))


def main() -> int:
    """Print the table; 1 where an alarm or a silence is missing."""
    wrong = 0
    for mutant in REAL:
        status, line = noticed(mutant)
        wrong += status != ALARM
        print(f"{'alarm' if status == ALARM else 'MISSED':8}{mutant.what}\n        {line}", flush=True)
    status, lines = silent()
    wrong += status != SILENCE
    for what in (*(mutant.what for mutant in SILENT), "a module moved"):
        print(f"{'silence' if status == SILENCE else 'NOTICED':8}{what}")
    print(lines or "        all fingerprints as recorded")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
