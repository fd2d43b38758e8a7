"""Read each file in a process of its own, so that all that the kernel counts there is that file's.

The process is forked from one that has imported the worker and has no threads.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from tests.media_fuzz.front_end import Ending, Request, read_media
from tests.support.processes import children
from tests.support.repository import ROOT

Read = Callable[[Request], Ending]

# The most that a file may take, whatever its header says, before its process is killed.
PATIENCE_SECONDS = 45.0
# Of prctl: we end with our parent, and a process whose parent has ended becomes a child of ours and not of init.
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


@dataclass
class Taken:
    """What became of a file and what that took, in seconds and bytes.

    `memory` is what the worker's process grew by at its peak, and `ffmpeg_memory` the peak of the largest process that it
    started. `written` counts all bytes that they wrote, to files and pipes. `left` names what was still there at the end.
    """

    ending: Ending
    seconds: float = 0.0
    written: int = 0
    memory: int = 0
    ffmpeg_memory: int = 0
    left: list[str] = field(default_factory=list)


class Reader:
    """Reads files one at a time, each in a process of its own."""

    def __init__(self, process: int, server: Connection) -> None:
        # The process from which those of the files are forked.
        self.process = process
        self._server = server

    def read(self, request: Request, read: Read = read_media, patience: float = PATIENCE_SECONDS) -> Taken:
        """Read a file, and return what that took. After `patience` seconds its process is killed."""
        self._server.send((request, read, patience))
        return cast(Taken, self._server.recv())


@contextmanager
def reader() -> Iterator[Reader]:
    """Yield a reader, whose processes end with the block."""
    ours, theirs = Pipe()
    command = [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()]) as server, ours:
        theirs.close()
        yield Reader(server.pid, ours)


def serve(fd: int) -> None:
    """Answer each request, until there are no more."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    client = Connection(fd)
    with suppress(EOFError):
        while True:
            client.send(_measure(*client.recv()))


def _measure(request: Request, read: Read, patience: float) -> Taken:
    ours, theirs = Pipe(duplex=False)
    began = time.monotonic()
    if not (child := os.fork()):
        _read_and_exit(request, read, theirs)
    theirs.close()
    with ours, suppress(EOFError):
        late, taken = not ours.poll(patience), None
        if late:
            os.killpg(child, signal.SIGKILL)
        taken = ours.recv()
    _, status = os.waitpid(child, 0)
    list(_left_processes())  # of a process that was killed
    died = f"the worker's process ended with {os.waitstatus_to_exitcode(status)}"
    taken = taken or Taken(Ending(message="it was killed" if late else died))
    taken.seconds = time.monotonic() - began
    return taken


def _read_and_exit(request: Request, read: Read, pipe: Connection) -> None:
    """Read the file in this process, which was forked for it, send what that took, and end."""
    code = 1
    try:
        os.setpgid(0, 0)
        kernel = ctypes.CDLL(None)
        kernel.prctl(_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        pipe.send(_taken(request, read))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def _taken(request: Request, read: Read) -> Taken:
    before, written = _own("status", "VmRSS") << 10, _own("io", "wchar")
    taken = Taken(read(request))
    taken.memory = (_own("status", "VmHWM") << 10) - before
    taken.left = [*_left_processes(), *_left_files(request.scratch)]
    # The kernel counts the pages that a process had before it became ffmpeg, which are ours.
    taken.ffmpeg_memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    taken.written = _own("io", "wchar") - written
    return taken


def _own(file: str, name: str) -> int:
    """Return a number that the kernel tells about this process, of /proc/self/io with those children that have ended."""
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _left_processes() -> Iterator[str]:
    while left := children():
        for process in left:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            yield "a process"


def _left_files(scratch: Path) -> Iterator[str]:
    for path in scratch.iterdir():
        path.unlink()
        yield path.name
