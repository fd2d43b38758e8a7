"""How long a media object is, read from its header by ranged reads and without downloading it.

The library that knows the formats runs in processes of its own, since a hostile file may take one down, or hold it for ever:
such a file is planned by its size. The processes hold no credentials and read nothing themselves; this one hands them bytes.
"""

import logging
from dataclasses import dataclass

from transcription_api import reasons

from transcription_worker.batch.header_processes import HeaderProcesses, ReaderDiedError
from transcription_worker.errors import WorkerError
from transcription_worker.storage.bucket import Bucket, ObjectInfo

log = logging.getLogger(__name__)

# The first read: most headers are within it, and most short recordings whole.
FIRST_READ = 64 << 10
# Later reads, such as of an index at the end of the file.
LATER_READ = 256 << 10
# Bytes of a second of audio where the header does not tell: 64 kbit/s, as speech in a podcast has.
BYTES_PER_SECOND = 8000
# Files that may take a reader down, after which no further header is read: each costs the start of a process.
MOST_DEATHS = 100


@dataclass(frozen=True)
class Header:
    """What the first bytes tell: whether there is sound, and how long it is in seconds, None where that is not told."""

    object: ObjectInfo
    has_audio: bool
    seconds: float | None


def read_header(bucket: Bucket, key: str, processes: HeaderProcesses, etag: str | None = None) -> Header:
    """Read the header of an object, with one request where it is at the beginning and the object has an ordinary one.

    Raises:
        WorkerError: NoSuchKey, AccessDenied, SourceChanged and so on; UnsupportedMedia for an object of no bytes.
    """
    first, found = bucket.read_range(key, 0, FIRST_READ, etag)
    if found.size == 0:
        raise WorkerError(reasons.UNSUPPORTED_MEDIA, f"{key!r} is an empty object (0 bytes), expected audio")
    if processes.deaths >= MOST_DEATHS:
        return Header(found, has_audio=True, seconds=None)

    def read(position: int) -> bytes:
        return bucket.read_range(key, position, LATER_READ, found.etag)[0]

    try:
        told = processes.probe(first, found.size, read)
    except ReaderDiedError as error:
        log.warning("%r: its header %s: its length is estimated from its size", key, error)
        if processes.deaths == MOST_DEATHS:
            log.warning("%d headers have done so: no further one is read in this plan", MOST_DEATHS)
        return Header(found, has_audio=True, seconds=None)
    return Header(found, told.has_audio, told.seconds)


def estimated_seconds(size: int) -> float:
    """Return about how long audio of so many bytes is."""
    return size / BYTES_PER_SECOND
