"""Files of formats that ffmpeg reads and does not write: a header by hand, and samples or frames behind it.

The frames of codecs for speech are random, which their decoders take for a noise.
"""

import math
import random
import struct
from collections.abc import Callable

RATE = 16_000
SECONDS = 1.5
CD_RATE = 44_100


def sound(form: str, rate: int = RATE, channels: int = 1, seconds: float = SECONDS) -> bytes:
    """Return a sine wave as samples of 16 bits, in the byte order of `form`, or of 8 bits for "b"."""
    loudest = 100 if form.endswith("b") else 20_000
    values = [round(loudest * math.sin(440 * math.tau * at / rate)) for at in range(round(rate * seconds))]
    return b"".join(struct.pack(form, value) * channels for value in values)


def noise(count: int, most: int = 255) -> bytes:
    """Return so many random bytes, the same each time, none of them above `most`."""
    return bytes(random.Random(0).choices(range(most + 1), k=count))


def frames(header: bytes, size: int, count: int) -> bytes:
    """Return so many frames of random bytes, each behind the same header."""
    dice = random.Random(0)
    return b"".join(header + dice.randbytes(size) for _ in range(count))


def chunk(name: bytes, body: bytes, form: str = "<I") -> bytes:
    """Return a chunk of RIFF, or of IFF with ">I"."""
    return name + struct.pack(form, len(body)) + body


# --- one header, and samples


def avr() -> bytes:
    head = b"2BIT" + b"recorded" + struct.pack(">5HI", 0, 16, 0xFFFF, 0, 0xFFFF, RATE)
    return head.ljust(128, b"\0") + sound(">h")


def dsf() -> bytes:
    block, rate = 4096, 2_822_400
    body = noise(block * 40)
    form = struct.pack("<IIIIIIQII", 1, 0, 1, 1, rate, 1, 8 * len(body), block, 0)
    parts = b"fmt " + struct.pack("<Q", 52) + form + b"data" + struct.pack("<Q", 12 + len(body)) + body
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(parts), 0) + parts


def hcom() -> bytes:
    tree = struct.pack(">6h", 1, 2, -1, 3, -1, -3)  # two leaves, of which each is one bit
    body = noise(2048)
    head = b"\5sound".ljust(65, b"\0") + b"FSSD" + bytes(14) + struct.pack(">II", len(body) + 150, 0)
    form = struct.pack(">IIIIH", 8 * len(body), 0, 1, 1, 3)
    return head.ljust(128, b"\0") + b"HCOM" + form + tree + b"\0\x80" + body


def iff() -> bytes:
    body = sound(">b")
    voice = chunk(b"VHDR", struct.pack(">IIIHBBI", len(body), 0, 32, RATE, 1, 0, 0x10000), ">I")
    return chunk(b"FORM", b"8SVX" + voice + chunk(b"BODY", body, ">I"), ">I")


def nist() -> bytes:
    fields = "channel_count -i 1", f"sample_rate -i {RATE}", "sample_n_bytes -i 2", "sample_byte_format -s2 01"
    lines = "NIST_1A", "   1024", *fields, "sample_coding -s3 pcm", "end_head", ""
    return "\n".join(lines).encode().ljust(1024) + sound("<h")


def nsp() -> bytes:
    form = b"Jan  1 12:00:00 2024" + struct.pack("<II", RATE, 0) + bytes(4)
    parts = chunk(b"HEDR", form) + chunk(b"SDA_", sound("<h"))
    return chunk(b"FORMDS16", parts)


def oma() -> bytes:
    head = b"EA3\1\0\x60\xff\xff".ljust(32, b"\0") + b"\4"
    return head.ljust(96, b"\0") + sound(">h", CD_RATE, 2)


def pvf() -> bytes:
    return f"PVF1\n1 {RATE} 16\n".encode() + sound(">h")


# --- one header, and frames


def amr() -> bytes:
    return b"#!AMR\n" + amr_narrow()


def amr_wide_file() -> bytes:
    return b"#!AMR-WB\n" + amr_wide()


