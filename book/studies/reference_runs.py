"""What the scripts share that make reference records: where runs lie, what a machine has time for, what is kept."""

import shutil
from pathlib import Path

from serlib.device import choose_device

RUNS = Path(__file__).resolve().parents[2] / "runs"


def plan(gpu: object, cpu: object) -> object:
    """What a GPU has the time for, or what a CPU has."""
    return gpu if choose_device().type == "cuda" else cpu


def keep(part: str, to: Path) -> None:
    """Copy the finished records of a part of the runs into the package."""
    to.mkdir(parents=True, exist_ok=True)
    for path in sorted((RUNS / part).glob("*.json")):
        shutil.copy(path, to)
