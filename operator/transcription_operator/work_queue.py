"""A queue of keys, after client-go's workqueue: a key waits once, and is never processed twice at the same time.

A key that is added while it is being processed is processed again afterwards.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Seconds before the first retry of a key that failed; each further failure doubles them.
FIRST_RETRY_SECONDS = 0.1
# Seconds. However long the apiserver was unreachable, every key is retried within this time of its return.
LAST_RETRY_SECONDS = 30.0


class WorkQueue(Generic[K]):
    """Used from one event loop. Each `get` must be followed by one `done` of the same key."""

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()  # the keys in `_waiting`, and those that were added while they were processed
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether no key waits and none is being processed."""
        return not self._waiting and not self._processing

    def add(self, key: K) -> None:
        """Process the key as soon as a worker is free."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._waiting.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float | None) -> None:
        """Add the key later. This replaces an earlier delay of the same key; None only cancels that one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if seconds is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._add_delayed, key)

    def add_rate_limited(self, key: K) -> float:
        """Add a key that failed after a delay that grows with each failure. Returns the delay in seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        seconds: float = min(FIRST_RETRY_SECONDS * 2.0 ** min(count, 20), LAST_RETRY_SECONDS)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Reset the key's failures, after it was processed without one."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key and return the one that has waited longest."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        """The key has been processed, with or without success."""
        self._processing.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._changed.set()

    def _add_delayed(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
