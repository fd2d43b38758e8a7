"""The worker's program as a fork of a process that has imported what takes long.

torch and whisper take 2.5 s of a core to import, and most runs of the worker in tests take less than that for all else. A fork
is a process of its own, with its own environment, signals, exit code and log. Real starts of the program are in
tests/integration/worker/test_run.py and wherever a test runs it by another command.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import TextIO

from transcription_worker.main import main

# What the program imports in the course of a run. A name that is not there is passed over.
PRELOADED = (
    "boto3",
    "transcription_worker.main",
    "transcription_worker.job.transcription",
    "transcription_worker.job.shard",
    "transcription_worker.local.command",
    "transcription_worker.engines.batched.engine",
    "transcription_worker.engines.openai_whisper.engine",
)
STDOUT, STDERR = 1, 2  # descriptors


def forkserver() -> ForkServerContext:
    """Return the context that forks. The process that it forks from starts with the first use."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


class ForkedWorker:
    """A running `transcription-worker`, with the methods of a Popen whose stdout and stderr are pipes of text."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        context = forkserver()
        out, child_out = context.Pipe(duplex=False)
        err, child_err = context.Pipe(duplex=False)
        with out, err, child_out, child_err:
            call = (arguments, dict(environment), child_out, child_err)
            self._process = context.Process(target=run_worker, args=call, daemon=True)
            self._process.start()
            self.stdout, self.stderr = text_of(out), text_of(err)

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of the signal that ended the process; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float = threading.TIMEOUT_MAX) -> tuple[str, str]:
        """Wait for the end, and return what is left of stdout and stderr.

        Raises:
            subprocess.TimeoutExpired: The process ran for longer than `timeout` seconds, and was killed.
        """
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        killer = threading.Timer(timeout, kill)
        killer.start()
        with self.stdout, self.stderr, ThreadPoolExecutor(1) as other:
            said = other.submit(self.stdout.read)
            log, out = self.stderr.read(), said.result()
        self._process.join()
        killer.cancel()
        killer.join()
        if late.is_set():
            raise subprocess.TimeoutExpired("transcription-worker", timeout, out, log)
        return out, log


def text_of(pipe: Connection) -> TextIO:
    """Return a file that reads the text of a pipe."""
    return os.fdopen(os.dup(pipe.fileno()), encoding="utf-8")


def run_worker(arguments: list[str], environment: dict[str, str], stdout: Connection, stderr: Connection) -> None:
    """Run the program in this process, which was forked for it."""
    with stdout, stderr:
        os.dup2(stdout.fileno(), STDOUT)
        os.dup2(stderr.fileno(), STDERR)
    # Made anew, as those of the process that it was forked from may be those of a file.
    sys.stdout = os.fdopen(STDOUT, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(STDERR, "w", buffering=1, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["transcription-worker", *arguments]
    main()
