"""Define inputs for the real model: English read aloud by flite, long enough for what only several windows show."""

from functools import cache

import numpy as np
from transcription_api.spec import Clip

from tests.support.engine_cases import BEAM, GREEDY, WORDS, Case, changed, joined, options, silence
from tests.support.flite import read_aloud
from tests.support.speech import Samples

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


@cache
def read(text: str, voice: str) -> Samples:
    return read_aloud(text, voice)


def real_model_cases() -> list[Case]:
    """Return files of one and of several windows, with the options whose paths through the decoder differ."""
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
        Case("silence", silence(3), options(GREEDY)),
    ]
