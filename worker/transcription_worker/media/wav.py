"""Read the header of a WAVE file: whether its samples can be used as they are, and whether they are all there."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PCM = 1  # WAVE_FORMAT_PCM
# Sizes of the data that stand for an unknown one: 0, all ones, and what espeak, sox and arecord write into a pipe.
_PLACEHOLDERS = (range(1), range(0x7FFF_0000, 0x8000_0001), range(0xFFFF_0000, 0x1_0000_0000))
_MOST_CHUNKS = 1000  # how many chunks before the data are read, and how many after them
# What follows the announced data and is no chunk counts as samples if it is longer than this, and no tag and no padding.
_NOTICEABLE_SECONDS = 0.5
_TAGS = (b"APETAGEX", b"ID3", b"TAG", b"LYRICS")
_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Wav:
    """The format and the data of a WAVE file.

    `rate` is in samples per second, `byte_rate` in bytes per second; `offset` is the byte where the data begins.
    `announced` is the size of the data in bytes according to the header, None if that is unknown; `there` is the number
    of bytes of samples that the file has. It is the larger one where samples go on after the announced size, as they do
    when a recorder's 32 bits for it wrapped at 4 GiB.
    """

    tag: int
    channels: int
    rate: int
    byte_rate: int
    bits: int
    offset: int
    announced: int | None
    there: int

    @property
    def missing_seconds(self) -> float:
        """The seconds of audio that the header announces and the file lacks."""
        return 0.0 if self.announced is None else self._seconds(max(self.announced - self.there, 0))

    @property
    def surplus_seconds(self) -> float:
        """The seconds of audio that the file holds after what its header announces."""
        return 0.0 if self.announced is None else self._seconds(max(self.there - self.announced, 0))

    @property
    def seconds(self) -> float:
        """The seconds of audio in the file."""
        return self._seconds(self.there)

    def _seconds(self, size: int) -> float:
        return size / max(self.byte_rate, 1)


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
            announced = _announced(length, large)
            return None if form is None else Wav(*form, at, announced, _there(file, at, announced, size, form[3]))
        file.seek(at + length + length % 2)
    return None


def _announced(length: int, large: int | None) -> int | None:
    if length == 0xFFFF_FFFF and large:
        return large
    return None if any(length in sizes for sizes in _PLACEHOLDERS) else length


def _there(file: IO[bytes], at: int, announced: int | None, size: int, byte_rate: int) -> int:
    rest = max(size - at, 0)
    if announced is None or announced >= rest:
        return rest
    after = _after_chunks(file, at + announced + announced % 2, size)
    if size - after <= _NOTICEABLE_SECONDS * byte_rate or _is_tag_or_padding(file, after):
        return announced
    return rest


def _after_chunks(file: IO[bytes], at: int, size: int) -> int:
    """Return the byte after the chunks that begin at `at`: `at` itself if what is there is no chunk, or not all of one."""
    end = at
    for _ in range(_MOST_CHUNKS):
        file.seek(end)
        head = file.read(8)
        if len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in head[:4]):
            break
        following = end + 8 + int(struct.unpack("<I", head[4:])[0])
        if following > size:
            break
        end = following + following % 2
    return min(end, size)


def _is_tag_or_padding(file: IO[bytes], at: int) -> bool:
    file.seek(at)
    if file.read(8).startswith(_TAGS):
        return True
    file.seek(at)
    while block := file.read(_BLOCK):
        if any(block):
            return False
    return True


def plain_samples(wav: Wav, rate: int) -> int | None:
    """Return the number of samples if they can be used as they are, else None.

    They can if they are mono s16le at `rate` samples per second, and the header says where they end or the file does.
    """
    if (wav.tag, wav.channels, wav.rate, wav.bits) != (_PCM, 1, rate, 16):
        return None
    if wav.announced is None or wav.there % 2:
        return None
    return wav.there // 2
