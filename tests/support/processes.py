"""Processes that others have started."""

import os
from contextlib import suppress
from pathlib import Path


def children(parent: int | None = None) -> list[int]:
    """Return the processes that any thread of a process, by default this one, started, and that nobody has waited for."""
    found: list[int] = []
    with suppress(OSError):  # it, or one of its threads, has ended meanwhile
        for task in Path(f"/proc/{parent or os.getpid()}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found
