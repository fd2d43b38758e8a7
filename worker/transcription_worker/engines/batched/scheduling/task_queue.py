"""Tasks shared by the schedulers: those that wait to be started, and parents that wait for their children."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transcription_worker.engines.batched.requests import RequestGenerator
from transcription_worker.errors import WorkerError

# Files are submitted between two rounds of the first scheduler, which may be encoding for seconds: meanwhile the others start what
# waits here.
WAITING_PER_SCHEDULER = 2


@dataclass(eq=False)
class Task:
    """A running generator. A task that was spawned by a parent writes its result to `parent.results[index]`.

    owner: what the caller identifies the file by; children have that of their parent. pending: children still running.
    """

    generator: RequestGenerator
    owner: Any = None
    parent: "Task | None" = None
    index: int = 0
    results: list[Any] = field(default_factory=list)
    pending: int = 0


@dataclass(frozen=True)
class TaskResult:
    """What a file's generator returned, or the error that it raised."""

    owner: Any
    value: Any = None
    error: WorkerError | None = None


class TaskQueue:
    """A thread-safe queue that spreads tasks evenly over schedulers.

    schedulers: how many there are. max_running: tasks that each scheduler runs at most. notify: called with the result of
    each file, and with None when there is spare capacity or a task to start; it must not block.
    """

    def __init__(self, schedulers: int, max_running: int, notify: Callable[[TaskResult | None], None]) -> None:
        self._max_running, self._notify = max_running, notify
        self._running = [0] * schedulers
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def spare_capacity(self) -> int:
        """How many tasks could be submitted without any having to wait. Negative while tasks wait."""
        with self._changed:
            return self.capacity - sum(self._running) - len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether another file may be submitted: beyond the capacity some wait for the next scheduler that has a place."""
        return self.spare_capacity > -WAITING_PER_SCHEDULER * len(self._running)

    @property
    def capacity(self) -> int:
        """How many tasks run at most."""
        return self._max_running * len(self._running)

    @property
    def busy_schedulers(self) -> int:
        """How many schedulers run tasks, but at least 1."""
        return max(1, sum(count > 0 for count in self._running))

    def submit(self, generator: RequestGenerator, owner: Any) -> None:
        """Queue the generator of a file."""
        with self._changed:
            self._waiting.append(Task(generator, owner))
            self._changed.notify_all()

    def close(self) -> None:
        """Tell every scheduler to stop; tasks that have not been started are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, scheduler: int, running: int, wait: bool) -> list[Task] | None:
        """Return tasks to start in the scheduler with this number, which runs `running` tasks now; None once closed.

        A task goes to the scheduler that runs the fewest tasks, and among equals to the one with the lowest number.
        wait: block until this scheduler has something to do.
        """
        with self._changed:
            freed, self._running[scheduler] = running < self._running[scheduler], running
            if freed:
                self._notify(None)
                self._changed.notify_all()  # the next task may now be another scheduler's
            self._changed.wait_for(lambda: self._closed or not wait or running or self._is_next(scheduler))
            started: list[Task] = []
            while self._is_next(scheduler):
                started.append(self._waiting.popleft())
                self._running[scheduler] += 1
            if started:
                self._changed.notify_all()
            return None if self._closed else started

    def _is_next(self, scheduler: int) -> bool:
        fewest = min(self._running)
        return bool(self._waiting) and fewest < self._max_running and self._running.index(fewest) == scheduler

    def spawn(self, parent: Task, generators: list[RequestGenerator]) -> None:
        """Queue children of a task; `finish` returns the parent when the last child is done."""
        parent.results, parent.pending = [None] * len(generators), len(generators)
        children = [Task(generator, parent.owner, parent, index) for index, generator in enumerate(generators)]
        with self._changed:
            # Ahead of other files: one that has been started is finished first.
            self._waiting.extendleft(reversed(children))
            self._changed.notify_all()
        self._notify(None)

    def finish(self, task: Task, value: Any = None, error: WorkerError | None = None) -> Task | None:
        """Record how a task ended. Returns its parent if that can be resumed now, with its children's results.

        The first child that fails makes its parent fail; the other children's results are ignored.
        """
        parent = task.parent
        if parent is None:
            self._notify(TaskResult(task.owner, value, error))
            return None
        with self._changed:
            if parent.pending == 0:  # another child failed before
                return None
            if error is None:
                parent.results[task.index] = value
                parent.pending -= 1
                return parent if parent.pending == 0 else None
            # Children that have not been started never are; the results of those that run are ignored.
            parent.pending = 0
            self._waiting = deque(task for task in self._waiting if task.parent is not parent)
        parent.generator.close()
        return self.finish(parent, error=error)
