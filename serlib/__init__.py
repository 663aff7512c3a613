"""serlib: the thin helper library of Hearing Emotion.

Six rooms in a row: corpora, protocols, features, training, metrics, runs.
"""

import warnings

from serlib.device import profile, setup

warnings.filterwarnings("ignore", message=".*IProgress not found.*")  # without ipywidgets, tqdm draws its bar as text


__version__ = "0.1.0"
__all__ = ["profile", "setup"]
