"""Define inputs for the real model: the parity suite's and some more, with English that flite reads aloud."""

from collections.abc import Callable
from functools import cache

import numpy as np
from transcription_api.spec import Clip

from tests.support.engine_cases import BEAM, GREEDY, WORDS, Case, all_cases, changed, joined, options
from tests.support.flite import read_aloud
from tests.support.speech import SAMPLE_RATE, Samples

REPORT = (
    "The committee met on Thursday morning, and agreed to publish the results of the survey before the end of the year. "
    "Most of the people who answered said that they travel to work by train, although a third of them own a car. "
    "Nobody could explain why the number of passengers fell in March and rose again in the summer."
)
LETTER = (
    "Thank you for your letter of the second of June. We looked at the house by the river, and my sister liked the garden, "
    "but the roof needs repair and the kitchen is too small for a family of five. "
    "Please tell the owner that we would rather wait until spring."
)
QUESTION = "Where did you leave the keys to the office?"
# tiny.en writes what it is told in English; of sentences of the test model's grammar it makes lists of numbers without end.
# They are short and far apart, since openai-whisper takes 20 ms for a token and several times that with beams.
SENTENCES = (
    QUESTION,
    "The bridge was closed for two days.",
    "She had never seen so much snow in April.",
    "He asked whether the doctor would come back before dinner.",
    "They sold the boat and bought a small farm in the hills.",
)
PAUSE_SECONDS = 12.0
# flite speaks English alone: what is Portuguese with the test model is another person with this one.
VOICES = {"en": "slt", "pt": "awb"}
# Cases that the parity suite has and this model is not given: what an English-only model is refused for, by the field that
# the refusal names, and the long ones, since "3 windows, beams" and "two windows" already pass text on from window to window.
REFUSED = {"another language given": "spec.language", "translation": "spec.task"}
LONG = ("2.5 min of English", "2 min of Portuguese without conditioning", "4 min of English with words")


@cache
def read(text: str, voice: str) -> Samples:
    return read_aloud(text, voice)


@cache
def _read_for(voice: str, seconds: float) -> Samples:
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    once = np.concatenate([part for text in SENTENCES for part in (read(text, voice), pause)])
    return np.resize(once, round(seconds * SAMPLE_RATE))


def reading(language: str, _: int, seconds: float) -> Callable[[], Samples]:
    """Make the sentences, again and again, of exactly this length: an engine_cases.Voice. All begin alike, which saves windows."""
    return lambda: _read_for(VOICES[language], seconds)


def real_model_cases() -> list[Case]:
    """Return the cases of the parity suite, without REFUSED and LONG, and those that only a real model has."""
    return [case for case in all_cases(reading) if case.name not in (*REFUSED, *LONG)] + further_cases()


def further_cases() -> list[Case]:
    """Return files of one and of several windows, whose words are known."""
    question = lambda: read(QUESTION, "rms")  # noqa: E731
    letter, report = lambda: read(LETTER, "awb"), lambda: read(REPORT, "slt")
    noisy = changed(question, lambda samples: samples + np.random.default_rng(5).normal(0, 0.02, len(samples)))
    return [
        Case("a question, beams", question, options(BEAM)),
        Case("a question in noise, words", noisy, options(WORDS)),
        Case("a question, no timestamps", question, options(GREEDY | {"without_timestamps": True})),
        Case("a letter, words", letter, options(WORDS)),
        Case("two windows", joined(report, question, letter), options(GREEDY)),
        Case("a clip", report, options(GREEDY, clips=(Clip(2.5, 9.0),))),
    ]
