"""Provide audio of any length that takes no memory: a short recording over and over."""

from dataclasses import dataclass, field

import numpy as np
from transcription_worker.engines.protocol import SAMPLE_RATE, Samples


@dataclass
class LongAudio:
    """Audio that repeats `recording` for `seconds`. `reads` lists the requests as (start, count) in samples."""

    recording: Samples
    seconds: int
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.seconds * SAMPLE_RATE

    def read(self, start: int, count: int) -> Samples:
        """See `Audio.read`."""
        self.reads.append((start, count))
        first, size = start % self.recording.size, max(0, min(count, self.count - start))
        if first + size <= self.recording.size:
            return self.recording[first : first + size]
        return np.tile(self.recording, -(-(first + size) // self.recording.size))[first : first + size]

    def close(self) -> None:
        """Close nothing, since nothing is open."""
