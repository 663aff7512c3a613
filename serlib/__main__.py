"""`python -m serlib`: `corpus make` and `corpus check`, a corpus to try and a look at yours; `reproduce`, a table."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import serlib
from serlib import corpora
from serlib.corpora import report, synthetic
from serlib.errors import InputError

PAPERS = ("li2018", "zhang2019", "jalal2020")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status: 0, 1 where the corpus is at fault, 130 where you stopped it.

    What is wrong stands on stderr, never as a traceback. Raises SystemExit(2) for wrong usage. Page: book/your_corpus.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # no letter in a path may stop a console that lacks it
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.verb == "make" and chosen.seed is not None and (chosen.path is None or chosen.seed < 0):
        parser.error("--seed is a number from 0 on and needs a PATH: the corpus in the cache has seed 0.")
    try:
        if chosen.verb == "reproduce":
            return _reproduce(chosen.paper, chosen.corpus, chosen.folder)
        return _make(chosen.path, chosen.size, chosen.seed or 0) if chosen.verb == "make" else _check(chosen.what)
    except BrokenPipeError:  # `| head` has read enough
        return 1
    except (InputError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serlib", description="Corpora and tables of Hearing Emotion.")
    commands = parser.add_subparsers(required=True, metavar="corpus | reproduce")
    corpus = commands.add_parser("corpus", help="make or check a corpus")
    verbs = corpus.add_subparsers(required=True, dest="verb")
    make = verbs.add_parser("make", help="make the synthetic corpus")
    make.add_argument(
        "path", nargs="?", metavar="PATH", help="a new folder; by default the corpus is made in the cache"
    )
    make.add_argument("--size", choices=("small", "full"), default="small")
    make.add_argument("--seed", type=int, help="of the random numbers, with PATH only; 0 by default")
    look = verbs.add_parser("check", help="say what a corpus holds, what is wrong with it, which protocols run on it")
    what = "a folder, or a name such as emodb, synthetic:small, iemocap; by default what the environment names"
    look.add_argument("what", nargs="?", metavar="WHAT", help=what)
    again = commands.add_parser("reproduce", help="train and test all that a paper's table has, on a corpus")
    again.add_argument("paper", choices=PAPERS)
    again.add_argument("--corpus", help="a name or a folder; by default what the environment names")
    again.add_argument("--folder", type=Path, default=Path("runs"), help="of the records; by default runs")
    again.set_defaults(verb="reproduce")
    return parser


def _make(path: str | None, size: str, seed: int) -> int:
    if path is None:
        table = synthetic.load_synthetic(size)
    else:
        table = corpora.read_path(synthetic.make_synthetic(Path(path).expanduser().resolve(), size, seed))
    print(f"{report.location(table)}: {len(table)} utterances")
    return 0


def _reproduce(paper: str, corpus: str | None, folder: Path) -> int:
    """Everything in the table of a paper; what was finished in an earlier call is not done again."""
    module = importlib.import_module(f"serlib.papers.{paper}")
    print(serlib.setup())
    records = module.recompute(corpora.load(corpus), folder / paper)
    print(module.results_table(records).to_string())
    return 0


def _check(what: str | None) -> int:
    table = corpora.load(what)
    found = report.problems(table)
    print(report.report(table, found))
    return int(any(problem.level == "error" for problem in found))


if __name__ == "__main__":
    sys.exit(main())
