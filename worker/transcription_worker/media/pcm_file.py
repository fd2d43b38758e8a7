"""Samples in a file on disk, which an engine reads in pieces.

They are 115 MB per hour of audio, so that long audio does not fill the memory; docs/adr/0027 explains why.
"""

import errno
import os
from typing import IO

import numpy as np

from transcription_worker.engines.protocol import Samples
from transcription_worker.media.ffmpeg import SAMPLE_BYTES
from transcription_worker.media.timeline import Timeline

_FULL_SCALE = 32768.0
_READ_SAMPLES = 1 << 20  # the samples read at a time, whose bytes are held in memory beside the result
_NO_GAPS = Timeline()


class PcmFile:
    """Implement protocol.Audio over a file that holds `stored` samples as s16le from the byte `offset` on.

    `timeline` says where silence lies between them.
    """

    def __init__(self, file: IO[bytes], offset: int, stored: int, timeline: Timeline = _NO_GAPS) -> None:
        """Take ownership of the open file. A temporary file is deleted when it is closed."""
        self._file = file
        self._offset = offset
        self._timeline = timeline
        self._count = stored + timeline.silence

    @property
    def count(self) -> int:
        return self._count

    def read(self, start: int, count: int) -> Samples:
        """Return float32 samples of shape (up to `count`,); see `protocol.Audio.read`.

        It uses pread, so that threads share no file position and no mapped pages count as memory.

        Raises:
            OSError: EIO, if the file was cut off while it was read.
        """
        start = min(start, self._count)
        samples = np.zeros(min(count, self._count - start), np.float32)
        for piece in self._timeline.pieces(start, start + samples.size):
            for done in range(0, piece.count, _READ_SAMPLES):
                at = piece.at - start + done
                part = samples[at : at + min(_READ_SAMPLES, piece.count - done)]
                part[:] = self._pcm(piece.stored + done, part.size)
        samples /= _FULL_SCALE
        return samples

    def _pcm(self, stored: int, count: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
        taken = os.pread(self._file.fileno(), count * SAMPLE_BYTES, self._offset + stored * SAMPLE_BYTES)
        if len(taken) != count * SAMPLE_BYTES:
            raise OSError(errno.EIO, "the samples were cut off while they were read", self._file.name)
        return np.frombuffer(taken, np.dtype("<i2"))

    def close(self) -> None:
        """Close the file; see `protocol.Audio.close`. Closing it more than once is no error."""
        self._file.close()
