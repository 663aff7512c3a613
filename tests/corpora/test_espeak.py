"""The voice of the synthetic corpus: sound that repeats, and times that are true."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serlib.corpora.espeak import speak

TEXT = "The seven friends sat by the zebra, near a green boat."
SAY_AND_HASH = (
    f"import hashlib; from serlib.corpora.espeak import speak;"
    f"print(hashlib.sha256(speak({TEXT!r}, 'en-us+f5').samples.tobytes()).hexdigest())"
)


def pitch(speech):
    """F0 in Hz: the highest peak of the autocorrelation between 50 and 500 Hz."""
    lags = np.fft.irfft(np.abs(np.fft.rfft(speech.samples, 2 * len(speech.samples))) ** 2)
    shortest, longest = speech.rate // 500, speech.rate // 50
    return speech.rate / (shortest + lags[shortest:longest].argmax())


@pytest.mark.parametrize("voice", ["en-us+f1", "en-us+f5", "en-us+m3", "en-us+whisper", "en-us+klatt"])
def test_same_samples_whatever_was_spoken_before(voice):
    """Else the corpus would depend on the order in which it is made: flutter, breath and echo carry over."""
    first = speak(TEXT, voice)
    speak(
        "Quite another sentence, higher and faster.",
        "en-us+f4",
        rate=300,
        pitch=90,
        pitch_range=90,
        word_gap=5,
    )
    again = speak(TEXT, voice)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (first.words, first.phones) == (again.words, again.phones)


def test_same_samples_in_another_process():
    """Else a seed would not give the same corpus twice: by itself, espeak seeds its breath with the clock."""
    there = subprocess.run([sys.executable, "-c", SAY_AND_HASH], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hashlib.sha256(speak(TEXT, "en-us+f5").samples.tobytes()).hexdigest()


def test_threads_do_not_mix_their_speech():
    """Else two threads would write into one utterance: the engine is one per process."""
    texts = [f"This is sentence {number}." for number in range(8)]
    alone = [speak(text).samples for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = [speech.samples for speech in pool.map(speak, texts)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("voice", ["en-us+f1", "en-us+Annie", "en-us+linda", "en-us+m1", "en-us+m3", "en-us+m6"])
@pytest.mark.parametrize("rate", [110, 240])
def test_words_begin_and_end_where_the_sound_does(voice, rate):
    """Else alignments would be off by more than the 20 ms that are promised."""
    speech = speak(TEXT, voice, rate=rate, word_gap=12)
    window = speech.rate // 250
    energy = np.convolve(speech.samples**2, np.ones(window) / window, "same")
    loud = np.flatnonzero(energy > 1e-4 * energy.max()) / speech.rate
    assert len(speech.words) == 11
    for start, end, word in speech.words:
        heard = loud[(loud > start - 0.03) & (loud < end + 0.03)]
        assert abs(heard[0] - start) < 0.02, word
        assert abs(heard[-1] - end) < 0.02, word
    inside = np.zeros(len(energy), bool)
    for start, end, _ in speech.words:
        inside[max(0, round((start - 0.005) * speech.rate)) : round((end + 0.005) * speech.rate)] = True
    assert energy[inside].mean() > 1000 * energy[~inside].mean()


def test_phones_tile_their_words():
    """Else a phone would be lost between two words, or belong to neither."""
    speech = speak(TEXT, "en-us+m1", word_gap=8)
    inside = 0
    for start, end, _ in speech.words:
        phones = [phone for phone in speech.phones if start <= phone[0] < end]
        assert (phones[0][0], phones[-1][1]) == (start, end)
        assert all(left[1] == right[0] for left, right in zip(phones, phones[1:], strict=False))
        inside += len(phones)
    assert inside == len(speech.phones)


def test_words_are_those_of_the_text():
    """Else transcripts and alignments would disagree: espeak cuts "don't" to "don" and joins "of the"."""
    speech = speak("I don't know, it's one of the \"well-known\" cafés!")
    assert [word for *_, word in speech.words] == [
        "I",
        "don't",
        "know",
        "it's",
        "one",
        "of",
        "the",
        "well-known",
        "cafés",
    ]


def test_settings_are_heard():
    """Else prosody would not reach the sound: octaves of pitch, tempo, loudness, pauses."""
    plain = speak(TEXT, "en-us+m3", pitch_range=0)
    assert pitch(speak(TEXT, "en-us+m3", pitch=99, pitch_range=0)) > 1.3 * pitch(plain)
    assert len(speak(TEXT, rate=300).samples) < 0.7 * len(speak(TEXT, rate=170).samples)
    assert np.abs(speak(TEXT, "en-us+m3", volume=50).samples).max() < 0.6 * np.abs(plain.samples).max()
    assert len(speak(TEXT, word_gap=20).samples) > len(speak(TEXT).samples) + 5 * 0.2 * plain.rate


@pytest.mark.parametrize("voice", ["en-us+nobody", "xx-nowhere", "xx+f1"])
def test_unknown_voice(voice):
    """Else espeak would quietly speak with its default voice."""
    with pytest.raises(ValueError, match=voice.replace("+", r"\+")):
        speak(TEXT, voice)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_to_say(text):
    """Else the corpus would hold utterances of silence."""
    with pytest.raises(ValueError, match="nothing to say"):
        speak(text)
