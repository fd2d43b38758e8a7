"""Checkpoints of long files, in the destination: written every few minutes, and when the worker is told to end.

They hold what is transcribed so far, so that they lie where the transcripts will. A checkpoint that cannot be read or
written costs time and nothing else.
"""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from transcription_api import layout
from transcription_api.spec import Spec

from transcription_worker.engines.input_checkpoint import MOST_BYTES, decode_checkpoint, encode_checkpoint
from transcription_worker.engines.protocol import Checkpoints, InputCheckpoint
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.checkpoint_store import OpenedTrack
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_report import UNREADABLE
from transcription_worker.pipeline.s3_source import S3Input
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket

log = logging.getLogger(__name__)

# Seconds of audio from which on a track has checkpoints. What is shorter is done again: even a CPU transcribes ten minutes in a
# few.
ENV_AUDIO_SECONDS = "TRANSCRIPTION_CHECKPOINT_AUDIO_SECONDS"
DEFAULT_AUDIO_SECONDS = 600.0
# Seconds between two checkpoints of a track. A worker that dies without a word loses that much of each file's work, and writes
# a few megabytes at most in that time. Counted in time and not in audio, since time is what is lost.
ENV_INTERVAL_SECONDS = "TRANSCRIPTION_CHECKPOINT_SECONDS"
DEFAULT_INTERVAL_SECONDS = 120.0
# Below the run's prefix.
CHECKPOINTS_FOLDER = "checkpoints/"
# Checkpoints that are written at the same time when the worker is told to end.
WRITERS = 8
CONTENT_TYPE = "application/octet-stream"


