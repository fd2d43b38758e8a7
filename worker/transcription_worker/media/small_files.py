"""Decode small files that wait at the same time in one ffmpeg, whose start takes longer than the decoding of one of them.

On the machine of docs/performance.md an ffmpeg that does nothing takes 64 ms of CPU, and 2 s of audio 13 ms more.
"""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from transcription_worker.errors import WorkerError
from transcription_worker.media import ffmpeg
from transcription_worker.media.ffmpeg import DecodeRequest, ProcessResult

SMALL_BYTES = 1 << 20  # of the largest file that is decoded together with others
MOST_TOGETHER = 8
MOST_OUTPUTS = 3  # of one file: the samples of two channels, and the clock
# After files that could not be decoded together, so many are decoded alone, and twice as many each time that it happens again.
LEAST_ALONE, MOST_ALONE = MOST_TOGETHER, 64 * MOST_TOGETHER
# Warnings of ffmpeg that say nothing about the samples: the speakers of one or two channels are known without a name, and the
# length of an mp3 without a Xing header or of an ADTS stream is estimated.
_HARMLESS = re.compile(
    rb"\[warning\] (Guessed Channel Layout( for Input Stream #\d+\.\d+ )?: (mono|stereo)"
    rb"|Estimating duration from bitrate, this may be inaccurate)"
)


@dataclass(eq=False)
class _Waiting:
    """A file that waits to be decoded. `result` is set once it was decoded together with others."""

    request: DecodeRequest
    taken: bool = False  # by another thread, which decodes it
    refused: bool = False  # it was not decoded properly with others, and must be decoded alone
    result: ProcessResult | None = None


class SmallFileDecoder:
    """Decodes small files in at most so many processes at a time. Those that wait for one meanwhile are decoded in one process.

    Whatever ffmpeg says about files that are decoded together, it is not known which of them it means: they count as decoded
    only if it says nothing, and else each is decoded alone, so that no file changes what becomes of another.
    """

    def __init__(self, processes: int) -> None:
        self._free = processes
        self._waiting: list[_Waiting] = []
        self._alone = 0  # files that are decoded alone before others are decoded together again
        self._penalty = LEAST_ALONE
        self._changed = threading.Condition()

    def decode(self, request: DecodeRequest) -> ProcessResult:
        """Decode a file as `ffmpeg.decode` does; it is safe to call from several threads.

        Raises:
            WorkerError, OSError: as `ffmpeg.decode`.
        """
        if not _is_small(request):
            return ffmpeg.decode(request)
        mine = _Waiting(request)
        with self._changed:
            self._waiting.append(mine)
        while mine.result is None:
            with self._turn(mine) as together:
                if len(together) > 1:
                    self._decode_together(together)
                elif together:
                    mine.result = ffmpeg.decode(request)
        return mine.result

    @contextmanager
    def _turn(self, mine: _Waiting) -> Iterator[list[_Waiting]]:
        """Wait for a free process, and yield the files to decode in it, `mine` first; none where another thread took `mine`."""
        with self._changed:
            self._changed.wait_for(lambda: mine.result or (self._free and not mine.taken))
            together = [] if mine.result else self._take(mine)
            self._free -= bool(together)
        try:
            yield together
        finally:
            with self._changed:
                self._free += bool(together)
                self._changed.notify_all()

    def _take(self, mine: _Waiting) -> list[_Waiting]:
        """Return `mine` and those that have waited longest, which no other thread takes any more."""
        taken = [mine]
        if self._alone:
            self._alone -= 1
        elif not mine.refused:
            others = [one for one in self._waiting if one is not mine and not one.refused]
            taken += others[: MOST_TOGETHER - 1]
        for one in taken:
            one.taken = True
        self._waiting = [one for one in self._waiting if one not in taken]
        return taken

    def _decode_together(self, together: list[_Waiting]) -> None:
        decoded = False
        try:
            decoded = _decoded_together([one.request for one in together])
        finally:
            with self._changed:
                for one in together:
                    one.result = ProcessResult(0, b"") if decoded else None
                    one.taken, one.refused = decoded, not decoded
                self._waiting = [*([] if decoded else together), *self._waiting]
                self._penalty = LEAST_ALONE if decoded else min(2 * self._penalty, MOST_ALONE)
                self._alone = 0 if decoded else self._penalty


def _is_small(request: DecodeRequest) -> bool:
    small = request.path.stat().st_size <= SMALL_BYTES and len(request.outputs) <= MOST_OUTPUTS
    return small and not request.reading.deep


def _decoded_together(requests: Sequence[DecodeRequest]) -> bool:
    """Return whether all files are decoded, without a word from ffmpeg; empty their outputs if not."""
    try:
        result = ffmpeg.decode_together(requests)
        if result.returncode == 0 and _is_harmless(result.stderr):
            return True
    except (WorkerError, OSError):  # told by the file that is to blame, once each is decoded alone
        pass
    for fd in (output.fd for request in requests for output in request.outputs):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
    return False


def _is_harmless(words: bytes) -> bool:
    lines = (re.sub(rb"^\[[^\]]* @ [^\]]*\] ", b"", line) for line in words.splitlines())
    return all(_HARMLESS.fullmatch(line) for line in lines)
