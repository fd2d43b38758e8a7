"""How long a media object is, read from its header by ranged reads and without downloading it."""

import io
import logging
from collections import OrderedDict
from dataclasses import dataclass

import av
from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.storage.bucket import Bucket, ObjectInfo

log = logging.getLogger(__name__)

# The first read: most headers are within it, and most short recordings whole.
FIRST_READ = 64 << 10
# Later reads, such as of an index at the end of the file.
LATER_READ = 256 << 10
# Reads of one object. A header that needs more is not read to its end, and the length is estimated.
MAX_READS = 8
BLOCKS_KEPT = 4
# Bytes of a second of audio where the header does not tell: 64 kbit/s, as speech in a podcast has.
BYTES_PER_SECOND = 8000


@dataclass(frozen=True)
class Header:
    """What the first bytes tell: whether there is sound, and how long it is in seconds, None where that is not told."""

    object: ObjectInfo
    has_audio: bool
    seconds: float | None


class _TooManyReadsError(OSError):
    """Ends the reading of a header that is spread over the file."""


class RangedFile(io.RawIOBase):
    """An object of a bucket as a file, of which a few blocks are read and kept."""

    def __init__(self, bucket: Bucket, key: str, etag: str | None = None) -> None:
        super().__init__()
        self._bucket, self._key = bucket, key
        first, self.object = bucket.read_range(key, 0, FIRST_READ, etag)
        self._blocks: OrderedDict[int, bytes] = OrderedDict({0: first})
        self._position, self._reads = 0, 1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase.seek."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.object.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        """Read at most `count` bytes, fewer at the end of a block."""
        left = self.object.size - self._position
        wanted = left if count < 0 else min(count, left)
        if wanted <= 0:
            return b""
        begin, block = self._block()
        found = block[self._position - begin : self._position - begin + wanted]
        self._position += len(found)
        return found

    def _block(self) -> tuple[int, bytes]:
        for begin, block in self._blocks.items():
            if begin <= self._position < begin + len(block):
                return begin, block
        if self._reads == MAX_READS:
            raise _TooManyReadsError("the header is spread over the file")
        self._reads += 1
        block, _ = self._bucket.read_range(self._key, self._position, LATER_READ, self.object.etag)
        self._blocks[self._position] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return self._position, block


def read_header(bucket: Bucket, key: str, etag: str | None = None) -> Header:
    """Read the header of an object, with one request where it is at the beginning and the object has an ordinary one.

    Raises:
        WorkerError: NoSuchKey, AccessDenied, SourceChanged and so on; UnsupportedMedia for an object of no bytes.
    """
    file = RangedFile(bucket, key, etag)
    if file.object.size == 0:
        raise WorkerError(reasons.UNSUPPORTED_MEDIA, f"{key!r} is an empty object (0 bytes), expected audio")
    try:
        has_audio, seconds = _probe(file)
    except WorkerError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        spread = isinstance(error, _TooManyReadsError)
        log.debug("%r: header not read: %s", key, type(error).__name__)
        return Header(file.object, spread, None)
    return Header(file.object, has_audio, seconds)


def _probe(file: RangedFile) -> tuple[bool, float | None]:
    with av.open(file, mode="r", metadata_errors="ignore") as container:
        streams = container.streams.audio
        if not streams:
            return False, None
        stream = streams[0]
        if stream.duration and stream.time_base:
            return True, float(stream.duration * stream.time_base)
        return True, container.duration / 1_000_000 if container.duration else None


def estimated_seconds(size: int) -> float:
    """Return about how long audio of so many bytes is."""
    return size / BYTES_PER_SECOND
