"""The end of a program waits for the results that are being written."""

import threading
from types import TracebackType


class WriteGate:
    """Admits writers until it is closed, so that a program can end without cutting off a result."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writing = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._writing += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._writing -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Return once nothing is being written; whoever wants to write from then on waits until the program ends."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._writing == 0)
