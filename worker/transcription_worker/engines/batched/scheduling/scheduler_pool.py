"""The schedulers of one transcription, their threads, and how they share the CPU cores."""

import threading
from collections.abc import Callable
from types import TracebackType

import torch

from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory
from transcription_worker.engines.batched.scheduling.scheduler import ASYNC_DEVICES, Scheduler
from transcription_worker.engines.batched.scheduling.task_queue import TaskQueue, TaskResult

# A decode step of few rows on a CPU is hundreds of small matrix products, which gain little from a second core: two schedulers
# with a core each were 1.5 times as fast as one with two. How few windows are too few for a scheduler was not measured.
MIN_WINDOWS_PER_SCHEDULER = 8


def scheduler_count(batch: int, threads: int, device: torch.device) -> int:
    """How many schedulers decode `batch` windows with `threads` CPU threads. One keeps a GPU busy."""
    return 1 if device.type == "cuda" else max(1, min(threads, batch // MIN_WINDOWS_PER_SCHEDULER))


class SchedulerPool:
    """Schedulers that decode `batch` windows in all; use it as a context manager.

    notify: called with each TaskResult, and with an exception that stopped a scheduler; it must not block. memory: see
    DecodeBatches.

    The first scheduler runs in the thread that calls `run_once`, which owns torch's thread pool. Every further thread that
    uses several cores gets an OpenMP pool of its own; with more pools than cores OpenMP hands over each product by a system
    call, and a single file took twice its time.
    """

    def __init__(
        self,
        runner: ModelRunner,
        batch: int,
        notify: Callable[[TaskResult | Exception | None], None],
        memory: GpuMemory | None = None,
    ) -> None:
        self._runner, self._notify, self._memory = runner, notify, memory
        self._cores = torch.get_num_threads()
        self._count = count = scheduler_count(batch, self._cores, runner.device)
        self._windows = -(-batch // count)
        # A GPU encodes several windows at once: so many more tasks run, to be encoded while all slots decode.
        extra = runner.encoder_batch if runner.device.type in ASYNC_DEVICES else 0
        self.tasks = TaskQueue(count, self._windows + extra, notify)
        self._first = Scheduler(runner, self.tasks, 0, self._windows, memory)
        self._sharing = 1  # schedulers among which this thread last divided the cores
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"scheduler-{number}", daemon=True)
            for number in range(1, count)
        ]

    def __enter__(self) -> "SchedulerPool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until each scheduler has ended its round; unfinished tasks are dropped."""
        self.tasks.close()
        for thread in self._threads:
            thread.join()
        torch.set_num_threads(self._cores)

    def run_once(self) -> bool:
        """Run a round of the first scheduler. Returns False if it has nothing to do."""
        busy = self.tasks.busy_schedulers
        if busy != self._sharing:
            torch.set_num_threads(max(1, self._cores // busy))
            self._sharing = busy
        # Entered here, since the caller that iterates over outcomes is not in inference mode.
        with torch.inference_mode(), self._runner.attention_context():
            self._first.run_once(wait=False)
        return not self._first.idle

    def _run(self, number: int) -> None:
        torch.set_num_threads(max(1, self._cores // self._count))
        try:
            with torch.inference_mode():
                scheduler = Scheduler(self._runner, self.tasks, number, self._windows, self._memory)
                while scheduler.run_once(wait=True):
                    pass
        except Exception as error:  # noqa: BLE001 - raised again in the thread that iterates over outcomes
            self._notify(error)
