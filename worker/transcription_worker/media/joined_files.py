"""Find another file behind the first, as where somebody joined recordings by their bytes (cat a.wav b.wav > c.wav).

ffmpeg and players stop at the first one's end without a word. Formats that are read past it, such as mp3, ogg, flac, Matroska
and transport streams, are not looked at.
"""

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from transcription_worker.media import boxes

# The GUID that a Wave64 file begins with.
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_LONGEST = 20  # bytes of the longest beginning below
_BLOCK = 1 << 20  # bytes that are searched at a time
_MOST_CHUNKS = 10_000  # a recorder writes a dozen
# Formats whose first bytes no sound has by chance, so that they are searched for, and how many of a file's own these are: ASF
# (WMA, WMV) and WTV begin with a GUID, VOC with a sentence, and FLV with a header that files of the same kind share.
_SEARCHED = {
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": 16,
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11": 16,
    b"Creative Voice File\x1a": 20,
    b"FLV\x01": 13,
}


def find_following(path: Path) -> int | None:
    """Return the byte where another file of the same format begins behind the first; None if there is none."""
    if boxes.begins_with_box(path):
        return _after_boxes(path)
    with path.open("rb") as file:
        head = file.read(_LONGEST)
        for magic, count in _SEARCHED.items():
            if head.startswith(magic):
                return _search(file, head[:count])
        for magic, find_end in _ENDS.items():
            if head.startswith(magic):
                return _at(file, find_end, magic)
    return None


def _after_boxes(path: Path) -> int | None:
    """Return the place of a second ftyp box. A live stream repeats its first one, and all of its fragments are read."""
    at, found = 0, None
    for box in boxes.outer_boxes(path):
        if box.kind == b"moof":
            return None
        if box.kind == b"ftyp" and at and found is None:
            found = at
        at = box.end or 0
    return found


def _search(file: IO[bytes], first: bytes) -> int | None:
    """Return where the same bytes come again. The file is read, since one that is mapped and cut short would end the program."""
    begin = len(first)
    file.seek(begin)
    kept = b""
    while block := file.read(_BLOCK):
        if (found := (kept + block).find(first)) >= 0:
            return begin - len(kept) + found
        begin += len(block)
        kept = (kept + block)[1 - len(first) :]
    return None


def _at(file: IO[bytes], find_end: Callable[[IO[bytes]], int], magic: bytes) -> int | None:
    """Return where the first file ends if another one begins there."""
    file.seek(0)
    try:
        end = find_end(file)
        file.seek(end)
    except (struct.error, OverflowError, ValueError, OSError):  # the header breaks off, or its size is no file's
        return None
    return end if end and file.read(len(magic)) == magic else None


def _end_of_riff(file: IO[bytes]) -> int:
    length, kind = struct.unpack("<4xI4s", file.read(12))
    return 8 + int(length + length % 2) if kind == b"WAVE" else 0  # AVI is read past its end


def _end_of_form(file: IO[bytes]) -> int:
    (length,) = struct.unpack(">4xI", file.read(8))
    return 8 + int(length + length % 2)


def _end_of_w64(file: IO[bytes]) -> int:
    (length,) = struct.unpack("<16xQ", file.read(24))
    return int(length + -length % 8)


def _end_of_caf(file: IO[bytes]) -> int:
    """Walk over the chunks, each with a type and a size of 64 bits; the sound's may be -1, and then it is the last."""
    at = 8
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        kind, length = struct.unpack(">4sq", file.read(12))
        if kind == b"caff":
            return at
        if length < 0:
            break
        at += 12 + int(length)
    return 0


def _end_of_tta(file: IO[bytes]) -> int:
    """Add up the sizes of the frames, of which the table behind the header has as many as the samples make. A tag may follow."""
    rate, samples = struct.unpack("<10x2I4x", file.read(22))
    frames = -(-samples // max(rate * 256 // 245, 1))
    if 4 * frames > os.fstat(file.fileno()).st_size:
        return 0
    sizes = struct.unpack(f"<{frames}I", file.read(4 * frames))
    end = int(22 + 4 * frames + 4 + sum(sizes))
    file.seek(end)
    kind, length = struct.unpack("<8s4xI", file.read(16))
    return end + (32 + int(length) if kind == b"APETAGEX" else 0)


# By a format's first bytes: where a file ends, by its own header. 0 where that is not known.
_ENDS: Mapping[bytes, Callable[[IO[bytes]], int]] = {
    b"RIFF": _end_of_riff,
    b"FORM": _end_of_form,
    b"caff": _end_of_caf,
    b"TTA1": _end_of_tta,
    _W64: _end_of_w64,
}