class S3CheckpointStore:
    """Keeps the checkpoints of a run below one prefix of the destination; use it as a context manager.

    `may_exist` is false where no worker came before.
    """

    def __init__(
        self,
        spec: Spec,
        bucket: Bucket,
        prefix: str,
        find_provenance: Callable[[], Provenance],
        scratch: Path,
        may_exist: bool = True,
    ) -> None:
        self._spec, self.bucket, self._prefix, self.scratch = spec, bucket, prefix, scratch
        self._find_provenance, self.may_exist = find_provenance, may_exist
        self._shortest = float(os.environ.get(ENV_AUDIO_SECONDS, DEFAULT_AUDIO_SECONDS))
        self._tracks: dict[int, list[TrackCheckpoints]] = {}  # by the input's number
        self._lock = threading.Lock()
        self.due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._write_when_due, name="checkpoints", daemon=True)

    def __enter__(self) -> "S3CheckpointStore":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write those of the inputs that have failed and may succeed with the next worker; then none any more."""
        self._closed = True
        self.due.set()
        self.save()

    def open(self, item: S3Input, version: InputVersion, track: OpenedTrack) -> Checkpoints | None:
        """See `CheckpointStore.open`."""
        if track.seconds < self._shortest:
            return None
        try:
            provenance = self._find_provenance()
        except WorkerError as error:
            log.warning("%s: no checkpoints: %s", item.name, error)
            return None
        context = {
            "etag": version.etag or "",
            "fingerprint": layout.fingerprint(item.own_spec(self._spec)),
            "model": provenance.model,
            "worker": provenance.worker,
        }
        key = f"{self._prefix}{item.number}.{track.number}.checkpoint"
        opened = TrackCheckpoints(self, key, context, item.name, track)
        with self._lock:
            self._tracks.setdefault(item.number, []).append(opened)
        return opened

    def drop(self, item: S3Input) -> None:
        """See `CheckpointStore.drop`."""
        with self._lock:
            tracks = self._tracks.pop(item.number, [])
        for track in tracks:
            track.delete()

    def save(self) -> None:
        """Write the newest checkpoint of every track, those of most audio first."""
        tracks = sorted(self._open_tracks(), key=lambda track: -track.seconds)
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="checkpoint") as threads:
            list(threads.map(TrackCheckpoints.write, tracks))

    def _open_tracks(self) -> "list[TrackCheckpoints]":
        with self._lock:
            return [track for tracks in self._tracks.values() for track in tracks]

    def _write_when_due(self) -> None:
        while self.due.wait() and not self._closed:
            self.due.clear()
            for track in self._open_tracks():
                if track.is_due:
                    track.write()


class TrackCheckpoints:
    """The checkpoints of one track, each written in place of the one before. Implements protocol.Checkpoints."""

    def __init__(
        self, store: S3CheckpointStore, key: str, context: dict[str, str], name: str, track: OpenedTrack
    ) -> None:
        self._store, self._key, self._context, self._name, self._track = store, key, context, name, track
        self._interval = float(os.environ.get(ENV_INTERVAL_SECONDS, DEFAULT_INTERVAL_SECONDS))
        self._opened = self._written_time = time.monotonic()
        self._earlier_seconds = 0.0
        self._newest: InputCheckpoint | None = None
        self._written: InputCheckpoint | None = None
        self._may_be_there = store.may_exist
        self._deleted = False
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Seconds of audio that are done."""
        return 0.0 if self._newest is None else self._newest.seconds

    @property
    def is_due(self) -> bool:
        """Whether the newest checkpoint is to be written now."""
        return self._newest is not self._written and time.monotonic() - self._written_time >= self._interval

    # --- protocol.Checkpoints

    def find(self) -> InputCheckpoint | None:
        """See `Checkpoints.find`."""
        if not self._store.may_exist or (body := self._read()) is None:
            return None
        try:
            found = decode_checkpoint(body, self._context)
        except Exception as error:  # noqa: BLE001 - whatever somebody has written there, the file begins anew
            log.warning("%s: the checkpoint found is not used: %s", self._name, _words(error))
            return None
        self._earlier_seconds = max(found.wall_seconds, 0.0)
        return found

    def resume(self, seconds: float) -> None:
        """See `Checkpoints.resume`."""
        log.info("%s: goes on at %.1f s of %.1f s, from a checkpoint", self._name, seconds, self._track.seconds)
        self._track.on_resume(seconds, self._earlier_seconds)

    def keep(self, checkpoint: InputCheckpoint) -> None:
        """See `Checkpoints.keep`."""
        self._newest = checkpoint
        if self.is_due:
            self._store.due.set()

    # --- the store's

    def write(self) -> None:
        """Write the newest checkpoint, unless it is written or the input needs none any more."""
        with self._lock:
            newest = self._newest
            if newest is None or newest is self._written or self._deleted:
                return
            self._written_time = time.monotonic()
            wall = self._earlier_seconds + self._written_time - self._opened
            try:
                body = encode_checkpoint(replace(newest, wall_seconds=round(wall, 3)), self._context)
                self._may_be_there = True
                self._store.bucket.put(self._key, body, CONTENT_TYPE)
            except Exception as error:  # noqa: BLE001 - the file is transcribed all the same
                log.warning("%s: no checkpoint is written: %s", self._name, _words(error))
                return
            self._written = newest
        log.info("%s: checkpoint at %.1f s of %.1f s", self._name, newest.seconds, self._track.seconds)

    def delete(self) -> None:
        """Delete the checkpoint, and write none any more."""
        with self._lock:
            self._deleted = True
            if self._may_be_there:
                delete_checkpoints(self._store.bucket, [self._key])

    def _read(self) -> bytes | None:
        bucket = self._store.bucket
        try:
            found = bucket.find(self._key)
            if found.size > MOST_BYTES:
                log.warning("%s: the checkpoint found is not used: it has %d bytes", self._name, found.size)
                return None
            with tempfile.TemporaryDirectory(prefix="checkpoint-", dir=self._store.scratch) as folder:
                path = Path(folder) / "object"
                bucket.download(self._key, found, path)
                return path.read_bytes()
        except (WorkerError, OSError) as error:
            if not (isinstance(error, WorkerError) and error.reason in UNREADABLE):
                log.warning("%s: the checkpoint cannot be read: %s", self._name, _words(error))
            return None


def _words(error: Exception) -> str:
    """Return what the log says of an error: the words of one that is not ours may hold text of the transcript."""
    return str(error) if isinstance(error, WorkerError | ValueError) else type(error).__name__


def delete_checkpoints(bucket: Bucket, keys: Iterable[str]) -> None:
    """Delete checkpoints that nobody needs any more. One that may not be deleted stays."""
    for key in keys:
        try:
            bucket.delete(key)
        except WorkerError as error:
            log.warning("the checkpoint %r stays: %s", key, error)
