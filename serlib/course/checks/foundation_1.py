"""Checks of Sound and prosody."""

import librosa
import numpy as np

from serlib.course.check import called, close, names, numbers, parts, seal

MEASURES = ("pitch (Hz)", "range (semitones)", "level (dB)", "duration (s)", "tilt (dB)", "clearness (dB)")


def exercise_1(answer):
    """Against the spectrum of the tone, as it is recorded. Page: notebooks/f1."""
    for tone, rate in ((5500, 8000), (3000, 4000), (9000, 16000), (4100, 8000)):
        recorded = np.sin(2 * np.pi * tone * np.arange(rate) / rate)
        seen = np.abs(np.fft.rfft(recorded)).argmax()
        given = numbers(called(answer, tone, rate))
        if abs(given - seen) >= 1:
            return f"{tone} Hz at {rate} numbers a second does not appear at {given:g} Hz; look at its spectrum."


def exercise_2(answer):
    """An octave is twelve, equal pitches none, steps add up. Page: notebooks/f1."""
    one, two, three = np.array([110.0, 208.0]), np.array([220.0, 150.0]), np.array([350.0, 99.0])
    given = numbers(called(answer, one, two), (2,), "what your function gives for two arrays")
    if not close(given[0], 12):
        return "from 110 to 220 Hz is an octave, twelve semitones."
    if not close(given + called(answer, two, three), called(answer, one, three)):
        return "two steps, one after the other, should add up."
    if not close(given, librosa.hz_to_midi(two) - librosa.hz_to_midi(one)):
        return "from 208 down to 150 Hz it is off."


def exercise_3(answer):
    """By a digest. Page: notebooks/f1."""
    given = names(answer, {*MEASURES})
    if not given:
        return "some of them cannot change. Which do not know of time at all?"
    if seal("f1.3", given) != "964befe59c93e8af":
        return "not these: which are the same to the last digit, and have to be?"


def exercise_4(answer):
    """Whether a recording can be measured at all: long enough, loud enough, with a voice in it. Page: notebooks/f1."""
    pitch, _, level, duration, _, _ = (float(numbers(value)) for value in parts(answer, MEASURES))
    if duration < 0.5:
        return f"{duration:.1f} s are too short: say the whole sentence."
    if level < -55:
        return f"its level is {level:.0f} dB: hardly anything was recorded. Go nearer to the microphone."
    if not 50 <= pitch <= 600:
        return "no pitch of a voice was found in it. Is there music, or noise, or silence?"
