"""Find watches that are dead: a list has shown a change, and the watch of that object shows nothing.

Kopf does not restart a watch whose task has died, so the liveness probe fails instead and the kubelet restarts the operator.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

# Seconds by which a watch may lag behind a list.
GRACE_SECONDS = 60.0


class Watch(NamedTuple):
    """One of Kopf's watches: a kind, in one namespace or in all."""

    kind: str
    namespace: str


class WatchLiveness:
    """For each watch, the objects that a list has shown first and whose watch event is still expected."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected: dict[Watch, dict[str, float]] = {}  # for each object's uid, when a list showed it
        self._last_event: dict[Watch, float] = {}

    def expect_event(self, watch: Watch, uid: str) -> None:
        """A list showed a change of this object, so its watch must show it too."""
        self._expected.setdefault(watch, {}).setdefault(uid, self._clock())

    def event_received(self, watch: Watch, uid: str) -> None:
        """The watch showed this object."""
        self._last_event[watch] = self._clock()
        self._expected.get(watch, {}).pop(uid, None)

    def forget(self, uid: str) -> None:
        """The object was deleted, so that a watch that had a gap may never show it: expect no event of it any more."""
        for expected in self._expected.values():
            expected.pop(uid, None)

    def dead_watches(self) -> list[str]:
        """The watches that have missed an event for longer than GRACE_SECONDS and shown nothing at all since."""
        now = self._clock()
        return [
            f"{watch.kind} in {watch.namespace}"
            for watch, expected in self._expected.items()
            if expected
            and now - (oldest := min(expected.values())) > GRACE_SECONDS
            and self._last_event.get(watch, 0.0) <= oldest
        ]
