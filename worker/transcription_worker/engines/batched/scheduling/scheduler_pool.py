"""The schedulers of one transcription, the threads that they run in, and how the cores are shared among them."""

import threading
from collections.abc import Callable
from types import TracebackType

import torch

from transcription_worker.engines.batched.model.model_runner import Compute
from transcription_worker.engines.batched.scheduling.scheduler import RUN_BY_THEMSELVES, Scheduler
from transcription_worker.engines.batched.scheduling.task_queue import Ended, Tasks

# On a CPU a step of few rows is hundreds of small products, which gain little from a second core: two schedulers with one
# each were 1.5 times as fast as one. How few windows are too few for a scheduler was not measured.
LEAST_WINDOWS = 8


def scheduler_count(batch: int, threads: int, device: torch.device) -> int:
    """Schedulers for so many windows; a GPU is kept busy by one."""
    return 1 if device.type == "cuda" else max(1, min(threads, batch // LEAST_WINDOWS))


class Crew:
    """`batch` windows in all. `tell` hears of streams that end, and of a defect; it must not block.

    The first scheduler runs in the thread that calls `work`, where torch's own threads are. Each thread that uses several
    cores has a pool of its own in OpenMP; with more pools than cores it hands every product over by a system call, and one
    file alone took twice its time.
    """

    def __init__(self, compute: Compute, batch: int, tell: Callable[[Ended | Exception | None], None]) -> None:
        self._compute, self._tell = compute, tell
        self._cores = torch.get_num_threads()
        self._count = count = scheduler_count(batch, self._cores, compute.device)
        self._windows = -(-batch // count)
        # On a GPU the encoder runs for several windows at once: as many are on their way to it while all slots are decoding.
        ahead = compute.encoded_at_once if compute.device.type in RUN_BY_THEMSELVES else 0
        self.tasks = Tasks(count, self._windows + ahead, tell)
        self._first = Scheduler(compute, self.tasks, 0, self._windows)
        self._shared = 1  # among how many schedulers this thread believes the cores to be shared
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"scheduler-{number}", daemon=True)
            for number in range(1, count)
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
        torch.set_num_threads(self._cores)

    def work(self) -> bool:
        """A round of the first scheduler; False where it has nothing to do."""
        busy = self.tasks.busy
        if busy != self._shared:
            torch.set_num_threads(max(1, self._cores // busy))
            self._shared = busy
        # Here, since who takes the outcomes is not in inference mode.
        with torch.inference_mode(), self._compute.attending():
            self._first.work(wait=False)
        return not self._first.idle

    def _run(self, number: int) -> None:
        torch.set_num_threads(max(1, self._cores // self._count))
        try:
            with torch.inference_mode():
                scheduler = Scheduler(self._compute, self.tasks, number, self._windows)
                while scheduler.work(wait=True):
                    pass
        except Exception as error:  # noqa: BLE001 - raised again where the outcomes are taken
            self._tell(error)
