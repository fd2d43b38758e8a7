"""The messages between the pod's first process and one of its engines: JSON, since the engine's process reads tenants' media.

The engine asks for a file and gets one, and tells all that `feed.Feed` has methods for.
"""

import json
import threading
from multiprocessing.connection import Connection
from typing import Any

from transcription_api import reasons
from transcription_api.codec import from_json, to_json
from transcription_api.report import DeviceUsed, ModelUsed

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.feed import Feed
from transcription_worker.batch.outcomes import Row
from transcription_worker.errors import WorkerError

TAKE, SETTLE, STAGE, KNOW = "take", "settle", "stage", "know"
DECODED, ADVANCED, RESUMED, WAITED = "decoded", "advanced", "resumed", "waited"
DONE, FAILED = "done", "failed"
# Bytes of a message: a row, or a file with the fields that a line of a manifest may have.
LARGEST_MESSAGE = 1 << 20
# The fields of `Feed.know` that are objects.
OBJECTS: dict[str, type[Any]] = {"device": DeviceUsed, "model": ModelUsed}


class RemoteFeed:
    """Implements `feed.Feed` in the engine's process. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def _tell(self, *words: Any) -> None:
        with self._lock:
            _send(self._connection, words)

    def take(self) -> Entry | None:
        """See `Feed.take`."""
        with self._lock:
            _send(self._connection, (TAKE,))
            (answer,) = _receive(self._connection)
        return None if answer is None else from_json(Entry, answer)

    def settle(self, row: Row) -> None:
        """See `Feed.settle`."""
        self._tell(SETTLE, to_json(row))

    def enter_stage(self, stage: str) -> None:
        """See `Feed.enter_stage`."""
        self._tell(STAGE, stage)

    def decoded(self, number: int, seconds: float) -> None:
        """See `Feed.decoded`."""
        self._tell(DECODED, number, seconds)

    def advanced(self, number: int, track: int, seconds: float) -> None:
        """See `Feed.advanced`."""
        self._tell(ADVANCED, number, track, seconds)

    def resumed(self, number: int, seconds: float) -> None:
        """See `Feed.resumed`."""
        self._tell(RESUMED, number, seconds)

    def waited(self, waited: float, seconds: float) -> None:
        """See `Feed.waited`."""
        self._tell(WAITED, waited, seconds)

    def know(self, **fields: Any) -> None:
        """See `Feed.know`."""
        self._tell(KNOW, to_json(fields))

    def end(self, failure: WorkerError | None = None) -> None:
        """Say that there is nothing left, or why no file can be transcribed any more."""
        self._tell(*((DONE,) if failure is None else (FAILED, failure.reason.name, failure.message)))


def serve(connection: Connection, feed: Feed) -> None:
    """Answer an engine until it says that nothing is left.

    Raises:
        WorkerError: the one that the engine has told.
        EOFError, OSError: its process has ended without a word.
        ValueError: what it says is no message.
    """
    while True:
        kind, *words = _receive(connection)
        if kind == DONE:
            return
        if kind == FAILED:
            raise WorkerError(reasons.BY_NAME[words[0]], words[1])
        if kind == TAKE:
            entry = feed.take()
            _send(connection, (None if entry is None else to_json(entry),))
        else:
            _tell(feed, kind, *words)


def _tell(feed: Feed, kind: str, *words: Any) -> None:
    if kind == SETTLE:
        feed.settle(from_json(Row, words[0]))
    elif kind == STAGE:
        feed.enter_stage(words[0])
    elif kind == DECODED:
        feed.decoded(*words)
    elif kind == ADVANCED:
        feed.advanced(*words)
    elif kind == RESUMED:
        feed.resumed(*words)
    elif kind == WAITED:
        feed.waited(*words)
    elif kind == KNOW:
        feed.know(**{name: _known(name, value) for name, value in words[0].items()})
    else:
        raise ValueError(f"got a message {kind!r}, expected one of an engine")


def _known(name: str, value: Any) -> Any:
    if name in OBJECTS:
        return from_json(OBJECTS[name], value)
    return tuple(value) if isinstance(value, list) else value


def _send(connection: Connection, words: Any) -> None:
    connection.send_bytes(json.dumps(words, allow_nan=False).encode())


def _receive(connection: Connection) -> Any:
    return json.loads(connection.recv_bytes(LARGEST_MESSAGE))
