"""Bounds on what is fetched and decoded ahead of the engine: by number for large files, and by bytes for small ones."""

import threading

from transcription_api import reasons

from transcription_worker.errors import WorkerError

# Inputs that are prepared before the engine opens them, whatever their size, each in a thread.
PREPARED_AHEAD = 4
# The most of these beside a GPU, which takes audio sooner than four cores decode mp3: some 450 times real time each.
MOST_PREPARED_AHEAD = 16
# Inputs that are prepared where they are small, so that there are always some to decode together, and the bytes of their
# samples, or of what is downloaded where that is more.
MOST_AHEAD = 32
SMALL_AHEAD = 256 << 20
# Bytes of media that are downloaded ahead; one input that is larger than this is let through on its own.
DOWNLOADED_AHEAD = 4 << 30
# How much larger the samples of a file are than the file, for a codec of 5.3 kbit/s. The quietest of those for speech is that.
LARGEST_RATIO = 48


def prepared_ahead(device: str, cores: int) -> int:
    """Return how many inputs of any size are prepared ahead on a device, cuda or cpu. On a CPU the cores are the model's too."""
    return PREPARED_AHEAD if device == "cpu" else min(MOST_PREPARED_AHEAD, max(PREPARED_AHEAD, cores))


class AheadBudget:
    """Bounds inputs that the engine has not opened yet. Each enters, and is released once; both in any thread."""

    def __init__(self, least: int, most: int, downloaded: int, small: int = SMALL_AHEAD) -> None:
        self._least, self._most, self._downloaded, self._small = least, most, downloaded, small
        self._changed = threading.Condition()
        self._downloads: dict[int, int] = {}  # bytes by input; 0 until the input has been looked up
        self._expected: dict[int, float] = {}  # bytes of scratch by input
        self._closed = False

    def has_room(self) -> bool:
        """Whether another input may enter: one of few, or all are small together. One that is unknown is none of the small."""
        with self._changed:
            count = len(self._expected)
            return count < self._least or (count < self._most and sum(self._expected.values()) < self._small)

    def enter(self, number: int) -> None:
        """Count an input of which nothing is known yet. Inputs enter in their order."""
        with self._changed:
            self._downloads[number] = 0
            self._expected[number] = self._small / self._least

    def reserve(self, number: int, size: int) -> None:
        """Wait until so many bytes may be downloaded. The first input in line never waits, so that one always goes on.

        Raises:
            WorkerError: Interrupted, if the pipeline has ended meanwhile.
        """

        def has_room() -> bool:
            others = sum(self._downloads.values())
            return self._closed or number == min(self._downloads) or others + size <= self._downloaded

        with self._changed:
            self._changed.wait_for(has_room)
            if self._closed:
                raise WorkerError(reasons.INTERRUPTED, "the pipeline ended before this input was fetched")
            self._downloads[number] = size

    def expect(self, number: int, media_bytes: int | None) -> None:
        """Take down what the samples of a file of that size can come to; None says that its size is not known."""
        if media_bytes is not None:
            self._set_expected(number, media_bytes * LARGEST_RATIO)

    def decoded(self, number: int, sample_bytes: int) -> None:
        """Take down what the samples of an input have come to."""
        self._set_expected(number, sample_bytes)

    def _set_expected(self, number: int, size: float) -> None:
        with self._changed:
            if number in self._expected:
                self._expected[number] = size

    def release(self, number: int) -> None:
        """Forget an input that the engine has opened, or that needs no engine."""
        with self._changed:
            self._downloads.pop(number, None)
            self._expected.pop(number, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
