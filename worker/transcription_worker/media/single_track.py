"""Prove by a file's own structure that it holds one audio track that begins with the file, so that ffprobe need not be asked.

ffprobe takes as long as decoding a minute of mp3. Whatever is not proven is left to it. Every byte may be hostile: what is read
is bounded, and only what another track or a later beginning would need is looked for.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transcription_worker.media import boxes

# Larger files take so long to decode that ffprobe does not matter beside it.
_MOST_BYTES = 8 << 20
_MOST_PAGES = 20_000


def has_single_track(path: Path) -> bool:
    """Return whether the file provably holds one audio track, whose time stamps begin with the file; False if that is not known.

    Files that are damaged, cut off or hold anything unusual are not known. Whether the track can be decoded is not looked at.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        return False
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        try:
            if head[4:] == b"ftyp":
                return _is_single_in_mp4(path, file, size)
            if head[:4] == b"OggS":
                return _is_single_in_ogg(file, size)
            if head[:4] == _EBML:
                return _is_single_in_matroska(file)
            return head[:1] == b"\xff" and _is_plain_mp3(file)
        except (struct.error, IndexError):  # the file ends inside a header
            return False


# --- mp4: ISO/IEC 14496-12

# The boxes beside the index that a recorder writes; others may hold tracks or parts of them.
_OUTER = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}
# What would hold another track, time stamps of its own for each sample, or the index in another form.
_UNUSUAL = (b"mvex", b"cmov", b"ctts", b"rmra", b"tref")
# Handlers beside the track's own: of the tags, and of where QuickTime looks for data.
_OTHER_HANDLERS = {b"mdir", b"mdta", b"url ", b"alis"}


def _is_single_in_mp4(path: Path, file: IO[bytes], size: int) -> bool:
    index, at = b"", 0
    for box in boxes.outer_boxes(path):
        if box.kind not in _OUTER or box.end is None or box.end > size or (index and box.kind == b"moov"):
            return False
        if box.kind == b"moov":
            file.seek(at)
            index = file.read(box.end - at)
        at = box.end
    # Where none of these bytes is, no box of that kind is either, wherever ffmpeg would look for it.
    if at != size or index.count(b"trak") != 1 or index.count(b"stsd") != 1 or any(kind in index for kind in _UNUSUAL):
        return False
    return _is_sound(index) and _begins_at_zero(index)


def _is_sound(index: bytes) -> bool:
    """Return whether the track's handler is that of sound, and no other box says something else."""
    handlers = [index[at + 12 : at + 16] for at in _all(index, b"hdlr")]
    return handlers.count(b"soun") == 1 and set(handlers) <= {b"soun", *_OTHER_HANDLERS}


def _begins_at_zero(index: bytes) -> bool:
    """Return whether the track has no edit list, or one edit that skips less than a second of an encoder's padding."""
    scales = [struct.unpack_from(">I", index, at + (24 if index[at + 4] else 16))[0] for at in _all(index, b"mdhd")]
    edits = list(_all(index, b"elst"))
    if len(scales) != 1 or len(edits) > 1 or index.count(b"edts") != len(edits):
        return False
    for at in edits:
        form = ">qI" if index[at + 4] else ">iI"
        (count,) = struct.unpack_from(">I", index, at + 8)
        skipped, rate = struct.unpack_from(form, index, at + (20 if index[at + 4] else 16))
        if count != 1 or rate != 1 << 16 or not 0 <= skipped < scales[0]:
            return False
    return True


def _all(data: bytes, kind: bytes) -> Iterator[int]:
    """Yield the places of a box's type, of which each has a version of one byte and three of flags after it."""
    at = data.find(kind)
    while at >= 0:
        yield at
        at = data.find(kind, at + 1)


# --- Ogg: RFC 3533

_PAGE = struct.Struct(
    "<4sBBqIIIB"
)  # capture pattern, version, flags, granule position, serial, number, checksum, segments
_CHECKSUM_AT = 22
_CONTINUED, _BEGINS = 1, 2  # flags
_CODECS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _is_single_in_ogg(file: IO[bytes], size: int) -> bool:
    """Return whether pages of one logical stream follow one another from the file's first byte to its last."""
    first: int | None = None
    for _ in range(_MOST_PAGES):
        head = file.read(_PAGE.size)
        if not head:
            return first is not None
        capture, version, flags, _, serial, _, checksum, segments = _PAGE.unpack(head)
        lengths = file.read(segments)
        body = file.read(sum(lengths))
        if capture != b"OggS" or version or file.tell() > size or checksum != _checksum(head, lengths + body):
            return False
        if first is None and (flags & (_BEGINS | _CONTINUED) != _BEGINS or not body.startswith(_CODECS)):
            return False
        if first is not None and (serial != first or flags & _BEGINS):
            return False
        first = serial
    return False


def _checksum(head: bytes, rest: bytes) -> int:
    """Return a page's CRC, whose polynomial is zlib's with the bits of bytes and result in the other order, and begins with 0."""
    page = head[:_CHECKSUM_AT] + bytes(4) + head[_CHECKSUM_AT + 4 :] + rest
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)


# --- mp3 without a tag: ISO/IEC 11172-3 and 13818-3, section 2.4.2.3

# ffmpeg takes a file for an mp3 by so many frames, one after another.
_LEAST_FRAMES = 8
_MOST_FRAME = 1441
_KBITS = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2.5
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _is_plain_mp3(file: IO[bytes]) -> bool:
    data, at, kinds = file.read(_LEAST_FRAMES * _MOST_FRAME), 0, set()
    for _ in range(_LEAST_FRAMES):
        (header,) = struct.unpack_from(">I", data, at)
        if (length := _frame_bytes(header)) is None:
            return False
        kinds.add(header & 0xFFFE_0C00)  # the sync word, version, layer and sample rate
        at += length
    return len(kinds) == 1 and at <= len(data)


