"""Run another process that competes for the cores."""

import contextlib
import multiprocessing
from collections.abc import Iterator


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """Run a process that keeps one core busy for as long as the block runs."""
    process = multiprocessing.get_context("spawn").Process(target=_count, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _count() -> None:
    number = 0
    while True:
        number += 1
