"""Run a runner in a process of its own, since libraries set numbers of threads for their whole process.

CTranslate2, opened with one thread a worker, leaves torch with one thread too.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks.engines.corpus import Recording
from benchmarks.engines.runners import Measurement, Runner

_runner: Runner | None = None


class SubprocessRunner:
    """`make` builds the runner in the new process; it must be picklable. `threads` is torch's number of threads.

    `environment` holds variables that the process begins with, since libraries read theirs once.
    """

    def __init__(self, make: Callable[[], Runner], threads: int, environment: Mapping[str, str] | None = None) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._one = ProcessPoolExecutor(1, mp_context=spawning, initializer=_begin, initargs=(make, threads))
        self.name = ""
        with _set(environment or {}):
            self._one.submit(_nothing).result()

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """See `Runner.run`. Afterwards `name` is the name of the runner in the process, which may choose it in its first run."""
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
    """Do nothing; the process has started once this returns."""


def _begin(make: Callable[[], Runner], threads: int) -> None:
    global _runner  # noqa: PLW0603 - the process is there for it alone
    torch.set_num_threads(threads)
    _runner = make()


def _run(recordings: Sequence[Recording]) -> tuple[str, Measurement]:
    assert _runner is not None
    measured = _runner.run(recordings)
    return _runner.name, measured
