"""The decode batches of a scheduler, one for each BatchKey, with the windows that wait for them and the memory they share."""

import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from transcription_api import reasons

from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import DecodeResponse
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory
from transcription_worker.engines.batched.scheduling.decode_batch import BatchKey, DecodeBatch, PreparedRequest
from transcription_worker.engines.batched.scheduling.slot_limit import SlotLimit
from transcription_worker.engines.batched.scheduling.task_queue import Task
from transcription_worker.engines.memory import host_or_device_memory, input_failure
from transcription_worker.errors import WorkerError, without_frames

T = TypeVar("T")
LazyResponse = Callable[[], DecodeResponse]

log = logging.getLogger(__name__)

# Decode steps between two checks for finished windows: on a GPU a check waits for the steps before it.
STEPS_PER_LAUNCH_GPU = 4


def attempt(action: Callable[[], T]) -> T | Exception:
    """Run the action, and return the error that it raises, so that it can be tried again in another way.

    An error of the memory is returned without its frames: their tensors would be missing at the next try.

    Raises:
        WorkerError: GPUFault.
    """
    try:
        with host_or_device_memory("transcribing"):
            return action()
    except WorkerError as error:
        if error.reason is reasons.GPU_FAULT:
            raise
        return without_frames(error)
    except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
        return error


def is_out_of_memory(error: Exception) -> bool:
    """Whether fewer windows at a time, or others' memory, may help."""
    return isinstance(error, WorkerError) and error.reason is reasons.OUT_OF_MEMORY


