"""The program that reads headers of media: see batch.header_processes, which starts it and hands it bytes.

    python -m transcription_worker.batch.header_reader DESCRIPTOR

It imports nothing of the worker, so that it starts quickly and has little to lose. DESCRIPTOR is that of the connection: for
each object come its size as JSON and its first bytes; the answer is ["read", POSITION], upon which come bytes from there, or
["told", HAS_AUDIO, SECONDS] at the end.
"""

import io
import json
import math
import resource
import sys
from collections import OrderedDict
from collections.abc import Callable
from multiprocessing.connection import Connection

import av

# Reads of one object. A header that needs more is not read to its end, and the length is estimated.
MAX_READS = 8
BLOCKS_KEPT = 4
# The file is read by its own functions. A protocol would open what the file names: other files, or an address to listen at.
NOTHING_ELSE = {"protocol_whitelist": "none"}
# Bytes of address space: the interpreter and the libraries take 0.4 GiB.
MEMORY_LIMIT = 1 << 30


class TooManyReadsError(OSError):
    """Ends the reading of a header that is spread over the file."""


class RangedFile(io.RawIOBase):
    """An object as a file, of which a few blocks are read and kept. `read_block` returns bytes from a position on."""

    def __init__(self, first: bytes, size: int, read_block: Callable[[int], bytes]) -> None:
        super().__init__()
        self._size, self._read_block = size, read_block
        self._blocks: OrderedDict[int, bytes] = OrderedDict({0: first})
        self._position, self._reads = 0, 1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase.seek."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        """Read at most `count` bytes, fewer at the end of a block."""
        left = self._size - self._position
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
            raise TooManyReadsError("the header is spread over the file")
        self._reads += 1
        block = self._read_block(self._position)
        self._blocks[self._position] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return self._position, block


def probe(file: RangedFile) -> tuple[bool, float | None]:
    """Return whether there is sound, and its seconds where the header tells them."""
    try:
        with av.open(file, mode="r", options=NOTHING_ELSE, metadata_errors="ignore") as container:
            streams = container.streams.audio
            if not streams:
                return False, None
            stream = streams[0]
            if stream.duration and stream.time_base:
                return True, float(stream.duration * stream.time_base)
            return True, container.duration / 1_000_000 if container.duration else None
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        return isinstance(error, TooManyReadsError), None


def answer(connection: Connection, probe: Callable[[RangedFile], tuple[bool, float | None]] = probe) -> None:
    """Read headers until the connection ends."""
    while True:
        try:
            size, first = int(json.loads(connection.recv_bytes())), connection.recv_bytes()
        except EOFError:
            return

        def read_block(position: int) -> bytes:
            connection.send_bytes(json.dumps(["read", position], allow_nan=False).encode())
            return connection.recv_bytes()

        has_audio, seconds = probe(RangedFile(first, size, read_block))
        known = seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
        connection.send_bytes(json.dumps(["told", has_audio, known], allow_nan=False).encode())


def limit_resources() -> None:
    """Lower the limits of this process: a header that takes more memory is not read."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    limit_resources()
    answer(Connection(int(sys.argv[1])))
