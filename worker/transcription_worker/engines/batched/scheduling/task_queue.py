"""What schedulers share: the streams that wait for one of them, and the places of streams that run as parts of another."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transcription_worker.engines.batched.requests import Stream
from transcription_worker.errors import WorkerError


@dataclass(eq=False)
class Task:
    """A stream that runs. `key`: whose it is; a part of a parent fills its place in `parts`."""

    stream: Stream
    key: Any = None
    parent: "Task | None" = None
    place: int = 0
    parts: list[Any] = field(default_factory=list)
    missing: int = 0


@dataclass(frozen=True)
class Ended:
    """What a stream returned, or why it failed."""

    key: Any
    value: Any = None
    error: WorkerError | None = None


class Tasks:
    """Safe for schedulers in several threads.

    `schedulers`: how many there are; `at_once`: streams that each of them runs at most. `tell` hears of every file that
    ended, and None whenever there is more room or more to begin; it must not block.
    """

    def __init__(self, schedulers: int, at_once: int, tell: Callable[[Ended | None], None]) -> None:
        self._at_once, self._tell = at_once, tell
        self._running = [0] * schedulers
        self._unstarted: deque[Task] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def room(self) -> int:
        """Streams that may be added before any has to wait."""
        with self._changed:
            return self._at_once * len(self._running) - sum(self._running) - len(self._unstarted)

    @property
    def busy(self) -> int:
        """Schedulers that run streams; at least one."""
        return max(1, sum(count > 0 for count in self._running))

    def add(self, stream: Stream, key: Any) -> None:
        """A file's stream."""
        with self._changed:
            self._unstarted.append(Task(stream, key))
            self._changed.notify_all()

    def stop(self) -> None:
        """No scheduler is given anything more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, scheduler: int, running: int, wait: bool) -> list[Task] | None:
        """Streams to begin, for the scheduler of this number that runs so many; None: it is to stop.

        Streams go to who has the fewest, and of those to the first. `wait`: until there is something to do.
        """
        with self._changed:
            freed, self._running[scheduler] = running < self._running[scheduler], running
            if freed:
                self._tell(None)
                self._changed.notify_all()  # another one may be the next in turn now
            self._changed.wait_for(lambda: self._stopped or not wait or running or self._is_next(scheduler))
            taken: list[Task] = []
            while self._is_next(scheduler):
                taken.append(self._unstarted.popleft())
                self._running[scheduler] += 1
            if taken:
                self._changed.notify_all()
            return None if self._stopped else taken

    def _is_next(self, scheduler: int) -> bool:
        fewest = min(self._running)
        return bool(self._unstarted) and fewest < self._at_once and self._running.index(fewest) == scheduler

    def part(self, task: Task, streams: list[Stream]) -> None:
        """The task goes on when all of these are done."""
        task.parts, task.missing = [None] * len(streams), len(streams)
        parts = [Task(stream, task.key, task, place) for place, stream in enumerate(streams)]
        with self._changed:
            # Before other files' streams: a file that has begun is finished first.
            self._unstarted.extendleft(reversed(parts))
            self._changed.notify_all()
        self._tell(None)

    def end(self, task: Task, value: Any = None, error: WorkerError | None = None) -> Task | None:
        """Takes note of a stream's end; gives the parent that may go on now."""
        parent = task.parent
        if parent is None:
            self._tell(Ended(task.key, value, error))
            return None
        with self._changed:
            if parent.missing == 0:  # abandoned
                return None
            if error is None:
                parent.parts[task.place] = value
                parent.missing -= 1
                return parent if parent.missing == 0 else None
            # Its siblings are not begun, and those that run end unheard.
            parent.missing = 0
            self._unstarted = deque(task for task in self._unstarted if task.parent is not parent)
        parent.stream.close()
        return self.end(parent, error=error)
