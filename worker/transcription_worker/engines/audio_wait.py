"""How long an engine waited for audio though there was more to transcribe: what holds a GPU up is then the front end."""

import contextlib
import time
from collections.abc import Callable, Iterator


class AudioWait:
    """Adds up an engine's time, and how much of it was lost for want of audio, both in seconds.

    An engine that decodes several windows together waits in part: a tenth of its places empty for a second is a tenth of
    a second. `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.seconds = self.waited = 0.0

    @contextlib.contextmanager
    def measured(self, empty: float) -> Iterator[None]:
        """Count the time of the block. `empty`, from 0 to 1, is the share of places for which no audio is ready."""
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self.seconds += took
            self.waited += took * empty