def amr_narrow() -> bytes:
    return frames(b"\x3c", 31, 120)  # RFC 4867, section 5.3: 12.2 kbit/s


def amr_wide() -> bytes:
    return frames(b"\x44", 60, 120)  # the same, 23.85 kbit/s


def ape() -> bytes:
    count = 20_000
    body = struct.pack("<II", 0x8000_0000, 1) + bytes(64)  # a frame whose flags say that it is silent
    form = struct.pack("<HHIIIHHI", 2000, 0, 73_728, count, 1, 16, 1, RATE)
    sizes = struct.pack("<HHIIIIIII", 3990, 0, 52, len(form), 4, 0, len(body), 0, 0) + bytes(16)
    return b"MAC " + sizes + form + struct.pack("<I", 56 + len(form)) + body


def dss() -> bytes:
    head = b"\2dss".ljust(0x26, b"\0") + b"240101120000" * 2
    return head.ljust(1024, b"\0") + (bytes(6) + noise(506, most=254)) * 5


def ilbc() -> bytes:
    return b"#!iLBC30\n" + frames(b"", 50, 50)


def mpc() -> bytes:
    silent = f"{8:020b}" + 8 * "0"  # a frame of one band, which is empty in both channels
    bits = 8 * "0" + 60 * silent
    words = (int(bits[at : at + 32].ljust(32, "0"), 2) for at in range(0, len(bits), 32))
    return b"MP+\7" + struct.pack("<I", 60) + bytes(16) + b"".join(struct.pack("<I", word) for word in words)


def mpc8() -> bytes:
    head = b"\1\2\3\4\x08" + b"\xe0\x00" + b"\0" + b"\0\x10"
    packet = noise(300)
    return b"MPCK" + _keyed(b"SH", head) + _keyed(b"AP", packet) * 60 + _keyed(b"SE", b"")


def _keyed(name: bytes, body: bytes) -> bytes:
    size = len(body) + 3
    if size > 0x7F:
        size += 1
        return name + bytes((0x80 | size >> 7, size & 0x7F)) + body
    return name + bytes((size,)) + body


def qcp() -> bytes:
    codec = b"\x41\x6d\x7f\x5e\x15\xb1\xd0\x11\xba\x91\0\x80\x5f\xb4\xb9\x7e" + bytes(82)  # RFC 3625, section 2
    form = b"\1\0" + codec + struct.pack("<5HI", 13_000, 35, 160, 8000, 16, 0) + bytes(36)
    return chunk(b"RIFF", b"QLCM" + chunk(b"fmt ", form) + chunk(b"data", frames(b"\4", 34, 75)))


def shn() -> bytes:
    wave = chunk(
        b"RIFF", b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)) + chunk(b"data", b"")
    )
    bits = "".join(_golomb(_width(n), 2) + _golomb(n, _width(n)) for n in (5, 1, 256, 0, 0, 0))
    bits += _golomb(9, 2) + _golomb(len(wave), 5) + "".join(_golomb(byte, 8) for byte in wave)
    dice = random.Random(0)
    for _ in range(90):  # blocks of 256 samples, whose differences are of up to 6 bits
        bits += _golomb(1, 2) + _golomb(5, 3) + "".join(_golomb(dice.randrange(64), 6) for _ in range(256))
    bits += _golomb(4, 2)
    bits = bits.ljust(-len(bits) // 8 * -8, "0")
    return b"ajkg\2" + int(bits, 2).to_bytes(len(bits) // 8, "big") + bytes(64)


def _width(number: int) -> int:
    return max(number.bit_length() - 1, 0)


def _golomb(number: int, width: int) -> str:
    low = f"{number & (1 << width) - 1:0{width}b}" if width else ""
    return "0" * (number >> width) + "1" + low


WITH_SAMPLES: tuple[Callable[[], bytes], ...] = (avr, dsf, hcom, iff, nist, nsp, oma, pvf)
WITH_FRAMES: tuple[Callable[[], bytes], ...] = (
    *(amr, amr_wide_file, amr_narrow, amr_wide, ape, dss, ilbc, mpc, mpc8, qcp, shn),
)
