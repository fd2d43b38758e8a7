"""Retry operations with exponential backoff, a bound on the whole outage and a log line for each pause."""

import logging
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

# The seconds without progress after which an endpoint counts as unreachable. The Job's own retries come after that.
ENV_OUTAGE_SECONDS = "TRANSCRIPTION_OUTAGE_SECONDS"
DEFAULT_OUTAGE_SECONDS = 90.0

# Statuses below 500 of an answer that may be another one a moment later: RFC 9110, and 425 of RFC 8470.
PASSING_STATUSES = {408, 425, 429}

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0


class Backoff:
    """Knows how long one operation has been failing, and how long to wait before its next try."""

    def __init__(
        self,
        what: str,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._what = what
        self._bound = outage_seconds() if seconds is None else seconds
        self._clock = clock
        self._sleep = sleep
        self._failing_since: float | None = None
        self._failures = 0

    def reset(self) -> None:
        """Count the next failure as a new outage, since bytes have arrived."""
        self._failing_since = None
        self._failures = 0

    def wait_after(self, error: Exception, why: str) -> None:
        """Sleep until the next try.

        Raises:
            Exception: `error` itself, if the next try would come later than the bound.
        """
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        pause = self._next_pause()
        if now + pause - self._failing_since > self._bound:
            raise error
        log.warning("%s: %s; next try in %.1f s", self._what, why, pause)
        self._sleep(pause)

    def _next_pause(self) -> float:
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**self._failures)
        self._failures += 1
        # The jitter keeps a hundred workers that lost the same endpoint from all coming back at the same moment.
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it


def outage_seconds() -> float:
    return float(os.environ.get(ENV_OUTAGE_SECONDS, DEFAULT_OUTAGE_SECONDS))


def call_with_retries(what: str, operation: Callable[[], T], transient: Callable[[Exception], str | None]) -> T:
    """Return the operation's value, retrying it on transient errors.

    `transient` describes an error for the log if a retry may succeed, and returns None if not.

    Raises:
        Exception: the operation's error, if it is not transient or the outage has lasted too long.
    """
    backoff = Backoff(what)
    while True:
        try:
            return operation()
        except Exception as error:
            why = transient(error)
            if why is None:
                raise
            backoff.wait_after(error, why)
