"""What a pod leaves in S3 about its shard while it works, so that the next one knows what is done and what was under way.

Each pod of a shard has a number of its own, from 0. Its objects are rows, the files that are settled, and a note of the
files that it has taken up. A pod that ends by itself, or that was told to end, says so in the note; one whose note does
not say so has died, and what it had under way is suspect.
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from transcription_worker.batch.entries import Entry, encode_lines
from transcription_worker.batch.outcomes import DONE, Row
from transcription_worker.batch.run_objects import JSON, JSON_LINES, RunObjects

log = logging.getLogger(__name__)

SHARDS_FOLDER = "shards/"
# A pod does not live for as long.
MAX_SECONDS = 10 * 365 * 86400
# Files that are announced at a time: a request for each file would cost more than a short one's transcription.
ANNOUNCED = 64
# Seconds between two writes of the rows.
FLUSH_SECONDS = 20.0
# Pods that have died at the shard after which what they had under way is transcribed file by file.
DEATHS_UNTIL_ALONE = 2


@dataclass(frozen=True)
class History:
    """What the earlier pods of a shard have left."""

    pods: int = 0
    deaths: int = 0
    settled: dict[int, Row] = field(default_factory=dict)  # by the file's number
    # Files that the last pod that died had under way, and of those the one that it had alone.
    suspects: tuple[int, ...] = ()
    culprit: int | None = None
    # Seconds of audio that they transcribed, and seconds that they had an engine for it.
    audio_seconds: float = 0.0
    busy_seconds: float = 0.0
    # Of those, what their GPUs waited for audio.
    waited_seconds: float = 0.0


def read_history(objects: RunObjects, shard: int) -> History:
    """Read what earlier pods of the shard have left.

    Raises:
        WorkerError: EndpointUnreachable and so on.
    """
    names = objects.names(_folder(shard))
    settled: dict[int, Row] = {}
    for name in names:
        if name.endswith(".rows.jsonl"):
            settled |= {row.number: row for row in objects.rows(name)}
    notes = [
        note for name in names if name.endswith(".note.json") and isinstance(note := objects.read_json(name), dict)
    ]
    dead = [note for note in notes if not note.get("ended")]
    last = dead[-1] if dead and notes and dead[-1] is notes[-1] else {}
    suspects = tuple(number for number in _numbers(last) if number not in settled)
    alone = bool(last.get("alone"))
    return History(
        pods=len(notes),
        deaths=len(dead),
        settled=settled,
        suspects=suspects,
        culprit=suspects[0] if alone and len(suspects) == 1 else None,
        audio_seconds=sum(_seconds(note, "audioSeconds") for note in notes),
        busy_seconds=sum(_seconds(note, "busySeconds") for note in notes),
        waited_seconds=sum(_seconds(note, "waitedSeconds") for note in notes),
    )


def _seconds(note: dict[str, Any], name: str) -> float:
    """Return a number of a note, which anybody who may write to the destination may have written."""
    value = note.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value < MAX_SECONDS else 0.0


def _numbers(note: dict[str, Any]) -> list[int]:
    listed = note.get("underWay")
    return [number for number in listed if isinstance(number, int)] if isinstance(listed, list) else []


def _folder(shard: int) -> str:
    return f"{SHARDS_FOLDER}{shard:05}/"


class Journal:
    """Writes what this pod does. Methods are called from several threads."""

    def __init__(self, objects: RunObjects, shard: int, pod: int) -> None:
        # The rest of the name is by chance: a pod on a node that nobody hears of may still be at work.
        self._objects, self._name = objects, f"{_folder(shard)}{pod:03}-{secrets.token_hex(4)}"
        self._rows: dict[int, Row] = {}
        self._announced: list[int] = []
        self._alone = False
        self._began: float | None = None
        self._audio_seconds = 0.0
        self.waited_seconds = 0.0
        self._flushed, self._flush_time = 0, time.monotonic()
        self._lock, self._writing = threading.Lock(), threading.Lock()

    @property
    def rows(self) -> list[Row]:
        """The rows so far."""
        with self._lock:
            return list(self._rows.values())

    def start_clock(self) -> None:
        """Say that the engine is loaded."""
        self._began = self._began or time.monotonic()

    def announce(self, numbers: Iterable[int], alone: bool = False) -> None:
        """Say which files are taken up, before any of them is. `alone` says that nothing else is under way."""
        with self._lock:
            self._announced = [number for number in (*self._announced, *numbers) if number not in self._rows]
            self._alone = alone
        self._write_note(ended=False)

    def keep(self, row: Row) -> None:
        """Take over the row of an earlier pod, whose work it is."""
        with self._lock:
            self._rows[row.number] = row

    def settle(self, row: Row) -> None:
        """Keep the row of a file; all rows are written now and then."""
        with self._lock:
            self._rows[row.number] = row
            self._audio_seconds += (row.audio_seconds or 0.0) if row.outcome == DONE else 0.0
            due = time.monotonic() - self._flush_time > FLUSH_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Write all rows."""
        with self._writing:
            with self._lock:
                rows = list(self._rows.values())
                self._flush_time = time.monotonic()
            if len(rows) != self._flushed:
                self._objects.write(f"{self._name}.rows.jsonl", encode_lines(rows), JSON_LINES)
                self._flushed = len(rows)

    def end(self) -> None:
        """Write all rows, and that this pod has ended by itself."""
        self.flush()
        self._write_note(ended=True)

    def _write_note(self, ended: bool) -> None:
        with self._lock:
            note: dict[str, Any] = {"ended": ended, "alone": self._alone, "underWay": self._announced}
            if self._began is not None:
                note["audioSeconds"] = round(self._audio_seconds, 3)
                note["busySeconds"] = round(time.monotonic() - self._began, 3)
            if self.waited_seconds:
                note["waitedSeconds"] = round(self.waited_seconds, 3)
        self._objects.write(f"{self._name}.note.json", json.dumps(note, allow_nan=False).encode(), JSON)


def in_announced_order(entries: Sequence[Entry], journal: Journal) -> Iterator[Entry]:
    """Give the files one by one, each after it was announced with those that follow it."""
    for begin in range(0, len(entries), ANNOUNCED):
        taken = entries[begin : begin + ANNOUNCED]
        journal.announce([entry.number for entry in taken])
        yield from taken
