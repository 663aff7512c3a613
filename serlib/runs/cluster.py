"""Many processes at a time: on this machine, and through a Dask scheduler on many; joblib hands the folds to them."""

import contextlib
import logging
import math
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import joblib
from joblib.externals import loky
from tqdm.auto import tqdm

import serlib
from serlib.device import keep_pages
from serlib.errors import InputError
from serlib.runs.origin import environment

ALIKE = ("python", "torch", "numpy")  # what must have one version everywhere, besides serlib


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """The context to start workers in: they draw no bars and never hear Ctrl-C, for who started them ends them.

    Page: book/how_it_is_built.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when a worker starts: this process has done so
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    for tracker in (multiprocessing.resource_tracker, loky.backend.resource_tracker):
        tracker.ensure_running()  # else it would be started in between, and let Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle() -> None:
    """Prepare the process that this runs in, perhaps a fresh one, for work. Page: book/how_it_is_built."""
    keep_pages()
    loky.process_executor._MAX_MEMORY_LEAK_SIZE = math.inf  # pages are kept on purpose: no reason to begin it anew
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which outlives a worker that is killed


@contextlib.contextmanager
def on_cluster(address: str, seconds: float = 15) -> Iterator[None]:
    """The context in which `run_all` runs on the workers of a Dask scheduler, as `tcp://head:8786`.

    They must see the same folders for corpora, cache and runs; device and precision are each worker's own. Raises
    InputError where Dask is not installed, nobody answers within `seconds`, there is no worker, a worker has other
    versions or several threads, a fold kills one worker after the other, or the scheduler is lost on the way; what was
    finished stays. Page: book/how_it_is_built.
    """
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.core import CommClosedError
    except ImportError as error:
        raise InputError("Dask is not installed: pip install 'serlib[cluster]'.") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it shows tracebacks of what is said below
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, timeout=seconds))
            client.wait_for_workers(1, timeout=seconds)
        except (OSError, ValueError, TimeoutError, AssertionError) as error:  # the last: its loop did not start in time
            remedy = "Start `dask scheduler` there and `dask worker` beside it, or look at the address."
            raise InputError(f"{address}: no Dask scheduler with a worker answers ({error}). {remedy}") from error
        if several := next((worker for worker, threads in client.nthreads().items() if threads > 1), None):
            what = f"Worker {several} runs several folds in one process, whose random numbers they would share"
            raise InputError(f"{what}. Start it with --nthreads 1, and more of them with --nworkers.")
        _compare(client.run(_versions))
        stays = "What was finished stays; the same command goes on from there."
        try:
            with joblib.parallel_config(backend=_backend(client), n_jobs=-1):
                yield
        except KilledWorker as error:
            what = "a fold killed one worker after the other; perhaps memory ran out"
            raise InputError(f"{address}: {what}. {stays}") from error
        except (CancelledError, CommClosedError, OSError) as error:
            if isinstance(error, OSError) and client.status == "running":
                raise
            raise InputError(f"{address}: the scheduler was lost on the way. {stays}") from error


def _backend(client: object) -> joblib.parallel.ParallelBackendBase:
    """joblib's own, but for two things: it would run here what one thread can do, and wait forever for killed tasks."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

    return Backend(client=client)


def _versions() -> dict[str, str]:
    return {"serlib": serlib.__version__} | {name: environment()[name] for name in ALIKE}


def _compare(workers: dict[str, dict[str, str]]) -> None:
    """Raise InputError where a worker would compute with other versions than this process."""
    here = _versions()
    for worker, there in workers.items():
        other = [f"{name} {version} ({here[name]} here)" for name, version in there.items() if version != here[name]]
        if other:
            raise InputError(f"Worker {worker} has {', '.join(other)}. Install the same versions everywhere.")
