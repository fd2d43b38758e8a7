"""Loudness of audio: RMS levels of short frames, and what counts as silence in a file.

Levels are in dBFS: 0 is the RMS of a full-scale square wave; a full-scale sine has -3. Audio is read in blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio, Samples

Levels = np.ndarray[Any, np.dtype[np.float32]]

FRAME = SAMPLE_RATE // 50  # samples: 20 ms, two or three periods of a low voice
FRAMES_PER_SECOND = SAMPLE_RATE // FRAME
BLOCK_SECONDS = 30  # of audio that are read at a time
LOWEST = -120.0  # dBFS, for nothing but zeros. One quantization step of 16 bits is at -90
SAMPLED_SECONDS = 1800  # of a longer file this many seconds are measured, spread evenly
# dBFS. What is below it is inaudible: the absolute gate of ITU-R BS.1770-5 (loudness of programmes).
GATE = -70.0
FLOOR_PERCENTILE = (
    10  # of the levels. Even speech without pauses to breathe is quieter than this floor for a tenth of its time
)
LOUD_PERCENTILE = 99
# dB above the floor. Levels of steady white noise lie within 1 dB of each other, those of room noise within 6 dB.
ABOVE_FLOOR = 6.0
# dB below the loud parts. Frames closer to them are never silent, whatever the floor, which says little in speech over steady
# noise, over music or without pauses.
BELOW_LOUD = 20.0


@dataclass(frozen=True)
class SilenceBounds:
    """Levels in dBFS: frames below `silent` are silence, frames above `sounding` are sound, those between are uncertain."""

    silent: float
    sounding: float


class Loudness:
    """Levels of an Audio. The bounds of silence and sound are measured when they are first needed."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio

    @classmethod
    def of(cls, audio: "Audio | Loudness") -> "Loudness":
        """Return a Loudness as it is, or that of an Audio."""
        return audio if isinstance(audio, Loudness) else cls(audio)

    @cached_property
    def bounds(self) -> SilenceBounds:
        """The bounds of this file. Reads at most SAMPLED_SECONDS of it."""
        levels = sampled_levels(self._audio)
        if not levels.size:
            return SilenceBounds(GATE, GATE)
        floor, loud = np.percentile(levels, (FLOOR_PERCENTILE, LOUD_PERCENTILE))
        above = float(floor) + ABOVE_FLOOR
        return SilenceBounds(max(GATE, min(above, float(loud) - BELOW_LOUD)), max(GATE, above))

    def measure_bounds(self) -> None:
        """Measure the bounds now, so that whoever needs them later does not wait."""
        _ = self.bounds

    def levels(self, start: float, end: float) -> Iterator[Levels]:
        """Yield the levels of the frames in [start, end) seconds, block by block, as far as there is audio."""
        first, last = max(0, round(start * SAMPLE_RATE)), min(self._audio.count, round(end * SAMPLE_RATE))
        step = BLOCK_SECONDS * SAMPLE_RATE
        for at in range(first, last, step):
            yield frame_levels(self._audio.read(at, min(step, last - at)))

    def seconds_above(self, start: float, end: float, *bounds: float) -> tuple[float, ...]:
        """How many of the seconds [start, end) are at least as loud as each of `bounds`, in dBFS."""
        counts = [0] * len(bounds)
        for levels in self.levels(start, end):
            counts = [count + int((levels >= bound).sum()) for count, bound in zip(counts, bounds, strict=True)]
        return tuple(count / FRAMES_PER_SECOND for count in counts)


def frame_levels(samples: Samples) -> Levels:
    """RMS level of each whole frame of FRAME samples, in dBFS, shape (frames,). Fewer samples make one frame."""
    if samples.size < FRAME:
        samples = np.pad(samples, (0, FRAME - samples.size)) if samples.size else samples
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    power = np.einsum("ij,ij->i", frames, frames) / np.float32(FRAME)
    levels: Levels = (10 * np.log10(np.maximum(power, 10 ** (LOWEST / 10)))).astype(np.float32)
    return levels


def sampled_levels(audio: Audio) -> Levels:
    """Levels of the audio, or of SAMPLED_SECONDS spread evenly over it if it is longer; in dBFS, shape (frames,)."""
    seconds = audio.count // SAMPLE_RATE
    if seconds <= SAMPLED_SECONDS:
        step = BLOCK_SECONDS * SAMPLE_RATE
        parts = [frame_levels(audio.read(at, step)) for at in range(0, audio.count, step)]
    else:
        picked = np.linspace(0, seconds - 1, SAMPLED_SECONDS).astype(int)
        parts = [frame_levels(audio.read(int(second) * SAMPLE_RATE, SAMPLE_RATE)) for second in picked]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def quietest_frame(levels: Levels, width: int) -> int:
    """The middle of the `width` consecutive frames with the least power; the first of equals."""
    power = 10 ** (levels.astype(np.float64) / 10)
    width = min(width, levels.size)
    together = np.convolve(power, np.ones(width), mode="valid")
    return int(together.argmin()) + width // 2
