"""Files of containers that ffmpeg reads and does not write, whose packets have headers of their own."""

import struct
from collections.abc import Callable, Iterator

from tests.media_fuzz.handmade import CD_RATE, RATE, chunk, sound

_LEITCH = 48_000


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """Yield pieces of that size, the last of which may be shorter."""
    return (body[at : at + size] for at in range(0, len(body), size))


def dhav() -> bytes:
    whole = b""
    for number, piece in enumerate(cut(sound("<h"), RATE // 25 * 2)):
        size = 24 + 4 + len(piece) + 8
        head = b"DHAV\xf0\0\0\0" + struct.pack("<III", number, size, 24 << 26 | 1 << 22 | 1 << 17)
        head += struct.pack("<HBB", number * 40, 4, 0) + b"\x83\1\x0c\4"
        whole += head + piece + b"dhav" + struct.pack("<I", size)
    return whole


def dtshd(dts: bytes) -> bytes:
    return chunk(b"DTSHDHDR", bytes(32), ">Q") + chunk(b"STRMDATA", dts, ">Q")


def kux(flv: bytes) -> bytes:
    return b"KDK\0\0" + flv[5:]


def lxf() -> bytes:
    whole = _leitch(2, (0, 0, 0, 0, 120)) + bytes(120)
    count = _LEITCH // 25
    for piece in cut(sound("<h", _LEITCH), 2 * count):
        whole += _leitch(1, (0, 0, 0, 0, 0, 16 << 6 | 16, 3, len(piece))) + piece * 2
    return whole


def _leitch(kind: int, fields: tuple[int, ...]) -> bytes:
    words = struct.pack("<14I", *struct.unpack("<2I", b"LEITCH\0\0"), 0, 60, kind, *fields, *[0] * (9 - len(fields)))
    total = sum(struct.unpack("<14I", words))
    return words + struct.pack("<I", -total & 0xFFFF_FFFF)


def nsv(mp3: bytes) -> bytes:
    head = b"NSVsNONEMP3 " + struct.pack("<HHBH", 0, 0, 25, 0)
    return b"".join(head + struct.pack("<BHH", 0, 0, len(piece)) + piece for piece in cut(mp3, 288))


def nuv() -> bytes:
    head = b"NuppelVideo\x000.05\0\0\0\0" + struct.pack("<4I", 0, 0, 0, 0) + b"P\0\0\0"
    head += struct.pack("<ddiiii", 1.0, 25.0, 0, -1, 0, 0)
    pieces = enumerate(cut(sound("<h", CD_RATE, 2), CD_RATE // 25 * 4))
    return head + b"".join(b"A1\0\0" + struct.pack("<II", 40 * at, len(piece)) + piece for at, piece in pieces)


def pva(mp2: bytes) -> bytes:
    whole = b""
    for number, piece in enumerate(cut(mp2, 1024)):
        pes = b"\0\0\1\xc0" + struct.pack(">H", len(piece) + 8) + b"\x80\0\5" + 5 * b"\xff" + piece
        whole += b"AV\2" + bytes((number & 255,)) + b"\x55\0" + struct.pack(">H", len(pes)) + pes
    return whole


def xwma(wave: bytes) -> bytes:
    return wave[:8] + b"XWMA" + wave[12:]


WITH_SAMPLES: tuple[Callable[[], bytes], ...] = (dhav, lxf, nuv)
