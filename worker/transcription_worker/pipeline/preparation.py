"""Inputs are looked up, fetched and decoded ahead of the engine, within bounds on their number and on the disk."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Generic

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.media.ffmpeg import SAMPLE_BYTES
from transcription_worker.pipeline.ahead_budget import DOWNLOADED_AHEAD, MOST_AHEAD, PREPARED_AHEAD, AheadBudget
from transcription_worker.pipeline.input_state import InputState, Prepared
from transcription_worker.pipeline.scratch_space import ScratchSpace
from transcription_worker.pipeline.source import InputT, InputVersion
from transcription_worker.shortage import shortage


class Preparation(Generic[InputT]):
    """Iterates over the inputs in their order and prepares the next ones in threads meanwhile.

    Iteration does not wait until an input is prepared: that is what its `prepared` is for.
    """

    def __init__(
        self,
        inputs: Iterable[InputT],
        prepare: Callable[[InputState[InputT]], Prepared],
        ahead: int = PREPARED_AHEAD,
        most: int = MOST_AHEAD,
        downloaded: int = DOWNLOADED_AHEAD,
    ) -> None:
        self._listing = iter(inputs)
        self._prepare = prepare
        self.most = most
        self._budget = AheadBudget(ahead, most, downloaded)
        self.space = ScratchSpace[InputT](self._submit_again)
        self._lock = threading.RLock()
        self._states: dict[int, InputState[InputT]] = {}  # listed and not done with, by number
        self._listed = self._iterated = self._submitted = 0
        self._error: Exception | None = None
        self._has_threads = False
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="prepare")

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

    def reserve(self, state: InputState[InputT], version: InputVersion) -> None:
        """Wait, in the thread that prepares the input, until it may be downloaded. Let others follow where it is small."""
        self._budget.reserve(state.number, version.download_bytes)
        self._budget.expect(state.number, version.media_bytes)
        self._submit()

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
            while self._budget.has_room() and (state := self._state(self._submitted)) is not None:
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
            self._budget.decoded(state.number, sum(track.audio.count for track in prepared.tracks) * SAMPLE_BYTES)
            state.prepared.set_result(prepared)
            if prepared.report is not None:
                self.release(state)
            else:
                self._submit()
        self.space.note_prepared(state)
