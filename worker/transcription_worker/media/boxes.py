"""The outermost boxes of an mp4 or mov file: ISO/IEC 14496-12, section 4.2."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # the types of box with which such a file begins
_MOST_BOXES = 10_000
_MOST_INDEX = 32 << 20  # bytes, which a day of sound has
# Sample entries of encrypted sound: ISO/IEC 23001-7's, FairPlay's and Audible's.
_ENCRYPTED = (b"enca", b"drms", b"aavd")


@dataclass(frozen=True)
class Box:
    """One box. `end` is the byte after it; None where it extends to the end of the file, or where its size is none."""

    kind: bytes
    end: int | None


def begins_with_box(path: Path) -> bool:
    """Return whether the file looks like an mp4 or mov."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _FIRST


def ends_inside_a_box(path: Path) -> bool:
    """Return whether the file ends before its last box does."""
    size = path.stat().st_size
    return any(box.end is not None and box.end > size for box in outer_boxes(path))


def is_fragmented(path: Path) -> bool:
    """Return whether the file is an mp4 of movie fragments, as live streams are made of."""
    return begins_with_box(path) and any(box.kind == b"moof" for box in outer_boxes(path))


def outer_boxes(path: Path) -> Iterator[Box]:
    """Yield the boxes in their order. Each begins with a size of 32 bits and a type; a size of 1 is followed by one of 64.

    The last one may end behind the file, by more than a file can be long.
    """
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            if at >= size:
                return
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return
            length = int(struct.unpack(">I", head[:4])[0])
            if length == 1 and len(head) == 16:
                length = int(struct.unpack(">Q", head[8:])[0])
            if length < 8:
                yield Box(head[4:8], None)
                return
            at += length
            yield Box(head[4:8], at)


def encrypted_sound(path: Path) -> set[int]:
    """Return which of an mp4's audio tracks are encrypted, counted from 0.

    ffmpeg has no key and says nothing: it takes what is encrypted for sound, which gives noise where the codec knows no errors.
    """
    index = _index(path) if begins_with_box(path) else b""
    tracks = [(at, end) for kind, at, end in _inner_boxes(index) if kind == b"trak"]
    sounds = [track for track in tracks if index.find(b"soun", *track) >= 0]
    return {
        number
        for number, track in enumerate(sounds)
        if index.find(b"sinf", *track) >= 0 and any(index.find(kind, *track) >= 0 for kind in _ENCRYPTED)
    }


def _index(path: Path) -> bytes:
    """Return the content of the moov box; nothing if there is none, or if it is larger than any recording's."""
    at = 0
    for box in outer_boxes(path):
        if box.kind == b"moov" and box.end is not None and box.end - at <= _MOST_INDEX:
            with path.open("rb") as file:
                file.seek(at + 8)
                return file.read(box.end - at - 8)
        at = box.end or 0
    return b""


def _inner_boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the first byte and the end of each box that a box's content consists of."""
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            return
        yield kind, at, at + length
        at += length
