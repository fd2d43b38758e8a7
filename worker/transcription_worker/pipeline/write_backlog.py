"""Bound the transcripts that wait to be written, by the memory that they take."""

import threading

from transcription_worker.engines.protocol import Transcript

# Bytes of transcripts that may wait: some thousand hours of speech without times of words, and two hundred with them.
BACKLOG_BYTES = 256 << 20

# Bytes that CPython takes for the parts of a transcript, measured with tracemalloc.
SEGMENT_BYTES, TOKEN_BYTES, WORD_BYTES = 800, 40, 400


class WriteBacklog:
    """Lets transcripts in as long as all of them together have room. One that is larger than that is let in on its own."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        """Wait until there is room for so many bytes, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._limit)
            self._held += size

    def leave(self, size: int) -> None:
        """Give the room of a transcript back."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()


def transcript_bytes(transcript: Transcript) -> int:
    """Estimate the memory of a transcript in bytes, to within a factor of two."""
    parts = (
        SEGMENT_BYTES + TOKEN_BYTES * len(one["tokens"]) + WORD_BYTES * len(one.get("words", ()))
        for one in transcript.segments
    )
    return len(transcript.text) + sum(parts)
