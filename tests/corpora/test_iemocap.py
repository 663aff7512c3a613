"""IEMOCAP's files, by hand as in the release, and what strangers' disks do to them."""

import re
import shutil

import pandas as pd
import pytest

from serlib.corpora.iemocap import EMOTIONS, alignment_path, read_alignment, read_iemocap
from serlib.errors import InputError

COLUMNS = "utterance_id path start end duration session speaker gender scenario emotion"
LABELS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{dialogue}_F000\tneu\t[2.5000, 2.5000, 0.5000]
C-E2:\tNeutral state;\t()
C-E4:\tExcited; Happiness;\t(a bit, [loud])
C-F1:\tNeutral; Anger;\t(annoyed, [calm])
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\t{dialogue}_M003\tang\t[1.5000, 4.0000, 5.5000]
C-E2:\tAnger;\t()
A-E3:\tval 1; act 4; dom  ;\t()
"""
SPOKEN = """{dialogue}_F000 [006.2901-008.2357]: Excuse me.
{dialogue}_MXX0 [008.9000-009.1000]: Mm.
M: [BREATHING]
{dialogue}_M003 [010.0100-011.3925]: Yeah - [LAUGHTER] wait: what?
"""
DIALOGUES = {
    1: ["Ses01F_impro01", "Ses01M_script01_2"],
    2: ["Ses02M_impro03"],
    3: ["Ses03F_impro08"],
    4: ["Ses04M_script03_1"],
    5: ["Ses05M_script01_1b"],
}


def label_file(root, dialogue="Ses01F_impro01"):
    return root / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


@pytest.fixture
def release(tmp_path):
    """A release in miniature: six dialogues of two utterances, whose wavs hold nothing."""
    root = tmp_path / "IEMOCAP_full_release"
    for session, dialogues in DIALOGUES.items():
        for dialogue in dialogues:
            spoken = root / f"Session{session}" / "dialog" / "transcriptions" / f"{dialogue}.txt"
            wavs = root / f"Session{session}" / "sentences" / "wav" / dialogue
            for folder in (label_file(root, dialogue).parent, spoken.parent, wavs):
                folder.mkdir(parents=True, exist_ok=True)
            label_file(root, dialogue).write_text(LABELS.format(dialogue=dialogue))
            spoken.write_text(SPOKEN.format(dialogue=dialogue))
            for turn in ("F000", "M003"):
                (wavs / f"{dialogue}_{turn}.wav").touch()
    return root


def test_the_table(release):
    """Else a column of the contract would be missing, in the wrong place or of the wrong type."""
    table = read_iemocap(release)
    assert list(table) == [*COLUMNS.split(), "valence", "activation", "dominance", "transcript", "votes"]
    assert table.index.equals(pd.RangeIndex(12)) and table.attrs["corpus"] == "iemocap"
    row = table.set_index("utterance_id").loc["Ses01F_impro01_M003"]
    assert row["path"] == str(release / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M003.wav")
    assert table[["start", "end"]].isna().all(axis=None) and row["duration"] == 1.3825
    assert (row["valence"], row["activation"], row["dominance"]) == (1.5, 4.0, 5.5)
    assert row["emotion"] == "anger" and row["transcript"] == "Yeah - [LAUGHTER] wait: what?"
    assert table["dominance"].min() == 0.5
    assert {str(kind) for kind in table.dtypes} == {"string", "float64"}


@pytest.mark.parametrize(
    ("name", "session", "speaker", "gender", "scenario"),
    [
        ("Ses01F_impro01_M003", "Ses01", "Ses01_M", "male", "improvised"),
        ("Ses01F_impro01_F000", "Ses01", "Ses01_F", "female", "improvised"),
        ("Ses02M_impro03_F000", "Ses02", "Ses02_F", "female", "improvised"),
        ("Ses01M_script01_2_M003", "Ses01", "Ses01_M", "male", "scripted"),
        ("Ses05M_script01_1b_F000", "Ses05", "Ses05_F", "female", "scripted"),
        ("Ses05M_script01_1b_M003", "Ses05", "Ses05_M", "male", "scripted"),
    ],
)
def test_who_speaks(release, name, session, speaker, gender, scenario):
    """Else the wearer of the markers, or a fixed place in the id, would be taken for the speaker."""
    row = read_iemocap(release).set_index("utterance_id").loc[name]
    assert [row["session"], row["speaker"], row["gender"], row["scenario"]] == [
        session,
        speaker,
        gender,
        scenario,
    ]


def test_votes(release):
    """Else an actor's own rating would count as a rater's, or a vote for two emotions as one for neither."""
    votes = read_iemocap(release).set_index("utterance_id")["votes"]
    assert votes["Ses01F_impro01_F000"] == "neutral; excitement, happiness"
    assert votes["Ses01F_impro01_M003"] == "anger"
    text = label_file(release).read_text()
    label_file(release).write_text("C-E9:\tFear;\t()\n" + re.sub(r"^C-E.*\n", "", text, flags=re.M))
    assert read_iemocap(release, sessions=[1])["votes"][:2].isna().all()


def test_all_codes_have_a_name(release):
    """Else a label of the release would stop the reader, or two emotions be taken for one."""
    assert set(EMOTIONS) == {"ang", "hap", "neu", "sad", "exc", "fru", "sur", "fea", "dis", "oth", "xxx"}
    assert len(set(EMOTIONS.values())) == 11
    for code, name in EMOTIONS.items():
        label_file(release).write_text(LABELS.format(dialogue="Ses01F_impro01").replace("\tneu\t", f"\t{code}\t"))
        assert read_iemocap(release, sessions=[1])["emotion"][0] == name


def test_parent_folder_and_other_peoples_files(release):
    """Else the folder above, a Mac's shadow files, Windows line ends or accents would break the reading."""
    expected = read_iemocap(release)
    for file in [*release.rglob("*.txt"), *release.rglob("*.wav")]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    file = label_file(release)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_iemocap(release.parent), expected)
    spoken = release / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"
    spoken.write_bytes(spoken.read_bytes().replace(b"Excuse me.", b"Ol\xe9\x85 it\x92s me."))
    assert read_iemocap(release)["transcript"][0] == "Olé… it’s me."


