"""A clock of the operator that a test can speed up, so that minutes of resyncs and retries pass in seconds.

Test and operator share a file of two numbers: how fast the operator's time passes, and how far it has come.
"""

import mmap
import selectors
import struct
import time
from collections.abc import Callable
from pathlib import Path

# The environment variable with the file's path.
ENVIRONMENT = "FAULTS_CLOCK"
_FORMAT = struct.Struct("dd")
# Seconds of real time for which the event loop sleeps at most, so that it notices a new rate.
LONGEST_SLEEP = 0.05
# Seconds of real time between two looks at the clock, of which more pass only if the operator is not let run.
LONGEST_STEP = 2 * LONGEST_SLEEP


class SharedClock:
    """The file as the test sees it. `rate` is 1 for real time; `ahead` is by how many seconds the operator's time leads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_FORMAT.pack(1.0, 0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORMAT.size)

    @property
    def rate(self) -> float:
        return float(_FORMAT.unpack_from(self._map)[0])

    @rate.setter
    def rate(self, value: float) -> None:
        struct.pack_into("d", self._map, 0, value)

    @property
    def ahead(self) -> float:
        return float(_FORMAT.unpack_from(self._map)[1])

    @ahead.setter
    def ahead(self, value: float) -> None:
        struct.pack_into("d", self._map, 8, value)


class OperatorTime:
    """The operator's monotonic time.

    While it awaits a response time passes at its real rate, or all would time out. So does time in which the machine does not
    let it run, or its lease would expire.
    """

    def __init__(self, shared: SharedClock, real: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._real = real
        self._at = self._start = real()
        self._now = self._at + shared.ahead
        self.requests = 0

    @property
    def rate(self) -> float:
        """How fast time passes now. A negative rate in the file means: even while a response is awaited."""
        rate = self._shared.rate
        return abs(rate) if rate < 0 or not self.requests else 1.0

    def monotonic(self) -> float:
        at = self._real()
        fast = min(at - self._at, LONGEST_STEP)
        self._now += fast * self.rate + (at - self._at - fast)
        self._at = at
        self._shared.ahead = self._now - at
        return self._now


class OperatorSelector(selectors.DefaultSelector):
    """Sleeps as long in real time as the event loop asks for in the operator's."""

    def __init__(self, clock: OperatorTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        longest = LONGEST_SLEEP if timeout is None else min(timeout / self._clock.rate, LONGEST_SLEEP)
        return super().select(longest)
