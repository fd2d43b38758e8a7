"""Which file of a shard each engine takes next, and which file an engine's process dies of.

An engine that dies of a signal had files under way. They are taken up again together, since one death may be by chance; what
was under way at two deaths is taken alone, and a file that an engine dies of alone is the culprit.
"""

import dataclasses
import threading
from collections import Counter, deque
from collections.abc import Sequence

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.sharding import divide, expected_work

# Deaths at which a file was under way, after which it is taken alone.
DEATHS_UNTIL_ALONE = 2


class FileQueue:
    """The files that are left of a shard, divided among engines, which are numbered from 0. Thread-safe.

    `alone` are files that nothing else may be under way beside, in the same process.
    """

    def __init__(self, entries: Sequence[Entry], engines: int, alone: Sequence[Entry] = ()) -> None:
        parts = divide(entries, [expected_work(entry.seconds) for entry in entries], engines)
        self._waiting = [deque(part) for part in (parts if engines > 1 else [list(entries)])]
        self._alone = deque(alone)
        self._under_way: list[dict[int, Entry]] = [{} for _ in range(engines)]
        self._is_alone = [False] * engines
        self._deaths = Counter[int]()
        self._deaths_in_a_row = [0] * engines
        self._lock = threading.Lock()

    def deaths_in_a_row(self, engine: int) -> int:
        """Return how often an engine has died since the last file that it came to the end of."""
        with self._lock:
            return self._deaths_in_a_row[engine]

    @property
    def alone(self) -> list[int]:
        """The numbers of the files that are to be taken alone, and that no engine has taken yet."""
        with self._lock:
            return [entry.number for entry in self._alone]

    def next_of(self, engine: int, count: int) -> list[int]:
        """Return the numbers of the next files that wait for an engine, `count` at most."""
        with self._lock:
            return [entry.number for entry, _ in zip(self._waiting[engine], range(count), strict=False)]

    def take(self, engine: int) -> Entry | None:
        """Return the next file for an engine, or None where it must first come to the end of those that it has.

        If it has none, there is nothing left for it. Files that are taken alone come last, so that the results of all others
        are safe by then.
        """
        with self._lock:
            under_way = self._under_way[engine]
            if under_way and self._is_alone[engine]:
                return None
            entry, self._is_alone[engine] = self._next(engine), False
            if entry is None and self._alone and not under_way:
                entry, self._is_alone[engine] = self._alone.popleft(), True
            if entry is not None:
                under_way[entry.number] = entry
            return entry

    def _next(self, engine: int) -> Entry | None:
        """An engine that has come to the end of its part takes the shortest file of the one with the most left."""
        if self._waiting[engine]:
            return self._waiting[engine].popleft()
        longest = max(self._waiting, key=len)
        return longest.pop() if longest else None

    def settle(self, engine: int, number: int) -> None:
        """Say that an engine has come to the end of a file."""
        with self._lock:
            self._under_way[engine].pop(number, None)
            self._deaths_in_a_row[engine] = 0

    def postpone(self, engine: int, number: int) -> bool:
        """Have a file taken again, alone, unless it was already; return whether it will be."""
        with self._lock:
            entry = self._under_way[engine].get(number)
            if entry is None or self._is_alone[engine]:
                return False
            del self._under_way[engine][number]
            self._alone.append(entry)
            return True

    def lose(self, engine: int) -> tuple[int, Entry | None]:
        """Say that the process of an engine died. Return how many files it had under way, and the one that it died of, if known.

        The others are taken up again, by this engine first.
        """
        with self._lock:
            lost, self._under_way[engine] = list(self._under_way[engine].values()), {}
            self._deaths_in_a_row[engine] += 1
            if lost and self._is_alone[engine]:
                self._is_alone[engine] = False
                return 1, lost[0]
            for entry in reversed(lost):
                self._give_back(engine, entry)
            return len(lost), None

    def _give_back(self, engine: int, entry: Entry) -> None:
        self._deaths[entry.number] += 1
        marked = dataclasses.replace(entry, found=True)  # results may be there that no row tells of
        if self._deaths[entry.number] >= DEATHS_UNTIL_ALONE:
            self._alone.appendleft(marked)
        else:
            self._waiting[engine].appendleft(marked)
