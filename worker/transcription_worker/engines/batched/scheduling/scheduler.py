"""Runs streams side by side: each goes on as soon as its ask is answered, and asks of a kind are answered together."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transcription_api import reasons

from transcription_worker.engines.batched.model.model_runner import Compute
from transcription_worker.engines.batched.requests import Align, Ask, Decode, Decoded, Encode, Languages, Together
from transcription_worker.engines.batched.scheduling.decode_batch import Kind, Lane, Prepared, prepare
from transcription_worker.engines.batched.scheduling.prefetch import unexpected
from transcription_worker.engines.batched.scheduling.task_queue import Task, Tasks
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.errors import WorkerError

A = TypeVar("A")

log = logging.getLogger(__name__)

# On a GPU windows wait for the encoder until so large a share of the running streams does, or as many as one run of it takes: it
# is quicker for several.
ENCODE_SHARE_ON_GPU = 0.25
# Tokens between two looks at which windows are done: on a GPU a look waits for the steps before it.
STEPS_ON_GPU = 4
# Devices that go on by themselves with what was launched. Steps are launched there before the streams go on, which do so
# meanwhile; a CPU would be a step late for each window.
RUN_BY_THEMSELVES = ("cuda",)


class Scheduler:
    """Runs in one thread. `number`: among those that share the tasks; `batch`: windows decoded together at most."""

    def __init__(self, compute: Compute, tasks: Tasks, number: int, batch: int) -> None:
        self._compute, self._tasks, self._number = compute, tasks, number
        self._batch, self._on_gpu = batch, compute.device.type in RUN_BY_THEMSELVES
        self._running: set[Task] = set()
        self._encodes: list[tuple[Task, Encode]] = []
        self._languages: list[tuple[Task, Languages]] = []
        self._aligns: list[tuple[Task, Align]] = []
        self._waiting: dict[Kind, deque[tuple[Prepared, Task]]] = {}
        self._lanes: dict[Kind, Lane[Task]] = {}
        self._decoded: list[tuple[Task, Decoded]] = []  # windows of which their streams have not heard
        self._fewer: dict[Kind, int] = {}  # windows at a time, where more of them failed

    @property
    def idle(self) -> bool:
        """Nothing runs here."""
        return not self._running

    def work(self, wait: bool) -> bool:
        """One round: whatever can be computed is computed once. False: no more is wanted.

        `wait`: until there is something to compute.
        """
        begun = self._tasks.take(self._number, len(self._running), wait)
        if begun is None:
            return False
        if self._on_gpu:
            self._advance_all()
        self._go_on_all(begun)
        self._encode()
        self._answer(self._languages, lambda asks: self._compute.hear([ask.features for ask in asks]))
        self._answer(self._aligns, self._compute.align)
        self._admit_all()
        if not self._on_gpu:
            self._advance_all()
        self._collect_all()
        if not self._on_gpu:
            self._go_on_all([])
        return True

    def _go_on_all(self, begun: list[Task]) -> None:
        """Those whose windows are decoded, and new ones."""
        decoded, self._decoded = self._decoded, []
        for task, window in decoded:
            self._go_on(task, window)
        for task in begun:
            self._running.add(task)
            self._go_on(task, None)

    def _go_on(self, task: Task, answer: Any) -> None:
        """Runs the stream up to its next ask."""
        try:
            with host_or_device_memory("transcribing"):
                ask = task.stream.send(answer)
            self._take(task, ask)
        except StopIteration as stop:
            self._end(task, value=stop.value)
        except WorkerError as error:
            self._end(task, error=error)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._end(task, error=unexpected(error))

    def _take(self, task: Task, ask: Ask) -> None:
        if isinstance(ask, Encode):
            self._encodes.append((task, ask))
        elif isinstance(ask, Languages):
            self._languages.append((task, ask))
        elif isinstance(ask, Align):
            self._aligns.append((task, ask))
        elif isinstance(ask, Together):
            self._part(task, ask)
        else:
            self._queue(task, ask)

    def _queue(self, task: Task, ask: Decode) -> None:
        prepared = prepare(self._compute.model, ask)
        self._waiting.setdefault(prepared.kind, deque()).append((prepared, task))

    def _part(self, task: Task, ask: Together) -> None:
        if not ask.streams:
            self._go_on(task, [])
            return
        self._running.discard(task)
        self._tasks.part(task, ask.streams)

    def _end(self, task: Task, value: Any = None, error: WorkerError | None = None) -> None:
        self._running.discard(task)
        parent = self._tasks.end(task, value, error)
        if parent is not None:
            self._running.add(parent)
            self._go_on(parent, parent.parts)

    def _encode(self) -> None:
        """Where enough windows wait, or nothing else is left to do."""
        share = min(round(len(self._running) * ENCODE_SHARE_ON_GPU), self._compute.encoded_at_once)
        due = max(1, share) if self._on_gpu else 1
        decoding = any(lane.busy for lane in self._lanes.values()) or any(self._waiting.values())
        if len(self._encodes) < due and decoding:
            return
        asked, self._encodes = self._encodes, []
        for some in _chunks(asked, self._compute.encoded_at_once):
            self._answer(some, lambda asks: self._compute.encode([ask.mel for ask in asks]))

    def _answer(self, asked: list[tuple[Task, A]], compute: Callable[[list[A]], list[Any]]) -> None:
        """Answers all of them at once; where the memory is not enough, or one of them fails, each on its own."""
        if not asked:
            return
        batch = list(asked)
        asked.clear()
        try:
            with host_or_device_memory("transcribing"):
                answers = compute([ask for _, ask in batch])
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._answer_apart(batch, compute, error)
            return
        for (task, _), answer in zip(batch, answers, strict=True):
            self._go_on(task, answer)

    def _answer_apart(
        self, batch: list[tuple[Task, A]], compute: Callable[[list[A]], list[Any]], error: Exception
    ) -> None:
        if len(batch) == 1:
            known = error if isinstance(error, WorkerError) else unexpected(error)
            self._end(batch[0][0], error=known)
            return
        for one in batch:
            self._answer([one], compute)

    def _admit_all(self) -> None:
        for kind in [kind for kind, waiting in self._waiting.items() if waiting]:
            self._attempt(kind, self._admit)

    def _advance_all(self) -> None:
        for kind in self._busy():
            self._attempt(kind, self._advance)

    def _collect_all(self) -> None:
        for kind in self._busy():
            self._decoded += self._attempt(kind, self._collect) or ()

    def _busy(self) -> list[Kind]:
        """Not the lanes themselves: one that is given up is to be gone."""
        return [kind for kind, lane in self._lanes.items() if lane.busy]

    def _attempt(self, kind: Kind, action: Callable[[Kind], A]) -> A | None:
        """The action; where it fails, what it worked on is decoded again, fewer windows at a time."""
        try:
            with host_or_device_memory("transcribing"):
                return action(kind)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._decode_fewer(kind, error)
            return None

    def _decode_fewer(self, kind: Kind, error: Exception) -> None:
        """Half as many, unless there are lanes to give up in which nothing is left; one window that fails is its file's failure."""
        lane, waiting = self._lanes.pop(kind, None), self._waiting[kind]
        held = [] if lane is None else lane.held
        waiting.extendleft(reversed(held))
        if isinstance(error, WorkerError) and error.reason is reasons.OUT_OF_MEMORY and self._give_up_idle():
            return
        most = self._most(kind) if lane is None else lane.slots
        if most > 1:
            log.warning(
                "decoding %d windows at a time failed (%s): going on with %d", most, type(error).__name__, most // 2
            )
            self._fewer[kind] = most // 2
            return
        _, task = waiting.popleft()
        self._end(task, error=error if isinstance(error, WorkerError) else unexpected(error))

    def _give_up_idle(self) -> bool:
        """Whether there were lanes in which nothing is decoded."""
        idle = [kind for kind, lane in self._lanes.items() if not lane.busy]
        for kind in idle:
            del self._lanes[kind]
        return bool(idle)

    def _most(self, kind: Kind) -> int:
        return min(self._batch, self._fewer.get(kind, self._batch))

    def _admit(self, kind: Kind) -> None:
        waiting = self._waiting[kind]
        lane = self._lane(kind, len(waiting))
        some = list(itertools.islice(waiting, lane.room))
        if some:
            lane.admit(some)
            for _ in some:
                waiting.popleft()

    def _lane(self, kind: Kind, wanted: int) -> Lane[Task]:
        """The lane of this kind. On a GPU it has all its room at once: its steps are recorded, and another lane's would be anew.

        On a CPU it grows where more windows wait than it has room for.
        """
        lane, most = self._lanes.get(kind), self._most(kind)
        if lane is None:
            lane = self._lanes[kind] = Lane(self._compute, kind, most if self._on_gpu else min(most, wanted))
        elif wanted > lane.room and lane.slots < most:
            lane = self._lanes[kind] = self._grown(kind, lane, min(most, max(2 * lane.slots, lane.busy + wanted)))
        return lane

    def _grown(self, kind: Kind, lane: Lane[Task], slots: int) -> Lane[Task]:
        """Or the lane as it is, where there is no memory for more."""
        try:
            with host_or_device_memory("transcribing"):
                return lane.grown(slots)
        except WorkerError as error:
            log.warning("no room for %d windows at a time (%s): going on with %d", slots, error.reason.name, lane.slots)
            self._fewer[kind] = lane.slots
            return lane

    def _advance(self, kind: Kind) -> None:
        self._lanes[kind].launch(STEPS_ON_GPU if self._on_gpu else 1)

    def _collect(self, kind: Kind) -> list[tuple[Task, Decoded]]:
        return self._lanes[kind].collect()


def _chunks(items: list[A], size: int) -> Iterator[list[A]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
