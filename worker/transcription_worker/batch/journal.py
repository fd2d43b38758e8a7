"""What a pod leaves in S3 about its shard while it works, so that the next one knows what is done and what was under way.

Each pod of a shard has a number of its own, from 0. Its objects are rows, the files that are settled, a thousand or so in
each, and a note of the files that it has taken up. A pod that ends by itself, or that was told to end, says so in the note;
one whose note does not say so has died, and what it had under way is suspect.
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transcription_worker.batch.entries import encode_lines
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
# Rows of an object after which the next ones go to another: what is written grows with the rows, not with their square.
ROWS_IN_OBJECT = 1000


@dataclass(frozen=True)
class History:
    """What the earlier pods of a shard have left. Those that were told to end are no attempts: see spec.retries."""

    pods: int = 0
    interrupted: int = 0
    deaths: int = 0
    settled: dict[int, Row] = field(default_factory=dict)  # by the file's number
    # Files that the last pod that died had under way, or was to take alone, and of those the one that it had alone.
    suspects: tuple[int, ...] = ()
    culprit: int | None = None
    # Seconds of audio that they transcribed, and seconds that they had an engine for it.
    audio_seconds: float = 0.0
    busy_seconds: float = 0.0
    # Of those, what their GPUs waited for audio.
    waited_seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """How many pods have failed by themselves, or have died."""
        return self.pods - self.interrupted


def read_history(objects: RunObjects, shard: int) -> History:
    """Read what earlier pods of the shard have left.

    Raises:
        WorkerError: EndpointUnreachable and so on.
    """
    names = objects.names(_folder(shard))
    settled: dict[int, Row] = {}
    for name in names:
        if name.endswith(".rows.jsonl"):
            settled |= {
                row.number: row for row in objects.rows(name) if not (row.failed and _has_results(settled, row.number))
            }
    notes = [
        note for name in names if name.endswith(".note.json") and isinstance(note := objects.read_json(name), dict)
    ]
    dead = [note for note in notes if not note.get("ended")]
    last = dead[-1] if dead and notes and dead[-1] is notes[-1] else {}
    under_way = [number for number in _numbers(last, "underWay") if number not in settled]
    others = [number for number in _numbers(last, "suspects") if number not in settled]
    return History(
        pods=len(notes),
        interrupted=sum(note.get("interrupted") is True for note in notes),
        deaths=len(dead),
        settled=settled,
        suspects=tuple(dict.fromkeys((*under_way, *others))),
        culprit=under_way[0] if last.get("alone") and len(under_way) == 1 else None,
        audio_seconds=sum(_seconds(note, "audioSeconds") for note in notes),
        busy_seconds=sum(_seconds(note, "busySeconds") for note in notes),
        waited_seconds=sum(_seconds(note, "waitedSeconds") for note in notes),
    )


def _has_results(settled: dict[int, Row], number: int) -> bool:
    """Whether a pod has written results of the file: of two pods at once, on a node that nobody heard of, the other may fail."""
    return number in settled and not settled[number].failed


def _seconds(note: dict[str, Any], name: str) -> float:
    """Return a number of a note, which anybody who may write to the destination may have written."""
    value = note.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value < MAX_SECONDS else 0.0


def _numbers(note: dict[str, Any], name: str) -> list[int]:
    listed = note.get(name)
    return [number for number in listed if isinstance(number, int)] if isinstance(listed, list) else []


def _folder(shard: int) -> str:
    return f"{SHARDS_FOLDER}{shard:05}/"


class Journal:
    """Writes what this pod does. Methods are called from several threads."""

    def __init__(self, objects: RunObjects, shard: int, pod: int) -> None:
        # The rest of the name is by chance: a pod on a node that nobody hears of may still be at work.
        self._objects, self._name = objects, f"{_folder(shard)}{pod:03}-{secrets.token_hex(4)}"
        self._rows: dict[int, Row] = {}
        self._fresh: list[Row] = []  # rows of this pod that are in no full object
        self._part = self._written = 0  # the object that they go to, and how many of them it has
        self._announced: set[int] = set()
        self._noted: frozenset[int] = frozenset()  # those that a note in S3 tells of
        self._suspects: tuple[int, ...] = ()
        self._alone = self._ended = self._interrupted = False
        self._began: float | None = None
        self._audio_seconds = 0.0
        self.waited_seconds = 0.0
        self._flush_time = time.monotonic()
        self._lock, self._writing = threading.Lock(), threading.Lock()

    @property
    def rows(self) -> list[Row]:
        """The rows so far, those of earlier pods among them."""
        with self._lock:
            return list(self._rows.values())

    def start_clock(self) -> None:
        """Say that the engine is loaded."""
        self._began = self._began or time.monotonic()

    def announce(self, number: int, following: Iterable[int] = ()) -> None:
        """Say which file is taken up, before it is, and with it those that follow: a request for each would cost more."""
        if number in self._noted:
            return
        with self._writing:
            with self._lock:
                taken = self._announced | {number, *following}
                self._announced = {one for one in taken if one not in self._rows}
            self._write_note()

    def announce_alone(self, number: int, suspects: Iterable[int] = ()) -> None:
        """Say that a file is taken up, and that nothing else is under way. `suspects` will be taken alone after it."""
        with self._writing:
            self._announced, self._suspects, self._alone = {number}, tuple(suspects), True
            self._write_note()

    def announce_all(self) -> None:
        """Take up files together again from now on."""
        with self._writing:
            self._announced, self._suspects, self._alone = set(), (), False

    def keep(self, row: Row) -> None:
        """Take over the row of an earlier pod, whose work it is."""
        with self._lock:
            self._rows[row.number] = row

    def settle(self, row: Row, resumed: float = 0.0) -> None:
        """Keep the row of a file; rows are written now and then. `resumed` of its seconds are pods' before this one."""
        with self._lock:
            self._rows[row.number] = row
            self._fresh.append(row)
            if row.outcome == DONE:
                self._audio_seconds += max(0.0, (row.audio_seconds or 0.0) - resumed)
            due = time.monotonic() - self._flush_time > FLUSH_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not written yet, with the others of their object."""
        with self._writing:
            with self._lock:
                rows, self._flush_time = list(self._fresh), time.monotonic()
            if len(rows) == self._written:
                return
            self._objects.write(f"{self._name}.{self._part:04}.rows.jsonl", encode_lines(rows), JSON_LINES)
            self._written = len(rows)
            if self._written >= ROWS_IN_OBJECT:
                with self._lock:
                    self._fresh = self._fresh[self._written :]
                self._part, self._written = self._part + 1, 0

    def interrupt(self) -> None:
        """Do what `end` does, for a pod that was told to end."""
        self._interrupted = True
        self.end()

    def end(self) -> None:
        """Write all rows, and that this pod has ended by itself. After that it may still settle files."""
        self._ended = True
        self.flush()
        with self._writing:
            self._write_note()

    def _write_note(self) -> None:
        """Write the note, one at a time, so that an older one never takes the place of a newer one."""
        note: dict[str, Any] = {"ended": self._ended, "alone": self._alone, "underWay": sorted(self._announced)}
        if self._interrupted:
            note["interrupted"] = True
        if self._suspects:
            note["suspects"] = list(self._suspects)
        if self._began is not None:
            note["audioSeconds"] = round(self._audio_seconds, 3)
            note["busySeconds"] = round(time.monotonic() - self._began, 3)
        if self.waited_seconds:
            note["waitedSeconds"] = round(self.waited_seconds, 3)
        self._objects.write(f"{self._name}.note.json", json.dumps(note, allow_nan=False).encode(), JSON)
        self._noted = frozenset(self._announced)
