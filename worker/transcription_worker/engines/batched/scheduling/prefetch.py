"""Inputs opened ahead of their turn: ffmpeg and the first pass over the audio run while the model works on other files."""

import concurrent.futures
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

import torch

from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.memory import host_or_device_memory, input_failure
from transcription_worker.engines.protocol import Checkpoints, Input, InputCheckpoint
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.errors import WorkerError

# Inputs that are opened in parallel: on a CPU, and beside a GPU at most. Finding silences takes a core 1/380 of the audio's
# length, so that a fast GPU needs more than four.
THREADS, MOST_THREADS = 4, 16


@dataclass(frozen=True, eq=False)
class AudioSource:
    """An opened file.

    clips: frames [start, end) to transcribe. parts: the clips of each Transcriber: one part with longForm sequential, one
    for each chunk with longForm chunked. checkpoints: None if none are kept. found: the one to go on from.
    """

    mel: LogMel
    loudness: Loudness
    clips: list[tuple[int, int]]
    parts: list[list[tuple[int, int]]]
    checkpoints: Checkpoints | None = None
    found: InputCheckpoint | None = None


@dataclass(frozen=True, eq=False)
class PrefetchedInput:
    """An input with its source, or the error that opening it raised."""

    item: Input
    source: AudioSource | None = None
    error: WorkerError | None = None

    def close(self) -> None:
        """Close the audio."""
        if self.source is not None:
            self.source.mel.audio.close()


class Prefetcher:
    """Opens at most `depth` inputs ahead, in some threads, and returns them as they are ready; use it as a context manager.

    Of several that are ready the first in line is returned: a long file at the head keeps nobody waiting.

    notify: called in one of those threads whenever an input is ready; it must not block. device: where the log-mel
    spectrogram is computed.
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        open_source: Callable[[Input], AudioSource],
        depth: int,
        notify: Callable[[], None],
        device: torch.device,
    ) -> None:
        self._inputs = iter(inputs)
        self._open_source = open_source
        self._notify, self._device = notify, device
        self._depth = depth
        # One core each: the schedulers' matrix products need the others, see SchedulerPool.
        self._pool = concurrent.futures.ThreadPoolExecutor(
            thread_count(device), thread_name_prefix="prefetch", initializer=_init_thread, initargs=(device,)
        )
        self._pending: deque[concurrent.futures.Future[PrefetchedInput]] = deque()
        self._fill()

    def __enter__(self) -> "Prefetcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every input that was opened and not taken."""
        for future in self._pending:
            future.cancel()
        self._pool.shutdown(wait=True)
        for future in self._pending:
            if not future.cancelled() and future.exception() is None:
                future.result().close()

    @property
    def exhausted(self) -> bool:
        """Whether no input is left."""
        return not self._pending

    def take(self) -> PrefetchedInput | None:
        """Return the first input that is ready, or None.

        Raises:
            WorkerError: GPUFault.
        """
        ready = next((future for future in self._pending if future.done()), None)
        if ready is None:
            return None
        self._pending.remove(ready)
        self._fill()
        return ready.result()

    def _fill(self) -> None:
        while len(self._pending) < self._depth and (item := next(self._inputs, None)) is not None:
            future = self._pool.submit(self._open, item)
            future.add_done_callback(lambda _: self._notify())
            self._pending.append(future)

    def _open(self, item: Input) -> PrefetchedInput:
        try:
            with host_or_device_memory("opening the audio"):
                source = self._open_source(item)
            if self._device.type == "cuda":
                # Waits asleep: up to MOST_THREADS that spin would take the cores from ffmpeg.
                torch.cuda.current_stream(self._device).record_event(torch.cuda.Event(blocking=True)).synchronize()
            return PrefetchedInput(item, source=source)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            return PrefetchedInput(item, error=input_failure(error))


def thread_count(device: torch.device) -> int:
    """How many inputs are opened in parallel: with a GPU as many as there are cores, but no fewer than on a CPU."""
    return THREADS if device.type == "cpu" else min(MOST_THREADS, max(THREADS, torch.get_num_threads()))


def _init_thread(device: torch.device) -> None:
    """Give a thread one core and, on a GPU, a CUDA stream of high priority.

    On the default stream every copy of audio to the GPU would wait for the decode steps that are launched there. A file's few
    small kernels go first instead.
    """
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1))
