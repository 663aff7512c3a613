"""The corpus table: folders, open corpora through audb, and what is said about tables that are not sound."""

import sys

import audb
import audformat
import numpy as np
import pandas as pd
import pytest
import soundfile

from serlib import corpora
from serlib.corpora import COLUMNS, OPEN_CORPORA, check_table, load, read_folder, read_path, votes_of
from serlib.corpora.table import read_audb
from serlib.errors import InputError

TABLE = pd.DataFrame(
    {"utterance_id": ["a", "b"], "path": ["a", "b"], "speaker": ["x", "y"], "emotion": ["anger", pd.NA]}
)


def edit(folder, **columns):
    """Change columns of a folder's table; None removes one, a dictionary changes some rows."""
    table = pd.read_csv(folder / "table.csv", dtype="string")
    for name, values in columns.items():
        if values is None:
            del table[name]
        elif isinstance(values, dict):
            table[name] = table.get(name, pd.Series(pd.NA, table.index, dtype="string"))
            for row, value in values.items():
                table.loc[row, name] = value
        else:
            table[name] = values
    table.to_csv(folder / "table.csv", index=False)


def test_a_folder_becomes_a_corpus_table(corpus):
    """Else a column of the table would be missing, misplaced, of another type, or invented."""
    table = read_folder(corpus)
    assert list(table) == list(COLUMNS) and table.index.equals(pd.RangeIndex(24))
    assert {name: str(table[name].dtype) for name in COLUMNS} == COLUMNS
    assert table.attrs["corpus"] == "tones"
    row = table.iloc[3]
    assert (row["utterance_id"], row["speaker"], row["emotion"]) == ("s0_happiness_1", "s0", "happiness")
    assert row["path"] == str(corpus / "s0_happiness_1.wav") and row["duration"] == pytest.approx(2.1)
    absent = ["start", "end", "session", "gender", "scenario", "valence", "activation", "dominance", "transcript"]
    assert table[absent].isna().all(axis=None)


def test_what_a_table_says_is_taken(corpus):
    """Else ratings, sessions or times that a corpus has would be lost."""
    edit(corpus, utterance_id=[f"u{n}" for n in range(24)], session="1", gender="female", scenario="improvised")
    edit(corpus, valence={0: "1.5"}, transcript={0: "Grüße, “so”"}, start={0: "0.5", 1: "0.5"}, end={0: "1.25"})
    edit(corpus, duration={2: "7"})
    table = read_folder(corpus)
    assert table.loc[0, ["utterance_id", "session", "gender", "scenario"]].tolist() == [
        "u0",
        "1",
        "female",
        "improvised",
    ]
    assert table.loc[0, "valence"] == 1.5 and table.loc[0, "transcript"] == "Grüße, “so”"
    assert table.loc[0, ["start", "end", "duration"]].tolist() == [0.5, 1.25, 0.75]
    assert table.loc[2, "duration"] == 7 and table.loc[3, "duration"] == pytest.approx(2.1)
    assert np.isnan(table.loc[1, "valence"])


def test_a_start_without_an_end(corpus):
    """Else the rest of a file would have no duration, and be cut into a number of parts that nobody knows."""
    edit(corpus, start={0: "0.5", 1: "1", 2: pd.NA}, end={1: "1.5"})
    assert read_folder(corpus)["duration"][:3].tolist() == [pytest.approx(1.6), 0.5, pytest.approx(2.1)]


def test_a_duration_in_the_place_of_an_end(corpus):
    """Else the rest of the file would be heard with the utterance."""
    edit(corpus, start={0: "0.5"}, duration={0: "0.75"})
    assert read_folder(corpus).loc[0, ["start", "end", "duration"]].tolist() == [0.5, 1.25, 0.75]


def test_utterances_of_one_long_file(corpus):
    """Else everybody with one recording and a list of times would have to invent names."""
    edit(corpus, file=["s0_anger_0.wav"] * 24, start=[str(n / 20) for n in range(24)], duration=["0.4"] * 24)
    table = read_folder(corpus)
    assert (
        table["utterance_id"][:2].tolist() == ["s0_anger_0_0.0", "s0_anger_0_0.05"] and table["utterance_id"].is_unique
    )
    (corpus / "more").mkdir()
    (corpus / "s0_anger_0.wav").rename(corpus / "more" / "s0_anger_1.wav")
    edit(corpus, start=None, duration=None, file=["more/s0_anger_1.wav", "s0_anger_1.wav"] * 12)
    with pytest.raises(InputError, match=r"row 3 \(more/s0_anger_1\): this utterance_id stands there twice"):
        read_folder(corpus)


