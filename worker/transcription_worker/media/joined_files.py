"""Find another file behind the first, as where somebody joined recordings by their bytes (cat a.wav b.wav > c.wav).

ffmpeg and players stop at the first one's end without a word. Formats that are read past it, such as mp3, ogg and transport
streams, are not looked at.
"""

import struct
from pathlib import Path

from transcription_worker.media import boxes


def find_following(path: Path) -> int | None:
    """Return the byte where another WAVE, mp4 or mov file begins behind the first of that format; None if there is none."""
    if boxes.begins_with_box(path):
        return _after_boxes(path)
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        (length,) = struct.unpack("<I", head[4:8])
        end = 8 + int(length) + length % 2
        file.seek(end)
        head = file.read(12)
    return end if head[:4] == b"RIFF" and head[8:] == b"WAVE" else None


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
