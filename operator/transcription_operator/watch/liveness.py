"""Whether the watches live: what a list shows and no watch ever told is the proof that one is dead."""

import time
from collections.abc import Callable

# Seconds that a watch may lag behind a list.
GRACE_SECONDS = 60.0


class WatchProof:
    """For each stream, a kind in a namespace or in all, what lists found that its watch owes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owed: dict[tuple[str, str], dict[str, float]] = {}  # stream -> uid -> since
        self._heard: dict[tuple[str, str], float] = {}

    def owe(self, kind: str, scope: str, uid: str) -> None:
        """A list had news of this object."""
        self._owed.setdefault((kind, scope), {}).setdefault(uid, self._clock())

    def hear(self, kind: str, scope: str, uid: str) -> None:
        """A watch told of this object."""
        self._heard[kind, scope] = self._clock()
        self._owed.get((kind, scope), {}).pop(uid, None)

    def forget(self, kind: str, scope: str, uid: str) -> None:
        """The object is gone: nothing is owed any more."""
        self._owed.get((kind, scope), {}).pop(uid, None)

    def dead_streams(self) -> list[str]:
        """Streams that owe something for too long and told of nothing since."""
        now = self._clock()
        return [
            f"{kind} in {scope}"
            for (kind, scope), owed in self._owed.items()
            if owed
            and now - (oldest := min(owed.values())) > GRACE_SECONDS
            and self._heard.get((kind, scope), 0.0) <= oldest
        ]
