"""Runs tasks side by side: each resumes as soon as its request is answered, and requests of a kind are computed together."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import (
    AlignRequest,
    DetectLanguageRequest,
    EncodeRequest,
    GatherRequest,
    Request,
)
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory
from transcription_worker.engines.batched.scheduling.decode_batch import prepare_request
from transcription_worker.engines.batched.scheduling.decode_batches import (
    DecodeBatches,
    LazyResponse,
    attempt,
    is_out_of_memory,
)
from transcription_worker.engines.batched.scheduling.task_queue import Task, TaskQueue
from transcription_worker.engines.memory import host_or_device_memory, input_failure
from transcription_worker.errors import WorkerError

T = TypeVar("T")

# On a GPU, windows wait to be encoded until this share of the running tasks waits, or as many as the encoder takes at once: it
# is more efficient with several.
ENCODE_SHARE_GPU = 0.25
# Devices that run what was launched while the host goes on. Steps are launched there before tasks are resumed, so that both
# overlap; on a CPU that would start every new window a step late.
ASYNC_DEVICES = ("cuda",)


class Scheduler:
    """Runs tasks in one thread.

    number: this scheduler's number in the task queue. batch, memory: see DecodeBatches.
    """

    def __init__(
        self, runner: ModelRunner, tasks: TaskQueue, number: int, batch: int, memory: GpuMemory | None = None
    ) -> None:
        self._runner, self._tasks, self._number = runner, tasks, number
        self._on_gpu = runner.device.type in ASYNC_DEVICES
        self._running: set[Task] = set()
        self._encode_queue: list[tuple[Task, EncodeRequest]] = []
        self._language_queue: list[tuple[Task, DetectLanguageRequest]] = []
        self._align_queue: list[tuple[Task, AlignRequest]] = []
        self._batches = DecodeBatches(runner, batch, self._on_gpu, memory)
        self._decoded: list[tuple[Task, LazyResponse]] = []  # responses that their tasks have not been sent

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
            self._batches.launch()
        self._resume_all(started)
        if not self._batches.is_clearing():
            self._answer_requests()
        self._batches.admit()
        if not self._on_gpu:
            self._batches.launch()
        self._decoded += self._batches.collect()
        for task, error in self._batches.take_failed():
            self._finish(task, error=error)
        if not self._on_gpu:
            self._resume_all([])
        return True

    def _resume_all(self, started: list[Task]) -> None:
        """Resume the tasks whose windows are decoded, and start new ones."""
        decoded, self._decoded = self._decoded, []
        for task, response in decoded:
            self._resume_with(task, response)
        for task in started:
            self._running.add(task)
            self._resume(task, None)

    def _resume(self, task: Task, response: Any) -> None:
        """Send the task a response, and run it up to its next request."""
        self._resume_with(task, lambda: response)

    def _resume_with(self, task: Task, response: Callable[[], Any]) -> None:
        try:
            with host_or_device_memory("transcribing"):
                request = task.generator.send(response())
            self._enqueue(task, request)
        except StopIteration as stop:
            self._finish(task, value=stop.value)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            self._finish(task, error=input_failure(error))

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
            self._batches.enqueue(prepare_request(self._runner.model, request), task)

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

    def _answer_requests(self) -> None:
        """Compute what is asked of the model beside decoding."""
        self._encode()
        self._respond(self._language_queue, self._runner_detects)
        self._respond(self._align_queue, self._runner.align)

    def _runner_encodes(self, requests: list[EncodeRequest]) -> list[Any]:
        return self._runner.encode([one.window() for one in requests])

    def _runner_detects(self, requests: list[DetectLanguageRequest]) -> list[Any]:
        return self._runner.detect_languages([one.features for one in requests])

    def _encode(self) -> None:
        """Encode windows if enough of them wait, or if nothing else is left to do."""
        share = min(round(len(self._running) * ENCODE_SHARE_GPU), self._runner.encoder_batch)
        enough = max(1, share) if self._on_gpu else 1
        if len(self._encode_queue) < enough and self._batches.busy:
            return
        self._respond(self._encode_queue, self._runner_encodes, self._runner.encoder_batch)

    def _respond(
        self, queue: list[tuple[Task, T]], compute: Callable[[list[T]], list[Any]], size: int | None = None
    ) -> None:
        """Compute all queued requests, `size` at a time, and resume their tasks."""
        batch = list(queue)
        queue.clear()
        for some in _split(batch, size or max(1, len(batch))):
            self._respond_together(some, compute, queue)

    def _respond_together(
        self, batch: list[tuple[Task, T]], compute: Callable[[list[T]], list[Any]], queue: list[tuple[Task, T]]
    ) -> None:
        """Compute requests together. If that fails for want of memory, idle decode batches are dropped; else half as many
        are computed at a time. One that fails alone waits in the queue for the windows that are being decoded.
        """
        responses = attempt(lambda: compute([request for _, request in batch]))
        if not isinstance(responses, Exception):
            for (task, _), response in zip(batch, responses, strict=True):
                self._resume(task, response)
        elif is_out_of_memory(responses) and self._batches.drop_idle():
            self._respond_together(batch, compute, queue)
        elif len(batch) > 1:
            for half in _split(batch, -(-len(batch) // 2)):
                self._respond_together(half, compute, queue)
        elif is_out_of_memory(responses) and self._batches.clear():
            queue += batch
        else:
            self._finish(batch[0][0], error=input_failure(responses))


def _split(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