def test_absent_transcripts_are_na(release):
    """Else an utterance without a transcript would have one that was invented, or stop the reader."""
    spoken = release / "Session1" / "dialog" / "transcriptions"
    (spoken / "Ses01M_script01_2.txt").unlink()
    (spoken / "Ses01F_impro01.txt").write_text("Ses01F_impro01_M003 [010.0100-011.3925]: \n")
    assert read_iemocap(release, sessions=(1,))["transcript"].isna().all()


def test_sessions_on_request(release):
    """Else a part of the release could not be used, or would be used without being asked for."""
    shutil.rmtree(release / "Session3")
    with pytest.raises(InputError, match=r"Session3 is missing.*sessions=\(1, 2, 4, 5\)"):
        read_iemocap(release)
    part = read_iemocap(release, sessions=(1, 2, 4, 5))
    assert part.attrs["corpus"] == "iemocap, sessions 1+2+4+5"  # of which no protocol expects IEMOCAP's counts
    assert set(part["session"]) == {
        "Ses01",
        "Ses02",
        "Ses04",
        "Ses05",
    }


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[6.2901 - 8.2357]\t", "[6.2901 - 8.", "line 3 is torn"),
        ("[2.5000, 2.5000, 0.5000]", "[2.5000, 2.", "line 3 is torn"),
        ("[10.0100 - 11.3925]", "[10.0100 - 9.3925]", "line 10 is torn"),
        ("Ses01F_impro01_M003", "Ses01F_impro01_X003", "line 10 is torn"),
        ("\tang\t", "\tbor\t", "line 10: label 'bor'"),
        ("Ses01F_impro01_M003", "Ses01F_impro01_F000", "line 10: Ses01F_impro01_F000 stands twice"),
        ("[", "(", "summarises no utterance"),
    ],
)
def test_broken_label_files(release, before, after, message):
    """Else a damaged file would lose or change labels without a word."""
    file = label_file(release)
    file.write_text(file.read_text().replace("% [", "% (").replace(before, after))
    with pytest.raises(InputError) as error:
        read_iemocap(release)
    assert str(error.value).startswith(str(file)) and message in str(error.value)


