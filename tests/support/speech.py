"""Held-out speech for every test, and the measures of a transcript; the generator is the test model's own."""

from tests.support.speech_synthesis import SAMPLE_RATE, Utterance, noise, speak, write_wav
from tests.support.transcript_score import spoken_text, start_errors, word_error_rate

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