def _frame_bytes(header: int) -> int | None:
    """Return the length of a frame of layer III in bytes; None for what is none."""
    version, layer = header >> 19 & 3, header >> 17 & 3
    bitrate, rate, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    return (144 if version == 3 else 72) * _KBITS[version][bitrate - 1] * 1000 // _RATES[version][rate] + padding


# --- Matroska and WebM: RFC 9559, and EBML: RFC 8794

_EBML, _SEGMENT, _TRACKS, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_ENTRY, _KIND, _SOUND = b"\xae", b"\x83", b"\x02"  # of a track
_TIME, _BLOCK, _GROUP, _BLOCK_IN_GROUP = b"\xe7", b"\xa3", b"\xa0", b"\xa1"  # of a cluster
# What may come before the tracks and the first cluster and says nothing about either: SeekHead, Info, Tags, Cues, Void, CRC-32.
_ASIDE = (b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x12\x54\xc3\x67", b"\x1c\x53\xbb\x6b", b"\xec", b"\xbf")
# The elements among these, and within a track, that hold others: Seek, Tag, Targets, SimpleTag, CuePoint, CueTrackPositions, Audio.
_MASTERS = (*_ASIDE[:4], b"\x4d\xbb", b"\x73\x73", b"\x63\xc0", b"\x67\xc8", b"\xbb", b"\xb7", _TRACKS, _ENTRY, b"\xe1")
_MOST_START = 1 << 18  # bytes before the end of the first block
_MOST_ELEMENTS, _MOST_DEPTH = 100, 6

_Element = tuple[bytes, int, int]  # an ID, and the bytes where its content begins and ends


def _is_single_in_matroska(file: IO[bytes]) -> bool:
    """Return whether one track, of sound, is announced before the first block, and that block has the time 0."""
    data, tracks = file.read(_MOST_START), None
    _, _, at = _element(data, 0, len(data))
    outer, inside, limit = _element(data, at, len(data))
    if outer != _SEGMENT:
        return False
    for kind, begin, end in _elements(data, inside, limit):
        _require_elements(data, kind, begin, end)
        if kind == _CLUSTER:
            return tracks == 1 and _begins_with_block(data, begin, end)
        if kind == _TRACKS and tracks is None:
            tracks = sum(_is_entry_of_sound(data, *element) for element in _elements(data, begin, end))
        elif kind not in _ASIDE:
            return False
    return False


def _is_entry_of_sound(data: bytes, kind: bytes, begin: int, end: int) -> int:
    """Return 1 for a track of sound, 0 for what is no track, and more for any other track."""
    if kind != _ENTRY:
        return 0 if kind in _ASIDE else _MOST_ELEMENTS
    kinds = [data[first:last] for kind, first, last in _elements(data, begin, end) if kind == _KIND]
    return 1 if kinds == [_SOUND] else _MOST_ELEMENTS


def _begins_with_block(data: bytes, begin: int, end: int) -> bool:
    """Return whether the first block of a cluster has the time 0, and so has the cluster."""
    time: bytes | None = None
    for kind, first, last in _elements(data, begin, end):
        if kind == _TIME and time is None:
            time = data[first:last]
        elif kind in (_BLOCK, _GROUP):
            inner, at, _ = (kind, first, last) if kind == _BLOCK else _element(data, first, last)
            return (
                time is not None and not any(time) and inner in (_BLOCK, _BLOCK_IN_GROUP) and _has_time_zero(data, at)
            )
        elif kind not in _ASIDE:
            return False
    return False


def _has_time_zero(data: bytes, at: int) -> bool:
    """Return whether a block, of a track of a number below 128, has the time of its cluster."""
    return data[at] > 0x80 and data[at + 1 : at + 3] == bytes(2)


def _elements(data: bytes, begin: int, end: int) -> Iterator[_Element]:
    """Yield the elements of a piece of the data. Raises struct.error where one ends outside it."""
    for _ in range(_MOST_ELEMENTS):
        if begin == end:
            return
        element = _element(data, begin, end)
        yield element
        begin = element[2]
    raise struct.error("too many elements")


def _require_elements(data: bytes, kind: bytes, begin: int, end: int, depth: int = 0) -> None:
    """Raise struct.error unless all that an element holds is elements: after anything else ffmpeg reads the tracks once more."""
    if kind not in _MASTERS:
        return
    if depth > _MOST_DEPTH:
        raise struct.error("too deep")
    for element in _elements(data, begin, end):
        _require_elements(data, *element, depth + 1)


def _element(data: bytes, at: int, limit: int) -> _Element:
    """Return the element at `at`. One of unknown size, as in streams, ends where what it is in ends.

    The last byte of what was read ends the segment and clusters, which are longer.
    """
    width = 9 - data[at].bit_length()
    kind, at = data[at : at + width], at + width
    size_width = 9 - data[at].bit_length()
    if width > 4 or size_width > 8:
        raise struct.error("no element")
    size = int.from_bytes(data[at : at + size_width], "big") - (1 << 7 * size_width)
    begin = at + size_width
    unknown = size == (1 << 7 * size_width) - 1
    end = limit if unknown or kind in (_SEGMENT, _CLUSTER) else begin + size
    if not begin <= end <= limit:
        raise struct.error("the element ends outside what it is in")
    return kind, begin, end
