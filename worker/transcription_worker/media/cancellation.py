"""Find channels that cancel each other out when they are mixed, as where one of a stereo pair was wired the wrong way round.

The mix of such channels is silence, or the little in which they differ. A recording of silence looks the same, so that a
mix that is quiet is compared with its channels.
"""

from collections.abc import Sequence

import numpy as np

from transcription_worker.engines.protocol import SAMPLE_RATE
from transcription_worker.media.pcm_file import PcmFile

# Speech that anybody can follow is louder than this in the second in which it is spoken.
QUIET_DECIBELS = -50.0
# What a mix of channels loses at most while they do not cancel: two that have nothing in common lose 3 dB, one beside
# fifteen silent ones 24 dB, and stereo 6 dB.
LOST_DECIBELS = 26.0
_SILENCE_DECIBELS = -120.0
_BLOCK_SECONDS = 60  # read at a time

Levels = np.ndarray[tuple[int], np.dtype[np.float64]]


def levels(pcm: PcmFile) -> Levels:
    """Return the level of each whole second in dB, of which 0 is full scale; that of a last part of one is left out."""
    powers = [np.zeros(0)]
    for start in range(0, pcm.count - SAMPLE_RATE + 1, _BLOCK_SECONDS * SAMPLE_RATE):
        block = pcm.read(start, _BLOCK_SECONDS * SAMPLE_RATE)
        seconds = block[: block.size // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE)
        powers.append(np.einsum("ij,ij->i", seconds, seconds).astype(np.float64) / SAMPLE_RATE)
    decibels: Levels = 10 * np.log10(np.maximum(np.concatenate(powers), 10 ** (_SILENCE_DECIBELS / 10)))
    return decibels


def is_mostly_quiet(mix: Levels) -> bool:
    """Return whether half of the seconds or more are quieter than speech, so that a look at the channels is due."""
    return mix.size > 0 and float(np.median(mix)) < QUIET_DECIBELS


def find_cancelled(mix: Levels, channels: Sequence[Levels]) -> int | None:
    """Return the number of the loudest channel if the mix lost what it says; None if it did not."""
    loudest = int(np.argmax([np.sum(10 ** (channel / 10)) for channel in channels]))
    audible = channels[loudest] > QUIET_DECIBELS
    lost = audible & (mix < channels[loudest] - LOST_DECIBELS)
    return loudest if lost.any() and lost.sum() * 2 >= audible.sum() else None
