"""What to do where the disk is full: wait until other inputs let go of their samples, and fail only where none has any."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.input_state import InputState, Prepared
from transcription_worker.pipeline.source import InputT

ResultT = TypeVar("ResultT")


class ScratchSpace(Generic[InputT]):
    """Lets what was refused for lack of space be done again once there may be more.

    Once the disk has been full, inputs are prepared in their order: one that waits has only those before it and those that the
    engine has opened to wait for, which the engine comes to the end of. All others after it are taken back.
    """

    def __init__(self, prepare_again: Callable[[InputState[InputT]], object]) -> None:
        self._prepare_again = prepare_again
        self._changed = threading.Condition()
        self._under_way: dict[int, InputState[InputT]] = {}  # inputs that are prepared, or have samples
        self._running: set[int] = set()  # inputs that are being prepared
        self._freed = Counter[int]()  # how many times files of an input were deleted, by its number
        self._freed_in_all = 0
        self._scarce = self._closed = self._impatient = False

    def enter(self, state: InputState[InputT]) -> None:
        """Count an input as one that will be prepared. Inputs enter in their order."""
        with self._changed:
            self._under_way[state.number] = state

    def prepare(self, state: InputState[InputT], attempt: Callable[[], Prepared]) -> Prepared:
        """Prepare an input, in a thread that may wait.

        Raises:
            WorkerError: NoSpaceLeft, if no other input has samples on the disk; whatever else the attempt raises.
        """

        def in_turn() -> Prepared:
            with self._changed:
                self._changed.wait_for(lambda: not self._scarce or self._is_first(state) or self._ends())
                self._running.add(state.number)
            try:
                return attempt()
            except WorkerError:
                with self._changed:
                    self._running.discard(state.number)
                    self.note_freed(state.number)
                raise

        def may_wait() -> bool:
            self._take_back_after(state)
            return not self._ends()

        return self.with_space(state.number, in_turn, may_wait)

    def with_space(
        self, number: int, attempt: Callable[[], ResultT], may_wait: Callable[[], bool] = lambda: True
    ) -> ResultT:
        """Do something for an input that needs space, again each time that others freed some, as long as they hold any.

        Raises:
            WorkerError: NoSpaceLeft, if no other input holds samples any more; whatever else the attempt raises.
        """
        while True:
            freed = self._freed_by_others(number)
            try:
                return attempt()
            except WorkerError as error:
                if error.reason is not reasons.NO_SPACE_LEFT or not self._wait(number, freed, may_wait):
                    raise

    def note_prepared(self, state: InputState[InputT]) -> None:
        """Wake those who wait for an input that is prepared now, or has failed."""
        with self._changed:
            self._running.discard(state.number)
            self._changed.notify_all()

    def note_freed(self, number: int) -> None:
        """Wake those who wait for space: files of this input were deleted."""
        with self._changed:
            self._freed[number] += 1
            self._freed_in_all += 1
            state = self._under_way.get(number)
            if state is not None and state.closed:
                self.leave(state)
            self._changed.notify_all()

    def leave(self, state: InputState[InputT]) -> None:
        """Forget an input that is done with once its samples are deleted: what is kept must not grow with their number."""
        with self._changed:
            if not state.holds_samples:
                self._under_way.pop(state.number, None)
                self._freed.pop(state.number, None)

    def stop_waiting(self) -> None:
        """Fail inputs that do not fit, from now on: the engine may come to the end of others only after them."""
        with self._changed:
            self._impatient = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more: the pipeline ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ends(self) -> bool:
        return self._closed or self._impatient

    def _freed_by_others(self, number: int) -> int:
        with self._changed:
            return self._freed_in_all - self._freed[number]

    def _wait(self, number: int, freed: int, may_wait: Callable[[], bool]) -> bool:
        """Return whether others freed space since `freed` was read; wait for that as long as they hold any."""
        with self._changed:
            self._scarce = True
            self._changed.notify_all()
            while may_wait():
                if self._freed_by_others(number) != freed:
                    return True
                if self._closed or not any(holder != number for holder in self._holders()):
                    return False
                self._changed.wait()
            return False

    def _holders(self) -> Iterator[int]:
        """Yield the inputs that have samples on the disk or are writing them, and forget those that have ended."""
        for number, state in list(self._under_way.items()):
            if number in self._running or state.holds_samples:
                yield number
            elif state.prepared.done():
                del self._under_way[number]

    def _is_first(self, state: InputState[InputT]) -> bool:
        """Whether every input before this one is prepared or has failed."""
        return all(one.prepared.done() for number, one in self._under_way.items() if number < state.number)

    def _take_back_after(self, state: InputState[InputT]) -> None:
        """Have the samples of the inputs after the first one deleted: they are prepared again after it."""
        if not self._is_first(state):
            return
        for number, other in list(self._under_way.items()):
            if number > state.number and number not in self._running and other.take_back():
                self.note_freed(number)
                self._prepare_again(other)