def test_an_id_in_two_files(release):
    """Else an utterance would be counted twice when a dialogue lies there under two names."""
    copy = label_file(release, "Ses01F_impro01b")
    shutil.copy(label_file(release), copy)
    with pytest.raises(InputError, match=r"Ses01F_impro01b.txt, line 3: Ses01F_impro01_F000 stands twice"):
        read_iemocap(release)


def test_missing_wavs(release):
    """Else training would fail hours later, at the first wav that is not there."""
    wavs = release / "Session4" / "sentences" / "wav" / "Ses04M_script03_1"
    shutil.rmtree(wavs)
    (release / "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F000.wav").unlink()
    with pytest.raises(InputError, match=r"3 wavs are missing: .*Ses04M_script03_1_F000\.wav"):
        read_iemocap(release)


def test_no_release(release, tmp_path):
    """Else a zip, a wrong folder or an emptied session would give a traceback, or an empty table."""
    archive = tmp_path / "IEMOCAP.zip"
    archive.touch()
    with pytest.raises(InputError, match=r"IEMOCAP\.zip is not IEMOCAP: no folder"):
        read_iemocap(archive)
    with pytest.raises(InputError, match=r"Session1 is not IEMOCAP"):
        read_iemocap(release / "Session1")
    shutil.rmtree(release / "Session2" / "dialog")
    with pytest.raises(InputError, match=r"Session2.*EmoEvaluation has no Ses\*\.txt"):
        read_iemocap(release)


WORDS = """\t SFrm\t EFrm\t SegAScr\tWord
\t    0\t   26\t -112322\t<s>
\t   27\t   40\t  -84324\tTHE(2)
\t   41\t   60\t  -90000\tDON'T
\t   61\t   80\t  -10000\t++LAUGHTER++
\t   81\t   90\t  -10000\t<sil>
\t   91\t   99\t  -10000\t</s>
 Total score:     -307000
"""
PHONES = """     SFrm  EFrm    SegAScr Phone
        0    26    -112322 SIL
       27    30     -84324 DH SIL AH b
       31    40     -84324 AH DH SIL e
       41    50     -10000 +BREATHING+
 Total score:     -307000
"""


def test_alignments(tmp_path):
    """Else frames would be shifted (the last one belongs to the segment), or laughter be taken for a word."""
    words, phones = tmp_path / "a.wdseg", tmp_path / "a.phseg"
    words.write_text(WORDS.replace("\n", "\r\n"))
    phones.write_text(PHONES)
    table = read_alignment(words)
    assert list(table) == ["start", "end", "label", "is_speech"]
    assert list(table["label"]) == ["<s>", "THE", "DON'T", "++LAUGHTER++", "<sil>", "</s>"]
    assert list(table["is_speech"]) == [False, True, True, False, False, False]
    assert (table["start"][1], table["end"][1]) == (0.27, 0.41)
    assert list(table["start"][1:]) == list(table["end"][:-1]) and table["end"].iloc[-1] == 1.0
    table = read_alignment(phones)
    assert list(table["label"]) == ["SIL", "DH", "AH", "+BREATHING+"]
    assert list(table["is_speech"]) == [False, True, True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such alignment"),
        ("", "does not end with 'Total score'"),
        (WORDS[:-40], "does not end with 'Total score'"),
        (WORDS.replace("   41\t", "   x"), "line 4 is torn"),
        (WORDS.replace("DON'T", ""), "line 4 is torn"),
    ],
)
def test_broken_alignments(tmp_path, content, message):
    """Else attention would be compared with words of half a file."""
    path = tmp_path / "a.wdseg"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        read_alignment(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_where_alignments_are(release):
    """Else the words of an utterance would be looked for beside its wav."""
    path = alignment_path(read_iemocap(release)["path"][0], "phseg")
    assert path == release / "Session1/sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.phseg"
