"""The threads that schedulers run in, and how the cores are shared among them."""

import threading
from collections.abc import Callable
from types import TracebackType

import torch

from transcription_worker.engines.batched.compute import Compute
from transcription_worker.engines.batched.scheduler import Scheduler
from transcription_worker.engines.batched.tasks import Ended, Tasks

# On a CPU a step of few rows is hundreds of small products, which gain little or nothing from a second thread: two schedulers
# with a core each were 1.6 times as fast as one with two. Fewer windows than these for each would cost more than that.
LEAST_WINDOWS = 8


def scheduler_count(batch: int, threads: int, device: torch.device) -> int:
    """Schedulers for so many windows; a GPU is kept busy by one."""
    return 1 if device.type == "cuda" else max(1, min(threads, batch // LEAST_WINDOWS))


class Crew:
    """`batch` windows in all. `tell` hears of streams that end, and of a defect; it must not block."""

    def __init__(self, compute: Compute, batch: int, tell: Callable[[Ended | Exception | None], None]) -> None:
        self._compute, self._tell = compute, tell
        self._cores = torch.get_num_threads()
        count = scheduler_count(batch, self._cores, compute.device)
        self._windows = -(-batch // count)
        self.tasks = Tasks(count, self._windows, tell)
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"scheduler-{number}", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> "Crew":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Each ends its round; streams that are not done are dropped."""
        self.tasks.stop()
        for thread in self._threads:
            thread.join()
        # Part of the setting is the whole program's.
        torch.set_num_threads(self._cores)

    def _run(self, number: int) -> None:
        try:
            with torch.inference_mode():
                scheduler, shared = Scheduler(self._compute, self.tasks, number, self._windows), 0
                while scheduler.work():
                    shared = self._share_cores(shared)
        except Exception as error:  # noqa: BLE001 - raised again where the outcomes are taken
            self._tell(error)

    def _share_cores(self, shared: int) -> int:
        """Among the schedulers that are busy; `shared`: among how many so far, as this thread knows."""
        busy = self.tasks.busy
        if busy != shared:
            torch.set_num_threads(max(1, self._cores // busy))
        return busy
