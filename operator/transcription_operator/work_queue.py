"""A queue of keys, after client-go's workqueue: a key waits once, and is never processed twice at the same time.

A key that is added while it is being processed is processed again afterwards. Other than in client-go, a key that failed
waits for a moment even if it is added meanwhile: what it does before it fails may be what adds it.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Seconds before the first retry of a key that failed; each further failure doubles them.
FIRST_RETRY_SECONDS = 0.1
# Seconds. However long the apiserver was unreachable, every key is retried within this time of its return.
LAST_RETRY_SECONDS = 30.0
# Seconds after a failure within which a key is retried if it is added again: a change may be what it needs.
CHANGE_RETRY_SECONDS = 1.0


class WorkQueue(Generic[K]):
    """Used from one event loop. Each `get` must be followed by one `done` of the same key.

    With `accepting=False` keys that are added are forgotten, until `accept` is called: nobody would take them.
    """

    def __init__(self, accepting: bool = True) -> None:
        self._accepting = accepting
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()  # the keys in `_waiting`, and those that were added while they were processed
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}  # for a key that failed, the loop's time before which it is not retried
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether no key waits and none is being processed."""
        return not self._waiting and not self._processing

    def accept(self, keys: Iterable[K]) -> None:
        """Accept keys from now on, and add these."""
        self._accepting = True
        for key in keys:
            self.add(key)

    def add(self, key: K) -> None:
        """Process the key as soon as a worker is free, but not before the end of its shortest wait after a failure."""
        if not self._accepting or key in self._dirty:
            return
        if key in self._processing:
            self._dirty.add(key)
        elif not self._must_wait(key):
            self._dirty.add(key)
            self._waiting.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float | None) -> None:
        """Add the key later. This replaces an earlier delay of the same key; None only cancels that one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if seconds is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._add_delayed, key)

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Add a key that failed after a delay that grows with each failure. Returns the delay in seconds.

        `at_least` is the shortest delay, in seconds, which a change of the key's object does not shorten either.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        seconds: float = max(min(FIRST_RETRY_SECONDS * 2.0 ** min(count, 20), LAST_RETRY_SECONDS), at_least)
        shortest = max(min(seconds, CHANGE_RETRY_SECONDS), at_least)
        self._not_before[key] = asyncio.get_running_loop().time() + shortest
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Reset the key's failures, after it was processed without one."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

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
            self._dirty.discard(key)
            self.add(key)

    def _must_wait(self, key: K) -> bool:
        """Whether the key failed just now. If so it is retried at the end of its shortest wait."""
        now = asyncio.get_running_loop().time()
        left = self._not_before.get(key, now) - now
        if left <= 0:
            return False
        timer = self._timers.get(key)
        if timer is None or timer.when() > now + left:
            self.add_after(key, left)
        return True

    def _add_delayed(self, key: K) -> None:
        self._timers.pop(key, None)
        self._not_before.pop(key, None)
        self.add(key)
