"""Inputs opened ahead of their turn: ffmpeg and the first pass over the audio run while the model works on other files."""

import concurrent.futures
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

import torch
from transcription_api import reasons

from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.protocol import Input
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.errors import WorkerError

log = logging.getLogger(__name__)

# Inputs that are opened side by side.
THREADS = 4


@dataclass(frozen=True, eq=False)
class Source:
    """A file that is ready. `parts`: frames [start, end) of the clips of each of its streams: one, or one for each piece."""

    mel: LogMel
    loudness: Loudness
    clips: list[tuple[int, int]]
    parts: list[list[tuple[int, int]]]


@dataclass(frozen=True, eq=False)
class Opened:
    """One of `source` and `error` is set."""

    item: Input
    source: Source | None = None
    error: WorkerError | None = None

    def close(self) -> None:
        """Gives up the audio."""
        if self.source is not None:
            self.source.mel.audio.close()


class Opening:
    """At most `ahead` inputs are opened before their turn, in THREADS; they come out in their order.

    `tell` is called whenever one is ready, in its thread, and must not block. `device`: the one that the audio is heard on.
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        open_source: Callable[[Input], Source],
        ahead: int,
        tell: Callable[[], None],
        device: torch.device,
    ) -> None:
        self._inputs = iter(inputs)
        self._open_source = open_source
        self._tell, self._device = tell, device
        self._ahead = ahead
        # One core each: the schedulers' products need the others, see crew.Crew.
        self._pool = concurrent.futures.ThreadPoolExecutor(
            THREADS, thread_name_prefix="opening", initializer=_begin, initargs=(device,)
        )
        self._pending: deque[concurrent.futures.Future[Opened]] = deque()
        self._fill()

    def __enter__(self) -> "Opening":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What nobody will take is closed."""
        for future in self._pending:
            future.cancel()
        self._pool.shutdown(wait=True)
        for future in self._pending:
            if not future.cancelled():
                future.result().close()

    @property
    def exhausted(self) -> bool:
        """No input is left."""
        return not self._pending

    def take(self) -> Opened | None:
        """The next input, if there is one and it is ready."""
        if not self._pending or not self._pending[0].done():
            return None
        opened = self._pending.popleft().result()
        self._fill()
        return opened

    def _fill(self) -> None:
        while len(self._pending) < self._ahead and (item := next(self._inputs, None)) is not None:
            future = self._pool.submit(self._open, item)
            future.add_done_callback(lambda _: self._tell())
            self._pending.append(future)

    def _open(self, item: Input) -> Opened:
        try:
            with host_or_device_memory("opening the audio"):
                source = self._open_source(item)
            if self._device.type == "cuda":
                torch.cuda.current_stream(self._device).synchronize()
            return Opened(item, source=source)
        except WorkerError as error:
            return Opened(item, error=error)
        except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
            return Opened(item, error=unexpected(error))


def _begin(device: torch.device) -> None:
    """Of a thread. On the model's own stream every copy of audio to a GPU would wait for the steps that are launched there, and
    behind them for its turn: a file's few small kernels go first.
    """
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1))


def unexpected(error: Exception) -> WorkerError:
    """A defect, for the outcome; its words may hold data, so they go to the log's traceback alone."""
    log.error("%s", reasons.INTERNAL_ERROR.name, exc_info=error)
    return WorkerError(reasons.INTERNAL_ERROR, f"unexpected {type(error).__name__}")