class DecodeBatches:
    """Decodes windows in batches of at most `slots` each.

    on_gpu: whether steps are launched to run while the host goes on. memory: says how many slots fit by the rows of a slot; None
    where `slots` fit of every kind.
    """

    def __init__(self, runner: ModelRunner, slots: int, on_gpu: bool, memory: GpuMemory | None = None) -> None:
        self._runner, self._slots, self._on_gpu, self._memory = runner, slots, on_gpu, memory
        self._waiting: dict[BatchKey, deque[tuple[PreparedRequest, Task]]] = {}
        self._batches: dict[BatchKey, DecodeBatch[Task]] = {}
        self._limits: dict[BatchKey, SlotLimit] = {}
        self._failed: list[tuple[Task, WorkerError]] = []
        self._clearing = False  # nothing is admitted until what is decoded now is done
        self._first: BatchKey | None = None  # has waited for memory, and is admitted before the others

    @property
    def decoding(self) -> bool:
        """Whether a window is being decoded."""
        return any(batch.used_slots for batch in self._batches.values())

    @property
    def busy(self) -> bool:
        """Whether a window is being decoded or waits for that."""
        return self.decoding or any(self._waiting.values())

    def enqueue(self, prepared: PreparedRequest, task: Task) -> None:
        """Let the window of a task wait for its batch."""
        self._waiting.setdefault(prepared.key, deque()).append((prepared, task))
        self._limits.setdefault(prepared.key, SlotLimit(self._most_slots(prepared.key)))

    def _most_slots(self, key: BatchKey) -> int:
        return self._slots if self._memory is None else min(self._slots, self._memory.windows(key.group, key.sampling))

    # --- memory that others need

    def drop_idle(self) -> bool:
        """Drop batches in which nothing is decoded. Returns whether there were any."""
        idle = [key for key, batch in self._batches.items() if not batch.used_slots]
        for key in idle:
            del self._batches[key]
        return bool(idle)

    def clear(self) -> bool:
        """Admit nothing until the windows that are being decoded are done. False if there are none: no batch holds memory."""
        self._clearing = self.decoding
        return self._clearing

    def is_clearing(self) -> bool:
        """Whether whoever needs memory still has to wait. The batches are dropped once all windows in them are done."""
        if self._clearing and not self.decoding:
            self._clearing = False
            self.drop_idle()
        return self._clearing

    # --- one round

    def admit(self) -> None:
        """Put windows that wait into free slots."""
        keys = sorted((key for key, waiting in self._waiting.items() if waiting), key=lambda key: key != self._first)
        for key in keys:
            if self.is_clearing():
                return
            self._first = None if key == self._first else self._first
            self._attempt(key, self._admit)

    def launch(self) -> None:
        """Decode the next tokens of all windows."""
        for key in self._decoding_keys():
            self._attempt(key, self._launch)

    def collect(self) -> list[tuple[Task, LazyResponse]]:
        """Return the windows that are finished, see DecodeBatch.collect."""
        found: list[tuple[Task, LazyResponse]] = []
        for key in self._decoding_keys():
            responses = self._attempt(key, self._collect) or []
            self._limits[key].count(len(responses))
            found += responses
        return found

    def take_failed(self) -> list[tuple[Task, WorkerError]]:
        """Return the tasks whose windows could not be decoded since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def _decoding_keys(self) -> list[BatchKey]:
        """Keys instead of the batches themselves: no reference may keep a batch that is dropped to free its memory."""
        return [key for key, batch in self._batches.items() if batch.used_slots]

    def _attempt(self, key: BatchKey, action: Callable[[BatchKey], T]) -> T | None:
        """Run the action; if it fails, its windows are decoded again, fewer at a time."""
        result = attempt(lambda: action(key))
        if not isinstance(result, Exception):
            return result
        self._retry_with_fewer_slots(key, result)
        return None

    def _retry_with_fewer_slots(self, key: BatchKey, error: Exception) -> None:
        """Requeue the batch's windows and halve its slots, unless memory can be had from other batches.

        A window that fails alone, with no other batch there, is the failure of its file.
        """
        batch, waiting, limit = self._batches.pop(key, None), self._waiting[key], self._limits[key]
        waiting.extendleft(reversed([] if batch is None else batch.admitted))
        if is_out_of_memory(error) and self.drop_idle():
            return
        slots = self._new_slots(key) if batch is None else batch.slots
        if slots > 1:
            name = error.reason.name if isinstance(error, WorkerError) else type(error).__name__
            log.warning("decoding %d windows at a time failed (%s): going on with %d", slots, name, slots // 2)
            limit.lower(slots // 2)
            if is_out_of_memory(error):
                self._runner.memory_steps.lowered(slots, slots // 2)
        elif is_out_of_memory(error) and self.clear():
            self._first = key
        else:
            if not is_out_of_memory(error):
                limit.reset()
            _, task = waiting.popleft()
            self._failed.append((task, input_failure(error)))

    def _admit(self, key: BatchKey) -> None:
        waiting = self._waiting[key]
        batch = self._batch_for(key, len(waiting))
        some = list(itertools.islice(waiting, batch.free_slots))
        if some:
            batch.admit(some)
            for _ in some:
                waiting.popleft()

    def _new_slots(self, key: BatchKey) -> int:
        """How many slots a new batch has.

        On a GPU these are all that it may have, since a larger batch would have to capture its CUDA graphs again. On a CPU it
        grows when more windows wait than it has free slots.
        """
        most = self._limits[key].slots
        return most if self._on_gpu else min(most, len(self._waiting[key]))

    def _batch_for(self, key: BatchKey, waiting: int) -> DecodeBatch[Task]:
        """Return the batch for this key, created or made larger if need be."""
        batch, most = self._batches.get(key), self._limits[key].slots
        if batch is None:
            batch = self._batches[key] = DecodeBatch(self._runner, key, self._new_slots(key))
        elif waiting > batch.free_slots and batch.slots < most:
            slots = min(most, max(2 * batch.slots, batch.used_slots + waiting))
            batch = self._batches[key] = self._resized(key, batch, slots)
        return batch

    def _resized(self, key: BatchKey, batch: DecodeBatch[Task], slots: int) -> DecodeBatch[Task]:
        """The batch with more slots, or as it is if there is no memory for more."""
        resized = attempt(lambda: batch.resized(slots))
        if not isinstance(resized, Exception):
            return resized
        if not is_out_of_memory(resized):
            raise resized
        if not self.drop_idle():
            log.warning("no memory for %d windows at a time: going on with %d", slots, batch.slots)
            self._limits[key].lower(batch.slots)
            self._runner.memory_steps.lowered(slots, batch.slots)
        return batch

    def _launch(self, key: BatchKey) -> None:
        self._batches[key].launch(STEPS_PER_LAUNCH_GPU if self._on_gpu else 1)

    def _collect(self, key: BatchKey) -> list[tuple[Task, LazyResponse]]:
        return self._batches[key].collect()
