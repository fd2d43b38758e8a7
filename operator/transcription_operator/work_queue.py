"""A queue of keys: a key waits once however often it is added, and is never handled twice at the same time.

The model is client-go's workqueue: a key that is added while it is handled is handled again after.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Seconds before the first retry of a key that failed; doubled with each failure.
FIRST_RETRY_SECONDS = 0.1
# Seconds. After minutes without an apiserver, work goes on within this time of its return.
LAST_RETRY_SECONDS = 30.0


class WorkQueue(Generic[K]):
    """For one event loop. `get` and `done` come in pairs."""

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()  # in `_waiting`, or added while handled
        self._handled: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._handled

    def add(self, key: K) -> None:
        """As soon as a worker is free."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._handled:
            self._waiting.append(key)
            self._changed.set()

    def schedule(self, key: K, seconds: float | None) -> None:
        """At a later time, which takes the place of the key's earlier one; None: at none."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if seconds is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    def retry(self, key: K) -> float:
        """After a failure; returns the seconds until then."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        seconds: float = min(FIRST_RETRY_SECONDS * 2.0 ** min(count, 20), LAST_RETRY_SECONDS)
        self.schedule(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """The key's failures are over."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The key that waits longest."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._handled.add(key)
        return key

    def done(self, key: K) -> None:
        self._handled.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._changed.set()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
