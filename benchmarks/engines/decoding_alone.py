"""A side in a process of its own: what one library sets for the threads of a process is not the other's.

To open a model of CTranslate2 with one thread a worker leaves torch with one thread too.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks.engines.corpus import Recording
from benchmarks.engines.sides import Measured, Side

_side: Side | None = None


class Apart:
    """A Side. `make` must be picklable: a function of a module, or a partial of one. `threads`: of torch.

    `environment`: variables that the process begins with, since libraries read theirs once.
    """

    def __init__(self, make: Callable[[], Side], threads: int, environment: Mapping[str, str] | None = None) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._one = ProcessPoolExecutor(1, mp_context=spawning, initializer=_begin, initargs=(make, threads))
        self.name = ""
        with _set(environment or {}):
            self._one.submit(_nothing).result()

    def run(self, recordings: Sequence[Recording]) -> Measured:
        """As Side. The name is the side's own as it is after the run."""
        self.name, measured = self._one.submit(_run, recordings).result()
        return measured


@contextlib.contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = os.environ.copy()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _nothing() -> None:
    """The process is there once this is done."""


def _begin(make: Callable[[], Side], threads: int) -> None:
    global _side  # noqa: PLW0603 - the process is there for it alone
    torch.set_num_threads(threads)
    _side = make()


def _run(recordings: Sequence[Recording]) -> tuple[str, Measured]:
    assert _side is not None
    measured = _side.run(recordings)
    return _side.name, measured
