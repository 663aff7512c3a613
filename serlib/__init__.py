"""serlib: the thin helper library of Hearing Emotion.

Six rooms in a row: corpora, protocols, features, training, metrics, results.
"""

from serlib.device import profile, setup

__version__ = "0.1.0"
__all__ = ["profile", "setup"]
