"""Make audio of 30 s on which Whisper hallucinates: it repeats itself, or gives words where nobody speaks.

Transcribed with the arguments LENIENT, Whisper keeps that text.
"""

from typing import Any

import numpy as np

from tests.support.speech import SAMPLE_RATE, Samples, speak, synthesise

SECONDS = 30  # one window

# Arguments of whisper.transcribe that keep text which its thresholds and other temperatures would replace.
LENIENT: dict[str, Any] = {
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "logprob_threshold": None,
    "no_speech_threshold": None,
}


def repeated(text: str, voice: str, gap: float = 0.05) -> Samples:
    """Return `text`, spoken again and again with `gap` seconds between."""
    sound = synthesise(text, voice, speed=170, pitch=50)
    once = np.concatenate([sound, np.zeros(round(gap * SAMPLE_RATE), np.float32)])
    return _filled(once)


def melody() -> Samples:
    """Return a note every half second, with overtones that fade like those of a plucked string."""
    draw, samples = np.random.default_rng(0), np.zeros(SECONDS * SAMPLE_RATE)
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for at in range(0, samples.size - SAMPLE_RATE + 1, SAMPLE_RATE // 2):
        pitch = 220 * 2 ** (draw.integers(24) / 12)
        tones = [np.sin(2 * np.pi * pitch * overtone * times) / overtone for overtone in (1, 2, 3, 4)]
        samples[at : at + SAMPLE_RATE] += sum(tones) * np.exp(-3 * times)
    louder: Samples = (0.5 * samples / np.abs(samples).max()).astype(np.float32)
    return louder


def tone(hertz: float = 440) -> Samples:
    """Return one steady tone."""
    times = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    samples: Samples = (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return samples


def bursts() -> Samples:
    """Return noise that comes and goes about once a second."""
    draw, times = np.random.default_rng(0), np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    loud = np.sin(2 * np.pi * times / 1.1) > 0.6
    return np.clip(0.2 * draw.standard_normal(times.size) * loud, -1, 1).astype(np.float32)


def speech_then_silence() -> Samples:
    """Return English for 12 s, then a minute of silence. Without timestamps, Whisper continues the text in the silence."""
    spoken, _ = speak("en", 31, 12)
    return np.concatenate([spoken, np.zeros(60 * SAMPLE_RATE, np.float32)])


def _filled(once: Samples) -> Samples:
    times = -(-SECONDS * SAMPLE_RATE // once.size)
    filled: Samples = np.tile(once, times)[: SECONDS * SAMPLE_RATE]
    return filled
