"""serlib: the thin helper library of Hearing Emotion.

Six rooms in a row: corpora, protocols, features, training, metrics, runs.
"""

import warnings
from typing import Any

warnings.filterwarnings("ignore", message=".*IProgress not found.*")  # without ipywidgets, tqdm draws its bar as text


__version__ = "0.1.0"
__all__ = ["profile", "setup"]


def __getattr__(name: str) -> Any:
    """`setup` and `profile` of `serlib.device`, with torch, which takes seconds: only where they are asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'serlib' has no attribute {name!r}")
    from serlib import device

    return getattr(device, name)
