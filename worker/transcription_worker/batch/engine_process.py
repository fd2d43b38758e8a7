"""An engine in a process of its own, so that a file that takes it down takes nothing else with it.

A fault in native code, or the kernel where memory is short, ends this one process, and the pod goes on without the file. It
sees one GPU, so that each engine of a pod works as the only one of a pod with one GPU does.
"""

import logging
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from transcription_worker.batch.engine_messages import serve
from transcription_worker.batch.feed import EngineDiedError, Feed

log = logging.getLogger(__name__)

# Seconds that a process has to end after its last word.
ENDING_SECONDS = 20.0
VISIBLE = "CUDA_VISIBLE_DEVICES"

# Processes that a Popen waits for. Other children of process 1, which this process is in a container, are orphans.
_own: set[int] = set()
_starting = threading.Lock()


class EngineProcess:
    """Implements `feed.ShardEngine`. `number` counts the `count` engines of the pod from 0.

    `command` is the program; it gets the descriptor of its end of the connection, its folder, the number of engines, and, where
    it is started again, the word again.
    """

    def __init__(self, command: Sequence[str], scratch: Path, number: int = 0, count: int = 1) -> None:
        self._command, self._scratch, self._number, self._count = command, scratch, number, count
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = self._died = self._told = False

    def run(self, feed: Feed) -> None:
        """See `ShardEngine.run`. It must be called in a thread that lives until then, or the process is killed with it."""
        with self._started() as (process, connection):
            try:
                serve(connection, feed)
            except (EOFError, ConnectionError):
                self._died = True
                raise _death(_wait(process)) from None
            _wait(process)

    def stop(self) -> None:
        """See `ShardEngine.stop`."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def save(self) -> None:
        """See `ShardEngine.save`: the process saves by itself once it is told to end, and is waited for at last."""
        with self._lock:
            process, told, self._told = self._process, self._told, True
        if process is None:
            return
        if told:
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_SECONDS)
        else:
            process.send_signal(signal.SIGTERM)

    def finish(self, until: float) -> None:
        """See `ShardEngine.finish`."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, until - time.monotonic()))

    @contextmanager
    def _started(self) -> Iterator[tuple["subprocess.Popen[bytes]", Connection]]:
        """Start the process with a folder of its own, and leave neither behind."""
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryDirectory(prefix="engine-", dir=self._scratch, ignore_cleanup_errors=True) as folder:
            with ours, theirs, _starting:
                process = self._start(theirs.fileno(), folder)
                _own.add(process.pid)
                connection = Connection(os.dup(ours.fileno()))
            try:
                with process, connection:
                    try:
                        yield process, connection
                    finally:
                        process.kill()
            finally:
                _own.discard(process.pid)
                if os.getpid() == 1:
                    reap_orphans()

    def _start(self, descriptor: int, folder: str) -> "subprocess.Popen[bytes]":
        again = ["again"] if self._died else []
        with self._lock:
            # With pdeathsig it ends when this process does, whatever it is at.
            command = [
                "setpriv",
                "--pdeathsig",
                "KILL",
                *self._command,
                str(descriptor),
                folder,
                str(self._count),
                *again,
            ]
            process = subprocess.Popen(command, pass_fds=[descriptor], env=os.environ | self._environment(folder))
            self._process = process
            if self._stopped or self._told:
                process.kill()
        return process

    def _environment(self, folder: str) -> dict[str, str]:
        """The temporary files of a process that died go with its folder. Of several GPUs it sees one."""
        own = {"TMPDIR": folder}
        if self._count > 1:
            visible = os.environ.get(VISIBLE, ",".join(map(str, range(self._count)))).split(",")
            own[VISIBLE] = visible[self._number] if self._number < len(visible) else ""
        return own


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit status, once the process has said its last word; CUDA may hold one up for ever at its end."""
    try:
        return process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("the process that transcribes did not end by itself")
        process.kill()
        return process.wait()


def _death(status: int) -> EngineDiedError:
    if status >= 0:
        return EngineDiedError(f"ended with the code {status} and without a word", was_killed=False)
    name = signal.Signals(-status).name
    return EngineDiedError(f"died of {name}", was_killed=-status == signal.SIGKILL)


def reap_orphans() -> None:
    """Wait for children that have ended and that nobody else waits for: what a process that died had started."""
    with _starting:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in _own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
