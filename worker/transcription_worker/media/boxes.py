"""The outermost boxes of an mp4 or mov file: ISO/IEC 14496-12, section 4.2."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # the types of box with which such a file begins
_MOST_BOXES = 10_000


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
    """Yield the boxes in their order. Each begins with a size of 32 bits and a type; a size of 1 is followed by one of 64."""
    at = 0
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
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
