"""Synthesise speech: espeak-ng speaks sentences of the grammar, alone (clips) or one after another (recordings).

Everything is drawn from the seed. The sound also depends on espeak-ng's version; the model was trained with 1.51.
"""

import io
import random
import shutil
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.sentences import LANGUAGES, sentence

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz, what Whisper takes
VOICES = {
    "en": ("en-us", "en-gb", "en-gb-scotland", "en-us+f2", "en-us+m3", "en-gb+f4"),
    "pt": ("pt-br", "pt", "pt-br+f2", "pt-br+m3", "pt+f4"),
}
SPEED = (140, 190)  # words a minute
WAV_HEADER_BYTES = 44
PITCH = (35, 65)  # of espeak-ng's 0 to 99
AUDIBLE = 0.003  # of full scale; quieter samples at either end of a clip are cut off
GAP_SECONDS = (0.3, 1.6)  # silence between two utterances of a recording
LEVEL = (0.3, 1.0)  # a recording's loudness
LEVEL_CHANGE = (0.7, 1.0)  # an utterance's, on top of it
NOISE_EXPONENT = (-4.5, -2.8)  # of ten: the standard deviation of the noise in a recording
MAX_SECONDS = 3600  # of one recording


class MissingSynthesiserError(RuntimeError):
    """Says that espeak-ng is not installed."""


@dataclass(frozen=True)
class Utterance:
    """One sentence of a recording, with its start and end in seconds and its text."""

    start: float
    end: float
    text: str


def require_espeak() -> str:
    """Return the path of espeak-ng; raise MissingSynthesiserError with the command that installs it if it is missing."""
    found = shutil.which("espeak-ng")
    if found is None:
        raise MissingSynthesiserError("espeak-ng: not found on PATH; install it with: apt-get install -y espeak-ng")
    return found


def synthesise(text: str, voice: str, speed: int, pitch: int) -> Samples:
    """Return `text` as samples at 16 kHz without silence at the ends; raise CalledProcessError if espeak-ng fails."""
    command = [require_espeak(), "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as header:
        rate = header.getframerate()
    # espeak-ng cannot know the length when it writes the header to a pipe: all that follows it is sound
    raw: Samples = np.frombuffer(spoken[WAV_HEADER_BYTES:], dtype="<i2").astype(np.float32) / np.float32(32768)
    times = np.arange(int(len(raw) * SAMPLE_RATE / rate)) * (rate / SAMPLE_RATE)
    samples: Samples = np.interp(times, np.arange(len(raw)), raw).astype(np.float32)
    audible = np.nonzero(np.abs(samples) > AUDIBLE)[0]
    return samples[audible[0] : audible[-1] + 1] if len(audible) else samples


def clip(language: str, seed: str) -> tuple[Samples, str]:
    """Return one spoken sentence and its text, drawn from `seed`; raise ValueError for a language without a grammar."""
    if language not in LANGUAGES:
        raise ValueError(f"language: {language!r}; expected one of {', '.join(LANGUAGES)}")
    draw = random.Random(seed)
    text, voice = sentence(language, draw), draw.choice(VOICES[language])
    return synthesise(text, voice, draw.randint(*SPEED), draw.randint(*PITCH)), text


def speak(language: str, seed: int, seconds: float) -> tuple[Samples, list[Utterance]]:
    """Make a recording of `seconds`: utterances in several voices with gaps between them, level changes and noise.

    Returns mono samples at 16 kHz, between -1 and 1, and the utterances in order. No seed gives a sentence's sound
    as the model met it in training: those are drawn from seeds of their own kind.
    """
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"seconds: {seconds}; expected more than 0 and at most {MAX_SECONDS}")
    draw = random.Random(f"recording/{language}/{seed}")
    samples, at = np.zeros(round(seconds * SAMPLE_RATE), np.float32), draw.uniform(*GAP_SECONDS)
    utterances: list[Utterance] = []
    while True:
        sound, text = clip(language, f"recording/{language}/{seed}/{len(utterances)}")
        first, end = round(at * SAMPLE_RATE), at + len(sound) / SAMPLE_RATE
        if end + GAP_SECONDS[0] > seconds:
            break
        samples[first : first + len(sound)] = sound * draw.uniform(*LEVEL_CHANGE)
        utterances.append(Utterance(at, end, text))
        at = end + draw.uniform(*GAP_SECONDS)
    return finish(samples * draw.uniform(*LEVEL), draw), utterances


def noise(seed: int, seconds: float) -> Samples:
    """Return a recording in which nobody speaks."""
    return finish(np.zeros(round(seconds * SAMPLE_RATE), np.float32), random.Random(f"noise/{seed}"))


def finish(samples: Samples, draw: random.Random) -> Samples:
    """Return `samples` with white noise, whose level `draw` draws, clipped to full scale."""
    source = np.random.default_rng(draw.getrandbits(64))
    level = np.float32(10 ** draw.uniform(*NOISE_EXPONENT))
    noisy = samples + source.standard_normal(len(samples), dtype=np.float32) * level
    return np.clip(noisy, -1, 1).astype(np.float32)


def write_wav(path: Path, samples: Samples) -> None:
    """Write mono 16 kHz samples as 16-bit PCM."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
