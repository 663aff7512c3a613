"""`python -m serlib`: make or check a corpus, reproduce a table, begin a chapter."""

import argparse
import atexit
import contextlib
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from serlib.errors import InputError, shown

PAPERS = ("li2018", "zhang2019", "jalal2020", "cai2020", "zhao2021")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status: 0, 1 where something is at fault or differs, 130 where you stopped it.

    What is wrong stands on stderr, never as a traceback. Raises SystemExit(2) for wrong usage. Page: book/your_corpus.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # no letter in a path may stop a console that lacks it
    parser = _parser()
    chosen = vars(parser.parse_args(arguments))
    verb = chosen.pop("verb")
    if verb is _make and chosen["seed"] is not None and (chosen["path"] is None or chosen["seed"] < 0):
        parser.error("--seed is a number from 0 on and needs a PATH: the corpus in the cache has seed 0.")
    return carry_out(verb, **chosen)


def carry_out(verb: Callable[..., int], **chosen: object) -> int:
    """`verb(**chosen)` and its exit status; whatever stops it is one line on stderr. Page: book/how_it_is_built."""
    status = 1
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: tell(f"note: {message}")
            return verb(**chosen)
    except BrokenPipeError:  # `| head` has read enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
    except MemoryError:
        tell("error: memory ran out. Take fewer jobs, or a part of the corpus. What was finished stays.")
    except (InputError, OSError, FloatingPointError) as error:
        tell(f"error: {error}")
    except KeyboardInterrupt:
        status = 130
        if "folder" in chosen:
            tell("stopped: what was finished stays, and the same command goes on from there")
    alive = {thread.name: thread for thread in threading.enumerate()}
    if "QueueFeederThread" in alive and "ExecutorManagerThread" not in alive:  # workers were ended: it puts away what
        alive["QueueFeederThread"].join(timeout=5)  # they shared, or leaves a semaphore that a tracker complains about
    return status


def say(text: str) -> None:
    """Print lines; what would steer a terminal, in a name or a label, is shown and not obeyed.

    Page: book/how_it_is_built.
    """
    print("\n".join(shown(line, 10_000) for line in text.splitlines()), flush=True)


def tell(text: str) -> None:
    """The same, on stderr. Page: book/how_it_is_built."""
    print(shown(text, 10_000), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _at_once() -> Iterator[None]:
    """The context in which Ctrl-C ends the process at once: nothing has begun, or all is done."""
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _room(name: str) -> object:
    """A module of serlib. To import torch takes seconds, and in C a Ctrl-C becomes any error."""
    with _at_once():
        return importlib.import_module(f"serlib.{name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serlib", description="Corpora and tables of Hearing Emotion.")
    commands = parser.add_subparsers(required=True, metavar="corpus | reproduce | chapter")
    verbs = commands.add_parser("corpus", help="make or check a corpus").add_subparsers(required=True)
    make = verbs.add_parser("make", help="make the synthetic corpus")
    make.add_argument(
        "path", nargs="?", metavar="PATH", help="a new folder; by default the corpus is made in the cache"
    )
    make.add_argument("--size", choices=("small", "full"), default="small")
    make.add_argument("--seed", type=int, help="of the random numbers, with PATH only; 0 by default")
    make.set_defaults(verb=_make)
    look = verbs.add_parser("check", help="say what a corpus holds, what is wrong with it, which protocols run on it")
    what = "a folder, or a name such as emodb, synthetic:small, iemocap; by default what the environment names"
    look.add_argument("what", nargs="?", metavar="WHAT", help=what)
    look.add_argument("--deep", action="store_true", help="decode all of the audio, not only its headers (minutes)")
    look.set_defaults(verb=_check)
    again = commands.add_parser("reproduce", help="train and test all that a paper's table has, on a corpus")
    again.add_argument("paper", choices=PAPERS)
    again.add_argument("--corpus", help="a name or a folder; by default what the environment names")
    where = again.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive, help="how many folds run at a time; by default one")
    where.add_argument("--dask", metavar="ADDRESS", help="run them on a Dask cluster, as tcp://scheduler:8786")
    again.set_defaults(verb=_reproduce)
    again.add_argument("--folder", type=Path, default=Path("runs"), help="of the runs; by default runs")
    new = commands.add_parser("chapter", help="write the notebook of a new chapter, which already runs, and its quiz")
    new.add_argument("name", metavar="NAME", help="of the chapter and of its module, such as latif2020")
    new.set_defaults(verb=_chapter)
    return parser


def positive(text: str) -> int:
    """A number of processes, as it is typed. Page: book/how_it_is_built."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on, not {text!r}")
    return int(text)


def _make(path: str | None, size: str, seed: int | None) -> int:
    heal, synthetic = _room("corpora.heal"), _room("corpora.synthetic")
    if path is None:
        table = heal.load_synthetic(size)
    else:
        root = synthetic.make_synthetic(_room("cache").located(path).resolve(), size, seed or 0)
        if wrong := heal.damage(root):  # it was there before
            raise InputError(f"{root} is damaged ({wrong}). Remove it, and make it again.")
        table = _room("corpora").read_path(root)
    say(f"{table.attrs['folder']}: {len(table)} utterances")
    return 0


def _check(what: str | None, deep: bool) -> int:
    report = _room("corpora.report")
    table = _room("corpora").load(what)
    found = report.problems(table, deep)
    say(report.report(table, found))
    return int(any(problem.level == "error" for problem in found))


def _reproduce(paper: str, corpus: str | None, folder: Path, jobs: int | None, dask: str | None) -> int:
    """Everything in the table of a paper; what was finished in an earlier call is not done again."""
    module, corpora, cluster = _room(f"papers.{paper}"), _room("corpora"), _room("runs.cluster")
    say(_room("device").setup())
    where = _room("cache").located(folder).resolve() / paper
    with cluster.on_cluster(dask) if dask else contextlib.nullcontext():
        records = module.recompute(corpora.load(corpus), where, jobs=jobs, progress=tell)
    say(module.results_table(records).to_string())
    return 0


def _chapter(name: str) -> int:
    say("\n".join(map(str, _room("course").make_chapter(name))))
    return 0


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:  # outside of any work
        status = 130
    with _at_once():  # what Python clears away at the end is not worth a traceback either
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        if status == 130:
            atexit._run_exitfuncs()  # else folders of joblib are left
            os._exit(status)
        sys.exit(status)
