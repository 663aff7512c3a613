"""Which hostile cases were faults before they were mended: `make red` runs tests/hostile on the library of that day.

A case is *red* where it fails there; *ended* where it takes Python down with it, or still trains after two minutes on
what should be refused (let the machine do nothing else); *green* where it passes: a control, or what was well already;
*not reached* where it needs a command, a name or an option that there was not yet, and so says nothing.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT, THEN = Path(__file__).resolve().parents[2], "67df243"
# At the end of each module of that day: a name that was not there yet can be imported, and says so when it is used.
LATER = """
def __getattr__(name):
    import importlib.util
    if name.startswith("__"): raise AttributeError(name)
    if importlib.util.find_spec(f"serlib.{name}"): return importlib.import_module(f"serlib.{name}")
    def fails(*_, **__): raise NotImplementedError(f"not there yet: {name}")
    return type("Later", (), {"__call__": fails, "__getattr__": fails})()
"""
# What a chapter gives to be run, as it was given then.
CHAPTER = """
import collections
Chapter = collections.namedtuple("Chapter", "name make_model train answers")
def reproduce(chapter, task, name, schedule, seed=0, folder=None, folds=None, jobs=None, watch=None):
    given = dict(model=name, source="papers.li2018.reproduce", settings=dataclasses.asdict(schedule), seed=seed)
    train = lambda fold, checkpoint: chapter.train(task, fold, name, schedule, seed, checkpoint, watch)
    answers = lambda network, fold: chapter.answers(network, task, fold, name)
    make = lambda: chapter.make_model(name)
    return cross_validate_network(task, make, train, answers, **given, folder=folder, folds=folds)[0]
"""
# Where things stood then; a run had one record for all of its folds.
MOVED = {"serlib.runs.make": "serlib.results", "serlib.corpora.table": "serlib.corpora"}
MOVED |= {"serlib.corpora.report": "serlib.check", "serlib.corpora.iemocap": "serlib.iemocap"}
MOVED |= {"serlib.runs": "serlib.results", "audio._note.cache_clear()": "pass"}
MOVED |= {'"*/02-s1.json"': '"*.json"', '"*/01-s0.json"': '"*.json"', '"*/*.': '"*.'}
UNKNOWN = re.compile(r"not there yet|SystemExit: 2|unexpected keyword argument|positional arguments? but|digests.json'")


def main() -> None:
    """Print, for each file, how many of its cases were red, ended, green, not reached, or are skipped here."""
    with tempfile.TemporaryDirectory() as place:
        then = subprocess.run(["git", "-C", ROOT, "archive", THEN, "serlib"], capture_output=True)
        if then.returncode:
            sys.exit(f"This copy of the repository does not hold {THEN}. Fetch all of it: git fetch --unshallow")
        subprocess.run(["tar", "-x", "-C", place], input=then.stdout, check=True)
        for path in Path(place, "serlib").glob("[!_]*.py"):
            path.write_text(path.read_text("utf-8") + CHAPTER * (path.stem == "results") + LATER, "utf-8")
        Path(place, "reference.py").write_text(LATER, "utf-8")
        for path in (ROOT / "tests/conftest.py", *(ROOT / "tests/hostile").glob("*.py")):
            text, copy = path.read_text("utf-8"), Path(place, path.relative_to(ROOT))
            for now, before in MOVED.items():
                text = text.replace(now, before)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, "utf-8")
        options = "-qq -p no:cacheprovider -n1 --max-worker-restart=999 --junitxml=red.xml -o faulthandler_timeout=120"
        options += " -o faulthandler_exit_on_timeout=true"
        for path in sorted(Path(place, "tests/hostile").glob("test_[!f]*.py")):  # test_fuzz is of the fuzzing itself
            line = [sys.executable, "-m", "pytest", *options.split(), path]
            subprocess.run(line, cwd=place, env=os.environ | {"PYTHONPATH": place, "CI": "1"}, capture_output=True)
            found = Counter()
            for case in ElementTree.parse(Path(place, "red.xml")).iter("testcase"):
                said, tags = ElementTree.tostring(case, "unicode"), {part.tag for part in case}
                kind = "skipped" if "skipped" in tags else "red" if tags & {"failure", "error"} else "green"
                kind = "ended" if "crashed while running" in said else kind
                found["not reached" if UNKNOWN.search(said) else kind] += 1
            kinds = ", ".join(f"{number} {kind}" for kind, number in found.items())
            print(f"{path.stem}: {found.total()} cases, {kinds}", flush=True)


if __name__ == "__main__":
    main()
