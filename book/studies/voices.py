"""Copy the twelve voices, and EmoDB's perception test, into the library: SERLIB_DATA names where the folder emodb lies.

One sentence, three actors, four emotions; the first take of each that is there. Ogg Vorbis, all at 0.9 of their level.
"""

import os
from pathlib import Path

import pandas as pd
import soundfile

from serlib.corpora.voices import FOLDER

SENTENCE, SPEAKERS, EMOTIONS = "a02", ("03", "08", "14"), ("anger", "happiness", "neutral", "sadness")

if __name__ == "__main__":
    emodb = Path(os.environ["SERLIB_DATA"]) / "emodb"
    table = pd.read_csv(emodb / "table.csv", dtype={"speaker": str}).sort_values("file")
    wanted = table["text_code"].eq(SENTENCE) & table["speaker"].isin(SPEAKERS) & table["emotion"].isin(EMOTIONS)
    clips = table[wanted].drop_duplicates(["speaker", "emotion"])
    for old in FOLDER.glob("*.ogg"):
        old.unlink()
    for file in clips["file"]:
        samples, rate = soundfile.read(emodb / file)  # whose peaks are at 1: the codec may exceed that
        new = FOLDER / f"{Path(file).stem}.ogg"
        soundfile.write(new, 0.9 * samples, rate, format="OGG", subtype="VORBIS", compression_level=0.1)
    clips = clips.assign(file=clips["file"].map(lambda file: f"{Path(file).stem}.ogg"))
    clips[["file", "speaker", "gender", "emotion", "transcript"]].to_csv(FOLDER / "table.csv", index=False)
    heard = table.assign(utterance_id=table["file"].map(lambda file: Path(file).stem))
    heard = heard.rename(columns={"recognised_pct": "recognised", "natural_pct": "natural"})
    columns = ["utterance_id", "speaker", "emotion", "recognised", "natural"]
    heard[columns].to_csv(FOLDER / "perception.csv", index=False)
