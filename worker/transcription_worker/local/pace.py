"""How far many files are: seconds of audio done, of about how many, how fast and how long still."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class _Known:
    """A file that has been opened. `done`: seconds of each of its tracks."""

    size: int
    seconds: float
    tracks: int
    done: dict[int, float] = field(default_factory=dict)
    ended: bool = False

    @property
    def seconds_done(self) -> float:
        return self.seconds if self.ended else min(self.seconds, sum(self.done.values()) / self.tracks)


@dataclass(frozen=True)
class Reading:
    """Of one moment. Seconds of audio but for elapsed and eta. `total` is an estimate until every file was opened.

    Before it is `settled` the speed says nothing: of many files side by side the first windows are done at about the same time.
    """

    done: float
    total: float | None
    estimated: bool
    elapsed: float
    files_ended: int
    settled: bool = True

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def speed(self) -> float:
        """Seconds of audio in one second."""
        return self.done / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left at the speed so far."""
        if self.total is None or self.speed <= 0 or not self.settled:
            return None
        return max(0.0, self.total - self.done) / self.speed


class Pace:
    """What every file is doing; told from several threads. Sizes in bytes.

    The length of a file that nobody has opened is guessed from its size, at the bytes for a second of those that were.
    """

    def __init__(self, sizes: list[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unopened = dict(enumerate(sizes))
        self._known: dict[int, _Known] = {}
        self._ended = 0
        self._began = clock()

    def begin(self) -> None:
        """The time before does not count: the model was loaded in it."""
        self._began = self._clock()

    def opened(self, file: int, seconds: float, tracks: int = 1) -> None:
        """So many seconds of it are to be transcribed."""
        with self._lock:
            if (size := self._unopened.pop(file, None)) is not None:
                self._known[file] = _Known(size, seconds, tracks)

    def advance(self, file: int, track: int, seconds: float) -> None:
        """So many seconds of one of its tracks are done."""
        with self._lock:
            if file in self._known:
                self._known[file].done[track] = seconds

    def end(self, file: int, failed: bool) -> None:
        """What fails is no audio that was transcribed."""
        with self._lock:
            self._ended += 1
            self._unopened.pop(file, None)
            if failed:
                self._known.pop(file, None)
            elif file in self._known:
                self._known[file].ended = True

    def read(self) -> Reading:
        with self._lock:
            known = list(self._known.values())
            seconds, size = sum(one.seconds for one in known), sum(one.size for one in known)
            unopened = sum(self._unopened.values())
            total = seconds + (unopened * seconds / size if size else 0.0)
            return Reading(
                done=sum(one.seconds_done for one in known),
                total=total or None,
                estimated=bool(self._unopened),
                elapsed=self._clock() - self._began,
                files_ended=self._ended,
                settled=2 * sum(one.seconds_done > 0 for one in known) >= len(known),
            )
