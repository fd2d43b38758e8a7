"""What the batched engine gave up where memory ran out: it is told in the report, since such a run is slower than it could be."""

import threading


class MemorySteps:
    """How many windows were decoded together, down to where they fitted. Several schedulers write to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: set[int] = set()

    def lowered(self, before: int, after: int) -> None:
        """Count a step: `before` windows did not fit together, and `after` are tried."""
        with self._lock:
            self._sizes |= {before, after}

    def describe(self) -> str | None:
        """The steps in a sentence, None if there were none. Each halves the number, so that there are no more than ten."""
        with self._lock:
            sizes = sorted(self._sizes, reverse=True)
        if not sizes:
            return None
        return f"memory ran out: windows decoded together went from {sizes[0]} to {', '.join(map(str, sizes[1:]))}"
