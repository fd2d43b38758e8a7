"""Held-out speech for every test, and the measures of a transcript; the generator is the test model's own."""

from hack.testmodel.score import spoken_text, start_errors, word_error_rate
from hack.testmodel.speech import SAMPLE_RATE, Utterance, noise, speak, write_wav

__all__ = [
    "SAMPLE_RATE",
    "Utterance",
    "noise",
    "speak",
    "spoken_text",
    "start_errors",
    "word_error_rate",
    "write_wav",
]
