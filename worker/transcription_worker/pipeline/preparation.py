"""Inputs are looked up, fetched and decoded ahead of the engine, within bounds on their number and on the disk."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Generic

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.input_state import InputState, Prepared
from transcription_worker.pipeline.scratch_space import ScratchSpace
from transcription_worker.pipeline.source import InputT
from transcription_worker.shortage import shortage

# Inputs that are fetched and decoded before the engine opens them, each in a thread.
PREPARED_AHEAD = 4
# The most beside a GPU, which takes audio sooner than four cores decode mp3: some 450 times real time each.
MOST_PREPARED_AHEAD = 16
# Bytes of media that are downloaded for them; one input that is larger than this is let through on its own.
DOWNLOADED_AHEAD = 4 << 30


def prepared_ahead(device: str, cores: int) -> int:
    """Return how many inputs are prepared ahead on a device, cuda or cpu. On a CPU the cores are the model's too."""
    return PREPARED_AHEAD if device == "cpu" else min(MOST_PREPARED_AHEAD, max(PREPARED_AHEAD, cores))


class DownloadBudget:
    """Bounds what is downloaded for inputs that the engine has not opened yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}  # bytes by input; 0 until the input has been looked up
        self._closed = False

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, number: int) -> None:
        with self._changed:
            self._held[number] = 0

    def reserve(self, number: int, size: int) -> None:
        """Wait for room. The first input in line never waits, so that there is always one that goes on."""

        def has_room() -> bool:
            return self._closed or number == min(self._held) or sum(self._held.values()) + size <= self._limit

        with self._changed:
            self._changed.wait_for(has_room)
            if self._closed:
                raise WorkerError(reasons.INTERRUPTED, "the pipeline ended before this input was fetched")
            self._held[number] = size

    def release(self, number: int) -> None:
        with self._changed:
            self._held.pop(number, None)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Preparation(Generic[InputT]):
    """Iterates over the inputs in their order and prepares the next ones in threads meanwhile.

    Iteration does not wait until an input is prepared: that is what its `prepared` is for.
    """

    def __init__(
        self,
        inputs: Iterable[InputT],
        prepare: Callable[[InputState[InputT]], Prepared],
        ahead: int = PREPARED_AHEAD,
        downloaded: int = DOWNLOADED_AHEAD,
    ) -> None:
        self._listing = iter(inputs)
        self._prepare = prepare
        self._ahead = ahead
        self._budget = DownloadBudget(downloaded)
        self.space = ScratchSpace[InputT](self._submit_again)
        self._lock = threading.RLock()
        self._states: dict[int, InputState[InputT]] = {}  # listed and not done with, by number
        self._listed = self._iterated = self._submitted = 0
        self._error: Exception | None = None
        self._has_threads = False
        self._threads = ThreadPoolExecutor(ahead, thread_name_prefix="prepare")

    def __enter__(self) -> "Preparation[InputT]":
        self._submit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the audio of the inputs that no engine has opened."""
        self._budget.close()
        self.space.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for state in list(self._states.values()):
            if not state.prepared.done():
                state.prepared.set_exception(WorkerError(reasons.INTERRUPTED, "the pipeline has ended"))
            state.close()

    def __iter__(self) -> Iterator[InputState[InputT]]:
        return self

    def __next__(self) -> InputState[InputT]:
        with self._lock:
            state = self._state(self._iterated)
            if state is None:
                raise self._error or StopIteration
            self._iterated += 1
        return state

    @property
    def exhausted(self) -> bool:
        """Whether iteration has come to the last input."""
        with self._lock:
            return self._state(self._iterated) is None

    @property
    def listing_failed(self) -> bool:
        """Whether the source broke off, so that iteration raises."""
        return self._error is not None

    def reserve(self, state: InputState[InputT], size: int) -> None:
        """Wait, in the thread that prepares the input, until so many bytes may be downloaded for it."""
        self._budget.reserve(state.number, size)

    def release(self, state: InputState[InputT]) -> None:
        """Make room for the next input: the engine has opened this one, or it needs no engine."""
        self._budget.release(state.number)
        self._submit()

    def finish(self, state: InputState[InputT]) -> None:
        """Close and forget an input that is done with: what is kept of inputs must not grow with their number."""
        state.close()
        self.space.leave(state)
        with self._lock:
            self._states.pop(state.number, None)
        self.release(state)

    def _state(self, number: int) -> InputState[InputT] | None:
        """Return the input of that number, which is not done with; list it if need be."""
        while self._listed <= number and self._error is None:
            try:
                number, item = self._listed, next(self._listing)
                self._states[number] = InputState(number, item, partial(self.space.note_freed, number))
                self._listed += 1
            except StopIteration:
                return None
            except Exception as error:  # noqa: BLE001 - raised to whoever iterates, not in the thread that happened to list
                self._error = error
        return self._states.get(number)

    def _submit(self) -> None:
        with self._lock:
            while len(self._budget) < self._ahead and (state := self._state(self._submitted)) is not None:
                self._submitted += 1
                self._budget.enter(state.number)
                self.space.enter(state)
                if not self._submit_again(state):
                    return

    def _submit_again(self, state: InputState[InputT]) -> bool:
        try:
            self._threads.submit(self._run, state)
        except RuntimeError as error:
            if shortage(error) is None:  # shut down: nobody waits for more inputs
                return False
            if not self._has_threads:  # nor will any other input be prepared
                raise
        self._has_threads = True
        return True

    def _run(self, state: InputState[InputT]) -> None:
        try:
            prepared = self.space.prepare(state, lambda: self._prepare(state))
        except BaseException as error:  # noqa: BLE001 - given to whoever takes the input
            state.prepared.set_exception(error)
            self.release(state)
        else:
            state.prepared.set_result(prepared)
            if prepared.report is not None:
                self.release(state)
        self.space.note_prepared(state)