def test_a_blank_more_or_less(corpus):
    """Else "anna" and " anna" would be two people, one in training and one in the test."""
    edit(corpus, gender={0: "Female "}, emotion={0: " Anger"}, transcript={0: "None", 1: "null"})
    text = (corpus / "table.csv").read_text()
    lines = text.replace(",s0,", ", s0 ,").splitlines()
    (corpus / "table.csv").write_text("\n".join([lines[0].replace(",", ", "), *lines[1:]]))
    table = read_folder(corpus)
    assert set(table["speaker"]) == {"s0", "s1", "s2"} and table["gender"][0] == "female"
    assert table["transcript"][:2].tolist() == ["None", "null"] and table["transcript"][2:].isna().all()


def test_emotions_get_this_books_names(corpus):
    """Else "Angry" and "anger" would be two classes, or an emotion that we do not know would be dropped."""
    edit(corpus, emotion={0: " Angry", 1: "happy", 2: "CALMNESS", 3: "awe", 4: pd.NA})
    found = read_folder(corpus)["emotion"]
    assert found[:4].tolist() == ["anger", "happiness", "calm", "awe"] and found.isna().tolist()[4]


def test_numbers_as_names_stay_text(corpus):
    """Else speaker 03 would become 3, and no longer the one that the corpus means."""
    edit(corpus, speaker=[f"{n % 3:02d}" for n in range(24)])
    assert set(read_folder(corpus)["speaker"]) == {"00", "01", "02"}


BAD_TABLES = {
    "no file column": ({"file": None}, "'file' is missing; found speaker"),
    "no speaker column": ({"speaker": None}, "'speaker' is missing; found"),
    "no emotion column": ({"emotion": None}, "'emotion' is missing; found"),
    "a file cell is empty": ({"file": {4: pd.NA}}, "row 5"),
    "speaker cells are empty": ({"speaker": {4: pd.NA, 9: pd.NA}}, r"row 5 \(s0_neutral_0\): speaker is empty; 2 such"),
    "a speaker cell is blank": ({"speaker": {4: "  "}}, r"row 5 \(s0_neutral_0\): speaker is empty"),
    "an id twice": ({"utterance_id": [f"u{n % 23}" for n in range(24)]}, r"row 24 \(u0\).*twice"),
    "two files of one name": ({"file": {5: "s0_neutral_0.wav"}}, r"row 6 \(s0_neutral_0\).*twice"),
    "no number": ({"valence": {0: "high"}}, "'valence' should hold numbers"),
    "negative duration": ({"duration": {7: "-1"}}, r"row 8 .*duration is not positive"),
    "negative start": ({"start": {7: "-1"}, "end": {7: "0.5"}}, r"row 8 .*start is negative"),
    "end before start": ({"start": {7: "1"}, "end": {7: "0.5"}}, r"row 8 .*end is not after start"),
    "unknown gender": ({"gender": {7: "w"}}, r"row 8 .*female, male"),
    "unknown scenario": ({"scenario": {7: "acted"}}, r"row 8 .*improvised, scripted"),
    "files are missing": ({"file": {0: "a.wav", 3: "b.wav"}}, r"2 of its files are not there, .*a\.wav"),
}


