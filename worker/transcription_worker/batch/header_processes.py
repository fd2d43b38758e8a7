"""The processes that read headers of media: a few, which live as long as no file takes them down."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

COMMAND = (sys.executable, "-m", "transcription_worker.batch.header_reader")
# Processes: reading a header takes a few milliseconds, and waiting for bytes far longer.
PROCESSES = 4
# Seconds of a reader's own time for one header.
HEADER_SECONDS = 10.0
# Seconds that it has to end after its connection did.
ENDING_SECONDS = 2.0
# Reads that it may ask for, more than it does.
MOST_READS = 16
# Bytes of one of its messages.
LARGEST_MESSAGE = 1024
# The only variables of our environment that it sees: it needs no credentials.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")


class ReaderDiedError(Exception):
    """The file took the process down, or held it too long. The message says how, after the words: its header."""


@dataclass(frozen=True)
class Told:
    """What a header tells: whether there is sound, and how many seconds, None where it does not say."""

    has_audio: bool
    seconds: float | None


@dataclass
class _Reader:
    """A process, and the connection to it."""

    process: "subprocess.Popen[bytes]"
    connection: Connection

    def end(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.wait()

    def how_it_died(self) -> str:
        """Return the signal or the code of a process that has ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING_SECONDS)
        status = self.process.poll()
        return "without a word" if status is None else signal.Signals(-status).name if status < 0 else f"code {status}"


class HeaderProcesses:
    """Reads headers; use it as a context manager. Thread-safe: a thread waits while all processes are busy.

    They are started when they are needed: most plans read no header, since small files need none.
    """

    def __init__(self, command: Sequence[str] | None = None, count: int = PROCESSES) -> None:
        self._command = command or COMMAND
        self._idle: queue.LifoQueue[_Reader | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._count, self._lock = count, threading.Lock()
        self.deaths = 0

    def __enter__(self) -> "HeaderProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes. No thread may be reading any more."""
        for _ in range(self._count):
            if (reader := self._idle.get()) is not None:
                reader.end()

    def probe(self, first: bytes, size: int, read: Callable[[int], bytes]) -> Told:
        """Read the header of an object of `size` bytes that begins with `first`. `read` returns bytes from a position on.

        Raises:
            ReaderDiedError: the file took the process down.
            Others: those of `read`.
        """
        with self._taken() as reader:
            talk = _Talk(reader.connection, read)
            try:
                return talk.tell(size, first)
            except TimeoutError:
                raise ReaderDiedError(f"is not read after {HEADER_SECONDS:g} s") from None
            except (EOFError, OSError, ValueError):
                raise ReaderDiedError(f"takes its reader down ({reader.how_it_died()})") from None

    @contextmanager
    def _taken(self) -> Iterator[_Reader]:
        """Take a reader, and put it back unless something was raised: in the middle of a header it is of no use any more."""
        reader = self._idle.get()
        try:
            reader = reader or self._start()
            yield reader
        except BaseException as error:
            if reader is not None:
                reader.end()
            reader = None
            with self._lock:
                self.deaths += isinstance(error, ReaderDiedError)
            raise
        finally:
            self._idle.put(reader)

    def _start(self) -> _Reader:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # its words may hold the file's text
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | {"LC_ALL": "C"},
            )
            return _Reader(process, Connection(os.dup(ours.fileno())))


@dataclass
class _Talk:
    """One header's exchange of messages. `left` are the seconds that the reader still has."""

    connection: Connection
    read: Callable[[int], bytes]
    left: float = field(default_factory=lambda: HEADER_SECONDS)

    def tell(self, size: int, first: bytes) -> Told:
        """Raises EOFError, OSError or ValueError where the reader has died, or says what it should not."""
        self.connection.send_bytes(json.dumps(size, allow_nan=False).encode())
        self.connection.send_bytes(first)
        for _ in range(MOST_READS):
            kind, *words = json.loads(self._receive())
            if kind == "told":
                return Told(bool(words[0]), None if words[1] is None else float(words[1]))
            self.connection.send_bytes(self.read(int(words[0])))
        raise ValueError(f"got more than {MOST_READS} reads")

    def _receive(self) -> bytes:
        """Raises TimeoutError once the reader has used up its time; waiting for bytes of the object is not its own."""
        began = time.monotonic()
        if not self.connection.poll(max(0.0, self.left)):
            raise TimeoutError
        self.left -= time.monotonic() - began
        return self.connection.recv_bytes(LARGEST_MESSAGE)
