"""The same runs on many machines: joblib hands the folds to a Dask scheduler."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import CancelledError

import joblib

from serlib.errors import InputError
from serlib.runs.origin import environment

ALIKE = ("python", "torch", "numpy")  # what must have one version everywhere, besides serlib


@contextlib.contextmanager
def on_cluster(address: str, seconds: float = 15) -> Iterator[None]:
    """The context in which `run_all` runs on the workers of a Dask scheduler, as `tcp://head:8786`.

    They must see the same folders for corpora, cache and runs. Raises InputError where Dask is not installed, nobody
    answers within `seconds`, there is no worker, a worker has other versions, or the scheduler is lost on the way; what
    was finished stays. Page: book/how_it_is_built.
    """
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.core import CommClosedError
    except ImportError as error:
        raise InputError("Dask is not installed: pip install 'serlib[cluster]'.") from error
    try:
        client = Client(address, timeout=seconds, set_as_default=True)
        client.wait_for_workers(1, timeout=seconds)
    except (OSError, ValueError, TimeoutError) as error:
        remedy = "Start `dask scheduler` there and `dask worker` beside it, or look at the address."
        raise InputError(f"{address}: no Dask scheduler with a worker answers ({error}). {remedy}") from error
    with client:
        _compare(client.run(_versions))
        try:
            with joblib.parallel_config(backend="dask", n_jobs=-1, wait_for_workers_timeout=seconds):
                yield
        except (CancelledError, CommClosedError, KilledWorker, OSError) as error:
            if isinstance(error, OSError) and client.status == "running":
                raise
            what = f"{address}: the cluster was lost ({type(error).__name__}: {error})"
            raise InputError(f"{what}. What was finished stays; the same command goes on from there.") from error


def _versions() -> dict[str, str]:
    import serlib

    return {"serlib": serlib.__version__} | {name: environment()[name] for name in ALIKE}


def _compare(workers: dict[str, dict[str, str]]) -> None:
    """Raise InputError where a worker would compute with other versions than this process."""
    here = _versions()
    for worker, there in workers.items():
        other = [f"{name} {version} ({here[name]} here)" for name, version in there.items() if version != here[name]]
        if other:
            raise InputError(f"Worker {worker} has {', '.join(other)}. Install the same versions everywhere.")
