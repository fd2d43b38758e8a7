"""Runs tasks side by side: each resumes as soon as its request is answered, and requests of a kind are computed together."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transcription_api import reasons

from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import (
    AlignRequest,
    DecodeRequest,
    DecodeResponse,
    DetectLanguageRequest,
    EncodeRequest,
    GatherRequest,
    Request,
)
from transcription_worker.engines.batched.scheduling.decode_batch import (
    BatchKey,
    DecodeBatch,
    PreparedRequest,
    prepare_request,
)
from transcription_worker.engines.batched.scheduling.prefetch import internal_error
from transcription_worker.engines.batched.scheduling.task_queue import Task, TaskQueue
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.errors import WorkerError

T = TypeVar("T")

log = logging.getLogger(__name__)

# On a GPU, windows wait to be encoded until this share of the running tasks waits, or as many as the encoder takes at once: it
# is more efficient with several.
ENCODE_SHARE_GPU = 0.25
# Decode steps between two checks for finished windows: on a GPU a check waits for the steps before it.
STEPS_PER_LAUNCH_GPU = 4
# Devices that run what was launched while the host goes on. Steps are launched there before tasks are resumed, so that both
# overlap; on a CPU that would start every new window a step late.
ASYNC_DEVICES = ("cuda",)


class Scheduler:
    """Runs tasks in one thread, with one DecodeBatch for each BatchKey.

    number: this scheduler's number in the task queue. batch: windows that a DecodeBatch holds at most.
    """

    def __init__(self, runner: ModelRunner, tasks: TaskQueue, number: int, batch: int) -> None:
        self._runner, self._tasks, self._number = runner, tasks, number
        self._batch, self._on_gpu = batch, runner.device.type in ASYNC_DEVICES
        self._running: set[Task] = set()
        self._encode_queue: list[tuple[Task, EncodeRequest]] = []
        self._language_queue: list[tuple[Task, DetectLanguageRequest]] = []
        self._align_queue: list[tuple[Task, AlignRequest]] = []
        self._decode_queues: dict[BatchKey, deque[tuple[PreparedRequest, Task]]] = {}
        self._batches: dict[BatchKey, DecodeBatch[Task]] = {}
        self._decoded: list[tuple[Task, DecodeResponse]] = []  # responses that their tasks have not been sent
        self._slot_limits: dict[BatchKey, int] = {}  # below `batch`, where more windows failed

    @property
    def idle(self) -> bool:
        """Whether no task runs here."""
        return not self._running

    def run_once(self, wait: bool) -> bool:
        """Run one round: compute once whatever can be computed. Returns False once the task queue is closed.

        wait: block until there is something to compute.
        """
        started = self._tasks.take(self._number, len(self._running), wait)
        if started is None:
            return False
        if self._on_gpu:
            self._launch_all()
        self._resume_all(started)
        self._encode()
        self._respond(
            self._language_queue, lambda batch: self._runner.detect_languages([one.features for one in batch])
        )
        self._respond(self._align_queue, self._runner.align)
        self._admit_all()
        if not self._on_gpu:
            self._launch_all()
        self._collect_all()
        if not self._on_gpu:
            self._resume_all([])
        return True

    def _resume_all(self, started: list[Task]) -> None:
        """Resume the tasks whose windows are decoded, and start new ones."""
        decoded, self._decoded = self._decoded, []
        for task, response in decoded:
            self._resume(task, response)
        for task in started:
            self._running.add(task)
            self._resume(task, None)

    def _resume(self, task: Task, response: Any) -> None:
        """Run the task up to its next request."""
        try:
            with host_or_device_memory("transcribing"):
                request = task.generator.send(response)
            self._enqueue(task, request)
        except StopIteration as stop:
            self._finish(task, value=stop.value)
        except WorkerError as error:
            self._finish(task, error=error)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._finish(task, error=internal_error(error))

    def _enqueue(self, task: Task, request: Request) -> None:
        if isinstance(request, EncodeRequest):
            self._encode_queue.append((task, request))
        elif isinstance(request, DetectLanguageRequest):
            self._language_queue.append((task, request))
        elif isinstance(request, AlignRequest):
            self._align_queue.append((task, request))
        elif isinstance(request, GatherRequest):
            self._spawn(task, request)
        else:
            self._enqueue_decode(task, request)

    def _enqueue_decode(self, task: Task, request: DecodeRequest) -> None:
        prepared = prepare_request(self._runner.model, request)
        self._decode_queues.setdefault(prepared.key, deque()).append((prepared, task))

    def _spawn(self, task: Task, request: GatherRequest) -> None:
        if not request.generators:
            self._resume(task, [])
            return
        self._running.discard(task)
        self._tasks.spawn(task, request.generators)

    def _finish(self, task: Task, value: Any = None, error: WorkerError | None = None) -> None:
        self._running.discard(task)
        parent = self._tasks.finish(task, value, error)
        if parent is not None:
            self._running.add(parent)
            self._resume(parent, parent.results)

    def _encode(self) -> None:
        """Encode windows if enough of them wait, or if nothing else is left to do."""
        share = min(round(len(self._running) * ENCODE_SHARE_GPU), self._runner.encoder_batch)
        enough = max(1, share) if self._on_gpu else 1
        decoding = any(batch.used_slots for batch in self._batches.values()) or any(self._decode_queues.values())
        if len(self._encode_queue) < enough and decoding:
            return
        waiting, self._encode_queue = self._encode_queue, []
        for some in _split(waiting, self._runner.encoder_batch):
            self._respond(some, lambda batch: self._runner.encode([one.mel for one in batch]))

    def _respond(self, queue: list[tuple[Task, T]], compute: Callable[[list[T]], list[Any]]) -> None:
        """Compute all queued requests together and resume their tasks; if that fails, each request on its own."""
        if not queue:
            return
        batch = list(queue)
        queue.clear()
        try:
            with host_or_device_memory("transcribing"):
                responses = compute([request for _, request in batch])
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._respond_one_by_one(batch, compute, error)
            return
        for (task, _), response in zip(batch, responses, strict=True):
            self._resume(task, response)

    def _respond_one_by_one(
        self, batch: list[tuple[Task, T]], compute: Callable[[list[T]], list[Any]], error: Exception
    ) -> None:
        if len(batch) == 1:
            known = error if isinstance(error, WorkerError) else internal_error(error)
            self._finish(batch[0][0], error=known)
            return
        for one in batch:
            self._respond([one], compute)

    def _admit_all(self) -> None:
        for key in [key for key, waiting in self._decode_queues.items() if waiting]:
            self._attempt(key, self._admit)

    def _launch_all(self) -> None:
        for key in self._busy_keys():
            self._attempt(key, self._launch)

    def _collect_all(self) -> None:
        for key in self._busy_keys():
            self._decoded += self._attempt(key, self._collect) or ()

    def _busy_keys(self) -> list[BatchKey]:
        """Keys instead of the batches themselves: no reference may keep a batch that is dropped to free its memory."""
        return [key for key, batch in self._batches.items() if batch.used_slots]

    def _attempt(self, key: BatchKey, action: Callable[[BatchKey], T]) -> T | None:
        """Run the action; if it fails, its windows are decoded again, fewer at a time."""
        try:
            with host_or_device_memory("transcribing"):
                return action(key)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._retry_with_fewer_slots(key, error)
            return None

    def _retry_with_fewer_slots(self, key: BatchKey, error: Exception) -> None:
        """Requeue the batch's windows and halve its slots, unless dropping idle batches frees memory.

        A window that fails alone is the failure of its file.
        """
        batch, waiting = self._batches.pop(key, None), self._decode_queues[key]
        waiting.extendleft(reversed([] if batch is None else batch.admitted))
        if isinstance(error, WorkerError) and error.reason is reasons.OUT_OF_MEMORY and self._drop_idle_batches():
            return
        slots = self._max_slots(key) if batch is None else batch.slots
        if slots > 1:
            log.warning(
                "decoding %d windows at a time failed (%s): going on with %d", slots, type(error).__name__, slots // 2
            )
            self._slot_limits[key] = slots // 2
            return
        _, task = waiting.popleft()
        self._finish(task, error=error if isinstance(error, WorkerError) else internal_error(error))

    def _drop_idle_batches(self) -> bool:
        """Drop batches in which nothing is decoded. Returns whether there were any."""
        idle = [key for key, batch in self._batches.items() if not batch.used_slots]
        for key in idle:
            del self._batches[key]
        return bool(idle)

    def _max_slots(self, key: BatchKey) -> int:
        return min(self._batch, self._slot_limits.get(key, self._batch))

    def _admit(self, key: BatchKey) -> None:
        waiting = self._decode_queues[key]
        batch = self._batch_for(key, len(waiting))
        some = list(itertools.islice(waiting, batch.free_slots))
        if some:
            batch.admit(some)
            for _ in some:
                waiting.popleft()

    def _batch_for(self, key: BatchKey, waiting: int) -> DecodeBatch[Task]:
        """Return the batch for this key, created if need be.

        On a GPU it has all its slots from the start, since a larger batch would have to capture its CUDA graphs again. On a
        CPU it grows when more windows wait than it has free slots.
        """
        batch, most = self._batches.get(key), self._max_slots(key)
        if batch is None:
            slots = most if self._on_gpu else min(most, waiting)
            batch = self._batches[key] = DecodeBatch(self._runner, key, slots)
        elif waiting > batch.free_slots and batch.slots < most:
            slots = min(most, max(2 * batch.slots, batch.used_slots + waiting))
            batch = self._batches[key] = self._resized(key, batch, slots)
        return batch

    def _resized(self, key: BatchKey, batch: DecodeBatch[Task], slots: int) -> DecodeBatch[Task]:
        """The batch with more slots, or as it is if there is no memory for more."""
        try:
            with host_or_device_memory("transcribing"):
                return batch.resized(slots)
        except WorkerError as error:
            log.warning(
                "no memory for %d windows at a time (%s): going on with %d", slots, error.reason.name, batch.slots
            )
            self._slot_limits[key] = batch.slots
            return batch

    def _launch(self, key: BatchKey) -> None:
        self._batches[key].launch(STEPS_PER_LAUNCH_GPU if self._on_gpu else 1)

    def _collect(self, key: BatchKey) -> list[tuple[Task, DecodeResponse]]:
        return self._batches[key].collect()


def _split(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
