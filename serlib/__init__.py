"""serlib: the thin helper library of Hearing Emotion.

Six rooms in a row: corpora, protocols, features, training, metrics, runs.
"""

import importlib
import warnings
from typing import Any

warnings.filterwarnings("ignore", message=".*IProgress not found.*")  # without ipywidgets, tqdm draws its bar as text


__version__ = "0.1.0"
_WHERE = {"setup": "device", "minutes": "device", "profile": "profiles", "thinned": "profiles"}
__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    """What every notebook asks for first, with torch or pandas, which take seconds: only where it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module 'serlib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"serlib.{_WHERE[name]}"), name)
