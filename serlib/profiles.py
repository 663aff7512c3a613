"""How much of everything a notebook runs, by `SERLIB_PROFILE`: `quick`, `lesson` or `paper`."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from serlib.errors import InputError


def one_of(variable: str, *choices: str) -> str | None:
    """What an environment variable is set to, if it is. Raises InputError for another choice. Page: notebooks/01."""
    wanted = os.environ.get(variable)
    if wanted and wanted not in choices:
        raise InputError(f"{variable}={wanted}: set it to {', '.join(choices[:-1])} or {choices[-1]}.")
    return wanted


def profile(quick: Any, lesson: Any, paper: Any) -> Any:
    """The value for the profile that `SERLIB_PROFILE` names.

    `quick` (the default) shows in a minute that everything runs; `lesson` trains one fold for real, for about as long
    as `serlib.minutes` says; `paper` is the full run. Page: notebooks/01.
    """
    values = {"quick": quick, "lesson": lesson, "paper": paper}
    return values[one_of("SERLIB_PROFILE", *values) or "quick"]


def thinned(table: pd.DataFrame, protocol: Callable) -> pd.DataFrame:
    """A corpus table as it is or, where `protocol` takes more of it than the profile has time for, a part, and a line.

    `quick` has time for 240 utterances, `lesson` for 600, `paper` for all. The part is the same at every call, and
    spread evenly: of each speaker and class as many as of any other, while there are. Its corpus is named "part of
    ...", so that no count of the whole is asked of it and no result is taken for one. Page: notebooks/01.
    """
    most = profile(quick=240, lesson=600, paper=None)
    whole = protocol(table)
    if most is None or len(whole.table) <= most:
        return table
    rows = spread_evenly(whole.table["speaker"], whole.labels, most)
    part = whole.table.iloc[rows].reset_index(drop=True)
    corpus = table.attrs.get("corpus", "this corpus")
    part.attrs = table.attrs | {"corpus": f"part of {corpus}"}
    print(f"{most} of {len(whole.table)} utterances of {corpus}, by speaker and class; SERLIB_PROFILE=paper takes all")
    return part


def spread_evenly(speakers: pd.Series, labels: np.ndarray, most: int) -> np.ndarray:
    """At most so many row numbers, in order: the same number of each speaker and class, while there are.

    What is left for a last round is dealt over the classes. Page: notebooks/01.
    """
    rows = pd.DataFrame({"speaker": speakers.to_numpy(), "label": labels})
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    rows["round"] = rows.groupby(["speaker", "label"]).cumcount()
    rows["turn"] = rows.groupby(["round", "label"]).cumcount()
    return np.sort(rows.sort_values(["round", "turn"], kind="stable").index[:most])
