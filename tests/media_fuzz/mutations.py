"""Ways to damage the bytes of a file. Everything here is pure: the same dice give the same bytes."""

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, bytes, random.Random], bytes]

# Bytes at the start and the end of a file that hold its headers and its index.
HEADER_BYTES = 512
LARGEST_BLOCK = 4096
# Numbers at which sizes, counts and rates overflow or change their sign, by the bytes that they take.
EXTREMES = {
    1: (0, 1, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF),
    8: (0, 1, 2**63 - 1, 2**63, 2**64 - 1),
}
_FORMS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def unchanged(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Leave the bytes as they are: the file's name or the options differ."""
    return body


def flip_bits(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Flip up to 64 bits."""
    changed = bytearray(body)
    for _ in range(dice.randint(1, 64)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def set_bytes(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Give up to 256 bytes other values."""
    changed = bytearray(body)
    for _ in range(dice.randint(1, 256)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def truncate(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Cut the end off, as an upload does that breaks."""
    return body[: dice.randrange(len(body))]


def insert_block(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Put random bytes in between."""
    at = dice.randrange(len(body))
    return body[:at] + dice.randbytes(dice.randint(1, LARGEST_BLOCK)) + body[at:]


def repeat_block(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Have a part come up to 1000 times."""
    start, end = _block(body, dice)
    return body[:end] + body[start:end] * dice.choice((1, 2, 10, 1000)) + body[end:]


def remove_block(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Leave a part out."""
    start, end = _block(body, dice)
    return body[:start] + body[end:]


def swap_blocks(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Have two parts change their places."""
    a, b, c = sorted(dice.randrange(len(body) + 1) for _ in range(3))
    return body[:a] + body[b:c] + body[a:b] + body[c:]


def set_header_fields(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Set up to four numbers of a header, or of the index at the end, to extremes."""
    changed = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        size = dice.choice(list(EXTREMES))
        value = struct.pack(dice.choice("<>") + _FORMS[size], dice.choice(EXTREMES[size]))
        at = dice.randrange(min(HEADER_BYTES, len(changed)))
        at = at if dice.random() < 0.8 else max(0, len(changed) - size - at)
        changed[at : at + size] = value
    return bytes(changed)


def join(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Put another file behind it, or before it."""
    return body + other if dice.random() < 0.7 else other + body


def zeros(body: bytes, other: bytes, dice: random.Random) -> bytes:
    """Have zeros before the file, behind it, in the place of a part or of everything."""
    start, end = _block(body, dice)
    many = bytes(dice.choice((1, 512, 65536)))
    return dice.choice((many + body, body + many, body[:start] + bytes(end - start) + body[end:], bytes(len(body))))


def _block(body: bytes, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(body))
    return start, min(len(body), start + dice.randint(1, LARGEST_BLOCK))


MUTATIONS: tuple[Mutation, ...] = (
    *(unchanged, flip_bits, set_bytes, truncate, insert_block, repeat_block, remove_block, swap_blocks),
    *(set_header_fields, set_header_fields, set_header_fields, join, zeros),
)
