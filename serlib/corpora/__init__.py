"""The first room: every corpus becomes one table, a row per utterance.

`table` reads, checks and loads them; `iemocap` reads the release; `synthetic` makes a corpus that everybody may have,
with the voice of `espeak`; `voices` are twelve human ones; `phonemes` spells words out; `report` says what a corpus
holds, and what is wrong.
"""

from serlib.corpora.table import COLUMNS, EMOTIONS, OPEN_CORPORA, check_table, load, read_folder, read_path, votes_of

__all__ = ["COLUMNS", "EMOTIONS", "OPEN_CORPORA", "check_table", "load", "read_folder", "read_path", "votes_of"]