@pytest.mark.parametrize(("change", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_table_that_is_not_sound(corpus, change, message):
    """Else a reader would look for the bad row by hand, or train on a table that lies."""
    edit(corpus, **change)
    with pytest.raises(InputError, match=rf"(?s)tones/table\.csv: .*{message}.*\.$"):
        read_folder(corpus)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"file,speaker,emotion\n",
        b"file,speaker,emotion\na.wav,s,anger,7,8\n",
        b"file,speaker,emotion\n\xff.wav,s,anger\n",
        b'file,speaker,emotion\n"a.wav,s,anger\n',
        b"\x00\x01\x02\x03",
    ],
    ids=["empty", "header only", "too many cells", "not UTF-8", "open quote", "binary"],
)
def test_a_table_that_cannot_be_read(corpus, content):
    """Else a torn table would end in an error of pandas that names no file."""
    (corpus / "table.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"tones/table\.csv"):
        read_folder(corpus)


def test_the_line_that_is_torn_is_named(corpus):
    """Else somebody would search for one comma too many in ten thousand lines."""
    with (corpus / "table.csv").open("a") as file:
        file.write("a.wav,s0,anger,what\n")
    with pytest.raises(InputError, match="line 26"):
        read_folder(corpus)


def test_rows_longer_than_the_heading(corpus):
    """Else every column would be read for its neighbour."""
    heading, *rows = (corpus / "table.csv").read_text().splitlines()
    (corpus / "table.csv").write_text("\n".join([heading, *(f"{row},loud" for row in rows)]))
    with pytest.raises(InputError, match=r"table\.csv: the rows have more fields than the heading"):
        read_folder(corpus)


def test_a_table_saved_by_a_spreadsheet(corpus):
    """Else a byte order mark or Windows line ends would hide the column 'file'."""
    text = (corpus / "table.csv").read_text()
    (corpus / "table.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(read_folder(corpus)) == 24


def test_a_folder_that_is_none(tmp_path):
    """Else a typing error in a path would end in an error that does not name it."""
    with pytest.raises(InputError, match=r"tomes: no such folder\. Give"):
        read_path(tmp_path / "tomes")
    with pytest.raises(InputError, match=r"holds neither a table\.csv nor IEMOCAP's Session1"):
        read_path(tmp_path)
    (tmp_path / "speech.zip").touch()
    with pytest.raises(InputError, match=r"speech\.zip is a file.*unpack it"):
        read_path(tmp_path / "speech.zip")
    with pytest.raises(InputError, match=r"table\.csv: not a readable.*No such file.*'Your own corpus'"):
        read_folder(tmp_path)


def test_a_file_that_is_no_audio(corpus):
    """Else a corpus would be loaded that breaks in the middle of the features."""
    (corpus / "s1_anger_0.wav").write_text("moved to the archive")
    (corpus / "s1_anger_1.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"s1_anger_0\.wav: not a readable audio file.*2 of 24 files cannot be read"):
        read_folder(corpus)


def test_extra_columns_follow():
    """Else what only one corpus has, such as a room, could not be carried along."""
    table = check_table(TABLE.assign(room=3), "here")
    assert list(table) == [*COLUMNS, "room"] and table["emotion"].isna().tolist() == [False, True]


def test_a_table_without_rows():
    """Else an empty table would pass and break far from here."""
    with pytest.raises(InputError, match="here: the table has no rows"):
        check_table(TABLE.iloc[:0], "here")


audformat_is_behind_pandas = pytest.mark.filterwarnings("ignore:The inplace keyword")

# What audb serves, as its data cards describe it.
EMODB = [  # file, speaker, emotion, which table of categories
    ("wav/03a01Fa.wav", 3, "happiness", "train.gold_standard"),
    ("wav/03a01Wa.wav", 3, "anger", "train.gold_standard"),
    ("wav/08a02Na.wav", 8, "neutral", "train.gold_standard"),
    ("wav/08a02Wc.wav", 8, "anger", "ambiguous"),
    ("wav/16b10Tb.wav", 16, "sadness", "test.gold_standard"),
    ("wav/16b10Wb.wav", 16, "anger", "test.gold_standard"),
]
RAVDESS = [
    ("speech/03-01-05-01-01-01-01.wav", "01", "anger", "train"),
    ("speech/03-01-02-01-01-01-02.wav", "02", "calm", "dev"),
    ("speech/03-01-08-02-01-01-24.wav", "24", "surprise", "test"),
]
CREMA_D = [
    ("AudioWAV/1001_DFA_ANG_XX.wav", 1001, "anger", "train"),
    ("AudioWAV/1002_DFA_HAP_XX.wav", 1002, "happiness", "dev"),
    ("AudioWAV/1091_DFA_NEU_XX.wav", 1091, "neutral", "test"),
]
QUECHUA = [  # and what four raters said of valence, arousal and dominance
    ("audio/00001.wav", "a1", "exitement", "train", [4, 5, 4, 4], [5, 5, 4, 5], [3, 3, 4, 3]),
    ("audio/00002.wav", "a2", "sadness", "test", [1, 2, 1, 2], [1, 1, 1, 2], [2, 2, 1, None]),
    ("audio/00003.wav", "a1", "sleepiness", "test", [3, 3, 2, 3], [1, 2, 1, 1], [2, 3, 2, 2]),
]


def index(rows):
    return audformat.filewise_index([row[0] for row in rows])


def fill(table, **columns):
    for name, (scheme, values) in columns.items():
        table[name.replace("__", ".").replace("_", " ")] = audformat.Column(scheme_id=scheme)
        table[name.replace("__", ".").replace("_", " ")].set(values)


def emodb(database):
    """emodb 2.0.0: the speakers stand in a table of their own."""
    for name, kind in {"age": "int", "language": "str", "transcription": "str", "duration": "time"}.items():
        database.schemes[name] = audformat.Scheme(kind)
    database.schemes["gender"] = audformat.Scheme(labels=["female", "male"])
    database.schemes["emotion"] = audformat.Scheme(
        labels=["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]
    )
    for name in ("confidence", "naturalness"):
        database.schemes[name] = audformat.Scheme("float", minimum=0, maximum=1)
    people = database["speaker"] = audformat.MiscTable(pd.Index([3, 8, 16], dtype="Int64", name="speaker"))
    fill(people, age=("age", [31, 34, 31]), gender=("gender", ["male", "female", "female"]))
    fill(people, language=("language", "deu"))
    database.schemes["speaker"] = audformat.Scheme("int", labels="speaker")
    database["files"] = audformat.Table(index(EMODB))
    seconds = pd.to_timedelta([1 + n / 10 for n in range(len(EMODB))], unit="s")
    fill(database["files"], duration=("duration", seconds), transcription=("transcription", "a01"))
    fill(database["files"], speaker=("speaker", [row[1] for row in EMODB]))
    parts = {"emotion": EMODB}
    for part in ("train.gold_standard", "test.gold_standard", "ambiguous"):
        parts[f"emotion.categories.{part}"] = [row for row in EMODB if row[3] == part]
    for name, rows in parts.items():
        database[name] = audformat.Table(index(rows))
        fill(database[name], emotion=("emotion", [row[2] for row in rows]))
        fill(database[name], emotion__confidence=("confidence", 0.9), emotion__naturalness=("naturalness", 0.8))
    return EMODB


def ravdess(database):
    """ravdess 1.1.3: no table of speakers."""
    for name, kind in {"transcription": "str", "duration": "time", "speaker": "str"}.items():
        database.schemes[name] = audformat.Scheme(kind)
    database.schemes["channel"] = audformat.Scheme(labels=["song", "speech"])
    database.schemes["intensity"] = audformat.Scheme(labels=["normal", "strong"])
    database.schemes["emotion"] = audformat.Scheme(
        labels=["anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    )
    database["files"] = audformat.Table(index(RAVDESS))
    seconds = pd.to_timedelta([1 + n / 10 for n in range(len(RAVDESS))], unit="s")
    fill(database["files"], speaker=("speaker", [row[1] for row in RAVDESS]), duration=("duration", seconds))
    fill(database["files"], transcription=("transcription", "kids"), vocal_channel=("channel", "speech"))
    for part in ("train", "dev", "test"):
        rows = [row for row in RAVDESS if row[3] == part]
        table = database[f"emotion.speech.{part}"] = audformat.Table(index(rows))
        fill(table, emotion=("emotion", [row[2] for row in rows]), emotional_intensity=("intensity", "normal"))
    return RAVDESS


def crema_d(database):
    """crema-d 1.3.0: the emotions that were asked for, and those that were heard."""
    database.schemes["speaker"] = audformat.Scheme("int")
    database.schemes["emotion"] = audformat.Scheme(
        labels=["anger", "disgust", "fear", "happiness", "neutral", "no_agreement", "sadness"]
    )
    database["files"] = audformat.Table(index(CREMA_D))
    fill(database["files"], speaker=("speaker", [row[1] for row in CREMA_D]))
    for part in ("train", "dev", "test"):
        rows = [row for row in CREMA_D if row[3] == part]
        for table, labels in ((f"desired.{part}", [row[2] for row in rows]), (f"{part}.gold_standard", "no_agreement")):
            database[f"emotion.categories.{table}"] = audformat.Table(index(rows))
            fill(database[f"emotion.categories.{table}"], emotion=("emotion", labels))
    return CREMA_D


def quechua(database):
    """quechua 1.0.2: four raters' whole numbers; no lengths of files; a table of speakers."""
    database.schemes["gender"] = audformat.Scheme(labels=["female", "male"])
    database.schemes["rating"] = audformat.Scheme("int", minimum=1, maximum=5)
    database.schemes["emotion"] = audformat.Scheme(
        labels=["anger", "boredom", "calmness", "exitement", "fear", "happiness", "neutral", "sadness", "sleepiness"]
    )
    people = database["speaker"] = audformat.MiscTable(pd.Index(["a1", "a2"], dtype="string", name="speaker"))
    fill(people, gender=("gender", ["female", "male"]))
    database.schemes["speaker"] = audformat.Scheme("str", labels="speaker")
    database["files"] = audformat.Table(index(QUECHUA))
    fill(database["files"], speaker=("speaker", [row[1] for row in QUECHUA]))
    for part in ("train", "test"):
        rows = [row for row in QUECHUA if row[3] == part]
        desired = database[f"emotion.categories.{part}.desired"] = audformat.Table(index(rows))
        fill(desired, emotion=("emotion", [row[2] for row in rows]))
        for column, dimension in enumerate(("valence", "arousal", "dominance"), 4):
            table = database[f"{dimension}.{part}"] = audformat.Table(index(rows))
            fill(table, **{f"Rater0{n + 1}": ("rating", [row[column][n] for row in rows]) for n in range(4)})
    return QUECHUA


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """A function that puts a small corpus into an audb repository in a folder, the only one that audb knows."""
    repository = audb.Repository("repository", str(tmp_path / "host"), "file-system")
    (tmp_path / "host" / "repository").mkdir(parents=True)
    monkeypatch.setattr(audb.config, "REPOSITORIES", [repository])
    monkeypatch.setattr(audb.config, "CACHE_ROOT", str(tmp_path / "audb"))
    monkeypatch.setattr(audb.config, "SHARED_CACHE_ROOT", str(tmp_path / "shared"))

    def put(name, describe):
        database = audformat.Database(name)
        root = tmp_path / name
        for number, (file, *_) in enumerate(describe(database)):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            tone = 0.3 * np.sin(np.arange(round((1 + number / 10) * 44_100)) / 20)
            soundfile.write(root / file, np.stack([tone, tone], 1), 44_100)
        database.save(root)
        audb.publish(str(root), OPEN_CORPORA[name]["version"], repository, verbose=False)

    return put


@audformat_is_behind_pandas
def test_emodb_through_audb(publish):
    """Else a user without our folders could not load EmoDB, or would get its ambiguous takes, or no gender."""
    publish("emodb", emodb)
    table = read_audb("emodb")
    gold = [row for row in EMODB if row[3] != "ambiguous"]
    assert table.attrs["corpus"] == "emodb" and list(table) == list(COLUMNS)
    assert {name: str(table[name].dtype) for name in COLUMNS} == COLUMNS
    assert table["utterance_id"].tolist() == [row[0][4:-4] for row in gold]
    assert table["speaker"].tolist() == [str(row[1]) for row in gold]
    assert table["emotion"].tolist() == [row[2] for row in gold]
    assert table["gender"].tolist() == ["male", "male", "female", "female", "female"]
    np.testing.assert_allclose(table["duration"], [1, 1.1, 1.2, 1.4, 1.5])
    for path, seconds in zip(table["path"], table["duration"], strict=True):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (16_000, 1) and info.duration == pytest.approx(seconds, abs=1e-3)
    pd.testing.assert_frame_equal(load("emodb"), table)


@audformat_is_behind_pandas
def test_ravdess_through_audb(publish):
    """Else a corpus without a table of speakers could not be loaded, though `OPEN_CORPORA` promises it."""
    publish("ravdess", ravdess)
    table = read_audb("ravdess")
    assert table["speaker"].tolist() == ["01", "02", "24"]
    assert table["emotion"].tolist() == ["anger", "calm", "surprise"]


@audformat_is_behind_pandas
def test_crema_d_through_audb(publish):
    """Else the emotions that a crowd heard would be mixed with those that the actors were asked for."""
    publish("crema-d", crema_d)
    table = read_audb("crema-d")
    assert table["speaker"].tolist() == ["1001", "1002", "1091"]
    assert table["emotion"].tolist() == ["anger", "happiness", "neutral"]
    np.testing.assert_allclose(table["duration"], [1, 1.1, 1.2])
    assert table[["gender", "valence"]].isna().all(axis=None)


@audformat_is_behind_pandas
def test_quechua_through_audb(publish):
    """Else the open corpus with ratings would lose them, mix up arousal and valence, or count an absent rater."""
    publish("quechua", quechua)
    table = read_audb("quechua").set_index("utterance_id")
    assert table["emotion"].to_dict() == {"00001": "excitement", "00002": "sadness", "00003": "sleepiness"}
    assert table["gender"].tolist() == ["female", "male", "female"]
    np.testing.assert_allclose(table["valence"], [17 / 4, 6 / 4, 11 / 4])
    np.testing.assert_allclose(table["activation"], [19 / 4, 5 / 4, 5 / 4])
    np.testing.assert_allclose(table["dominance"], [13 / 4, 5 / 3, 9 / 4])
    np.testing.assert_allclose(table["duration"], [1, 1.1, 1.2])


def test_without_audb(monkeypatch):
    """Else somebody who needs one more package would not be told which."""
    monkeypatch.setitem(sys.modules, "audb", None)
    with pytest.raises(InputError, match="pip install audb"):
        load("emodb")


def test_a_corpus_by_name_or_path(corpus, monkeypatch):
    """Else one of the ways to name a corpus would not work."""
    assert load(str(corpus)).attrs["corpus"] == "tones"
    monkeypatch.setenv("SERLIB_CORPUS", str(corpus))
    assert len(load()) == 24
    monkeypatch.setenv("SERLIB_CORPUS", "tones")
    monkeypatch.setenv("SERLIB_DATA", str(corpus.parent))
    assert len(load()) == 24
    monkeypatch.chdir(corpus.parent)
    monkeypatch.delenv("SERLIB_DATA")
    assert len(load("tones")) == 24


def test_a_folder_of_yours_comes_before_a_download(corpus, monkeypatch):
    """Else EmoDB would be fetched from the network although it lies on the disk."""
    corpus.rename(corpus.with_name("emodb"))
    monkeypatch.setenv("SERLIB_DATA", str(corpus.parent))
    assert load("emodb").attrs["corpus"] == "emodb"
    monkeypatch.chdir(corpus.with_name("emodb"))
    assert load(".").attrs["corpus"] == "emodb"  # here, not the folder of all corpora


def test_the_default(monkeypatch, tmp_path):
    """Else somebody who set nothing would meet an error, or somebody with a licence the synthetic corpus."""
    monkeypatch.setattr(corpora.table, "load_synthetic", lambda size: size)
    monkeypatch.setattr(corpora.table, "read_iemocap", lambda root: root)
    assert load() == load("synthetic") == load("synthetic:small") == "small"
    assert load("synthetic:full") == "full"
    monkeypatch.setenv("SERLIB_IEMOCAP", str(tmp_path))
    assert load() == load("iemocap") == str(tmp_path)


def test_an_unknown_corpus(monkeypatch, tmp_path):
    """Else a typing error would not be answered with the names that there are."""
    with pytest.raises(InputError, match=r"no corpus 'emodbb'\. Name one \(synthetic, synthetic:full, iemocap, emodb"):
        load("emodbb")
    monkeypatch.setenv("SERLIB_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"no corpus 'emodbb' under SERLIB_DATA={tmp_path}"):
        load("emodbb")
    with pytest.raises(InputError, match="/nowhere/at/all: no such folder"):
        load("/nowhere/at/all")


def test_iemocap_without_its_path():
    """Else a reader with a licence would not learn which variable to set."""
    with pytest.raises(InputError, match="Set SERLIB_IEMOCAP to"):
        load("iemocap")


def test_votes_become_a_column_for_each_rater():
    """Else a rater's vote would be counted as another's, or under a name that the book does not use."""
    table = TABLE.assign(votes=["angry; neutral, sadness ;anger", "sad; neutral"])
    votes = votes_of(check_table(table, "here"))
    assert list(votes) == ["rater 1", "rater 2", "rater 3"]
    assert votes.iloc[0].tolist() == ["anger", "neutral", "anger"]
    assert votes.iloc[1, :2].tolist() == ["sadness", "neutral"] and pd.isna(votes.iloc[1, 2])


@pytest.mark.parametrize("votes", [[pd.NA, pd.NA], ["anger", "neutral"]])
def test_agreement_is_not_asked_of_one_rater_or_none(votes):
    """Else the notebook on labels would end in a message about pandas."""
    table = check_table(TABLE.assign(votes=votes), "here")
    with pytest.raises(InputError, match="votes of at least 2 raters, and this corpus has [01].*SERLIB_CORPUS"):
        votes_of(table)
    with pytest.raises(InputError, match="at least 3 raters, and this corpus has 2"):
        votes_of(table.assign(votes="anger; anger"), raters=3)
