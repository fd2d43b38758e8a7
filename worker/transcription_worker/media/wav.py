"""Read the header of a WAVE file: whether its samples can be used as they are, and whether they are all there."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PCM = 1  # WAVE_FORMAT_PCM
# Sizes of the data that stand for an unknown one: 0, all ones, and what espeak, sox and arecord write into a pipe.
_PLACEHOLDERS = (range(1), range(0x7FFF_0000, 0x8000_0001), range(0xFFFF_0000, 0x1_0000_0000))
_MOST_CHUNKS = 1000  # how many chunks before the data are read


@dataclass(frozen=True)
class Wav:
    """The format and the data of a WAVE file.

    `rate` is in samples per second, `byte_rate` in bytes per second; `offset` is the byte where the data begins.
    `announced` is the size of the data in bytes according to the header, None if that is unknown; `there` is the number
    of those bytes that the file has.
    """

    tag: int
    channels: int
    rate: int
    byte_rate: int
    bits: int
    offset: int
    announced: int | None
    there: int


def read_header(path: Path) -> Wav | None:
    """Read the header of a RIFF or RF64 WAVE file; return None for any other file, or if it has no format or no data.

    Sources: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html, and EBU Tech 3306 for RF64.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            return None
        try:
            return _read_chunks(file, path.stat().st_size)
        except struct.error:  # the file ends inside a header
            return None


def _read_chunks(file: IO[bytes], size: int) -> Wav | None:
    form: tuple[int, int, int, int, int] | None = None
    large: int | None = None
    for _ in range(_MOST_CHUNKS):
        kind, length = struct.unpack("<4sI", file.read(8))
        at = file.tell()
        if kind == b"fmt ":
            tag, channels, rate, byte_rate, bits = struct.unpack("<HHII2xH", file.read(16))
            form = (tag, channels, rate, byte_rate, bits)
        elif kind == b"ds64":
            large = struct.unpack("<8xQ", file.read(16))[0]
        elif kind == b"data":
            return None if form is None else Wav(*form, at, _announced(length, large), max(size - at, 0))
        file.seek(at + length + length % 2)
    return None


def _announced(length: int, large: int | None) -> int | None:
    if length == 0xFFFF_FFFF and large:
        return large
    return None if any(length in sizes for sizes in _PLACEHOLDERS) else length


def plain_samples(wav: Wav, rate: int) -> int | None:
    """Return the number of samples if they can be used as they are, else None.

    They can if they are mono s16le at `rate` samples per second, and the header's size agrees with the file's.
    """
    if (wav.tag, wav.channels, wav.rate, wav.bits) != (_PCM, 1, rate, 16):
        return None
    # Bytes after the announced data may be more samples or another chunk; ffmpeg can tell.
    if wav.announced is None or wav.announced != wav.there or wav.there % 2:
        return None
    return wav.there // 2
