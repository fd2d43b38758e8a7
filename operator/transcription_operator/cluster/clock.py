"""The apiserver's time, learned from the Date header of its responses.

Deadlines and times to live are counted from what the apiserver has stamped. A node whose clock is wrong must not make them
end early or late, so that the operator's own clock is used until the first response only.
"""

import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class ServerClock:
    """The apiserver's time, between two responses by the monotonic clock, so that a jump of the own clock does nothing.

    The header has whole seconds: each response bounds the time from below and from above, and the bounds of all responses
    together are much closer than a second. `now` is the lower one: it is never ahead of the apiserver, so that nothing ends
    early, and it does not go back unless the apiserver's own clock is set back.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        own: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.monotonic = monotonic
        self._own = own
        self._bounds: tuple[float, float] | None = None  # of the Unix time at the monotonic clock's zero, in seconds

    def now(self) -> datetime:
        """The apiserver's time, or the own clock's if no response has told it."""
        if self._bounds is None:
            return self._own()
        return datetime.fromtimestamp(self._bounds[0] + self.monotonic(), UTC)

    def observe(self, date: str | None, sent: float) -> None:
        """Take the Date header of a response that has just arrived; `sent` is the monotonic time of its request."""
        try:
            seconds = _parse_date(date or "")
        except (ValueError, OverflowError):
            return
        low, high = seconds - self.monotonic(), seconds + 1.0 - sent
        if self._bounds is not None:
            known_low, known_high = self._bounds
            if max(low, known_low) <= min(high, known_high):
                low, high = max(low, known_low), min(high, known_high)
        self._bounds = low, high


# All responses of a second have the same header.
@functools.lru_cache(maxsize=2)
def _parse_date(text: str) -> float:
    """The Unix time of a Date header. Raises ValueError or OverflowError if it is none."""
    return parsedate_to_datetime(text).timestamp()
