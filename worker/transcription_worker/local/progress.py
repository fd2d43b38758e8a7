"""Measure the progress over many files: the audio that is done, the total, the speed and the time left."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class _OpenedFile:
    """A file that the engine has opened and that has not ended.

    `size` is in bytes; `done` holds the seconds of each track that are transcribed.
    """

    size: int
    seconds: float
    tracks: int
    done: dict[int, float] = field(default_factory=dict)

    @property
    def seconds_done(self) -> float:
        return min(self.seconds, sum(self.done.values()) / self.tracks)


@dataclass(frozen=True)
class ProgressSnapshot:
    """The progress at one moment, in seconds of audio, except elapsed and eta, which are seconds of time.

    `total` is an estimate until every file has been opened. The speed says nothing until `settled`, because the first
    windows of files that are decoded side by side are done at about the same time.
    """

    done: float
    total: float | None
    estimated: bool
    elapsed: float
    files_ended: int
    settled: bool = True

    @property
    def share(self) -> float:
        """The share of the audio that is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def speed(self) -> float:
        """The seconds of audio that are transcribed per second of time."""
        return self.done / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """The seconds left at the speed so far, None until that is known."""
        if self.total is None or self.speed <= 0 or not self.settled:
            return None
        return max(0.0, self.total - self.done) / self.speed


class FilesProgress:
    """Adds up the progress of every file; its methods are called from several threads. Sizes are in bytes.

    The length of a file that is not opened yet is estimated from its size, at the bytes per second of those that are.
    """

    def __init__(self, sizes: list[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unopened = dict(enumerate(sizes))
        self._opened: dict[int, _OpenedFile] = {}
        self._ended = 0
        self._done_files = self._done_size = 0  # of files that have ended, and did not fail
        self._done_seconds = 0.0
        self._began = clock()

    def begin(self) -> None:
        """Count the time from now on: the model was loaded before."""
        self._began = self._clock()

    def open(self, file: int, seconds: float, tracks: int = 1) -> None:
        """Set the seconds of a file that are to be transcribed."""
        with self._lock:
            if (size := self._unopened.pop(file, None)) is not None:
                self._opened[file] = _OpenedFile(size, seconds, tracks)

    def advance(self, file: int, track: int, seconds: float) -> None:
        """Set the seconds of one of its tracks that are transcribed."""
        with self._lock:
            if file in self._opened:
                self._opened[file].done[track] = seconds

    def end(self, file: int, failed: bool) -> None:
        """Count a file as ended. Audio of a file that failed does not count as transcribed."""
        with self._lock:
            self._ended += 1
            self._unopened.pop(file, None)
            opened = self._opened.pop(file, None)
            if opened is not None and not failed:
                self._done_files += 1
                self._done_size += opened.size
                self._done_seconds += opened.seconds

    def snapshot(self) -> ProgressSnapshot:
        with self._lock:
            opened = list(self._opened.values())
            seconds = self._done_seconds + sum(one.seconds for one in opened)
            size = self._done_size + sum(one.size for one in opened)
            unopened = sum(self._unopened.values())
            total = seconds + (unopened * seconds / size if size else 0.0)
            begun = self._done_files + sum(one.seconds_done > 0 for one in opened)
            return ProgressSnapshot(
                done=self._done_seconds + sum(one.seconds_done for one in opened),
                total=total or None,
                estimated=bool(self._unopened),
                elapsed=self._clock() - self._began,
                files_ended=self._ended,
                settled=2 * begun >= self._done_files + len(opened),
            )
