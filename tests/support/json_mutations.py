"""Change JSON at random, as a hostile program might: the same seed gives the same texts."""

import json
import random
from collections.abc import Iterator
from typing import Any

# Written in place of a value. Python's own encoder would refuse or repair most of them.
VALUES = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "5e-324", "1.7976931348623157e308", "-0.0"),
    *("-1", "0", "1", "2147483648", "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "1" + "0" * 5000),
    *(
        "null",
        "true",
        "false",
        "[]",
        "{}",
        '""',
        '"x"',
        "[null]",
        "[[[[]]]]",
        '{"a": {"b": [1]}}',
        "[" * 60,
        "[" * 5000,
    ),
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000\u001b[2J"', '"\\n\\n2026-01-01 ERROR forged"', '"' + "x" * 3000 + '"'),
    *('"a b"', '"-"', '"2026-13-45T99:99:99Z"', '"json"', "[1, 2, 3]", '[["json", 1, 0]]', '[["json"], [[]], [{}]]'),
)
# Put anywhere into the text.
BYTES = (b"\xff", b"\x00", b"\xed\xa0\x80", b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"\xef\xbb\xbf", b"9" * 30)
# Stands for one of VALUES until the text is written, since most of them are no values of Python.
_PLACE = "\x01place\x01"


def mutations(value: dict[str, Any], count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `count` texts that are like the JSON of `value`, most of them still JSON."""
    dice = random.Random(seed)
    whole = json.dumps(value)
    for _ in range(count):
        copy = json.loads(whole)
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            _put_place(copy, dice)
        first, *rest = json.dumps(copy).split(json.dumps(_PLACE))
        text = (first + "".join(dice.choice(VALUES) + part for part in rest)).encode()
        yield _with_other_bytes(text, dice) if dice.random() < 0.3 else text


def _put_place(part: Any, dice: random.Random) -> None:
    """Put _PLACE in place of a part at any depth, or under a key that is not there."""
    keys = list(range(len(part))) if isinstance(part, list) else [*part, "unknown"]
    key = dice.choice(keys)
    inner = None if key == "unknown" else part[key]
    if inner and isinstance(inner, dict | list) and dice.random() < 0.7:
        _put_place(inner, dice)
    else:
        part[key] = _PLACE


def _with_other_bytes(text: bytes, dice: random.Random) -> bytes:
    start, end = sorted(dice.randrange(len(text) + 1) for _ in range(2))
    changed = (
        text[:start],
        text[start:],
        text[:start] + text[end:],
        text[:end] + text[start:],
        text[:start] + dice.choice(BYTES) + text[start:],
        text[:start] + dice.choice(BYTES) * 50 + text[end:],
    )
    return dice.choice(changed)
