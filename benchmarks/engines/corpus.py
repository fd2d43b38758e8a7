"""Make the files that are transcribed: synthetic speech, or noise for models with random weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.speech import SAMPLE_RATE, speak, write_wav
from tests.support.transcript_score import spoken_text

# Held-out seeds of the generator; the test model never heard them.
FIRST_SEED = 40_000
SHORTEST, LONGEST = 30, 60  # seconds


@dataclass(frozen=True)
class Recording:
    """A mono WAV file at 16 kHz. `text` is what is spoken in it, and empty for noise."""

    path: Path
    seconds: float
    text: str


def speech_corpus(folder: Path, count: int) -> list[Recording]:
    """Return `count` files of 30 to 60 s, English and Portuguese in turn."""
    lengths = np.random.default_rng(FIRST_SEED).uniform(SHORTEST, LONGEST, count)
    return [_spoken(folder, number, float(seconds)) for number, seconds in enumerate(lengths)]


def _spoken(folder: Path, number: int, seconds: float) -> Recording:
    samples, utterances = speak(("en", "pt")[number % 2], FIRST_SEED + number, seconds)
    path = folder / f"{number:03}.wav"
    write_wav(path, samples)
    return Recording(path, samples.size / SAMPLE_RATE, spoken_text(utterances))


def long_recording(folder: Path, seconds: float) -> Recording:
    """Return one long file of synthetic speech."""
    samples, utterances = speak("en", FIRST_SEED + 900, seconds)
    path = folder / "long.wav"
    write_wav(path, samples)
    return Recording(path, samples.size / SAMPLE_RATE, spoken_text(utterances))


def noise_corpus(folder: Path, count: int, seconds: float) -> list[Recording]:
    """Return files of noise of the same length, since a model with random weights transcribes nothing sensibly."""
    chance = np.random.default_rng(FIRST_SEED)
    found = []
    for number in range(count):
        samples = chance.normal(0, 0.05, round(seconds * SAMPLE_RATE)).astype(np.float32)
        path = folder / f"noise-{number:03}.wav"
        write_wav(path, samples)
        found.append(Recording(path, seconds, ""))
    return found
