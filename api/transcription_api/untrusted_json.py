"""Parse JSON that a worker, a tenant or another version has written.

Whatever the text holds, parsing takes a time in proportion to its length, and ends with a value or a ValueError.
"""

import json
import math
import re
from typing import Any

# Bytes. What a worker says of itself is a few kilobytes long.
DEFAULT_LIMIT = 64 * 1024
# Objects and lists inside one another. Python's parser calls itself for each, and ends with a RecursionError or worse.
MAX_DEPTH = 32
# A text, in which brackets mean nothing, or one bracket. A text that is not closed reaches to the end. The possessive
# quantifiers (++ and *+) never go back, so that no text takes longer than its length.
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)
_TEXT_BRACKET_OR_COMMA = re.compile(rf"{_TEXT_OR_BRACKET.pattern}|,", re.DOTALL)
# Control characters but tab and line feed, and surrogates without their other half, which have no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_INT64 = 2**63
_INT64_DIGITS = 20  # with a sign


def parse_untrusted_json(text: str | bytes, limit: int = DEFAULT_LIMIT, printable: bool = True) -> Any:
    """Parse JSON of at most `limit` bytes and MAX_DEPTH.

    A number that is not finite, and an integer of more than 64 bits, becomes None. Control characters, lone surrogates
    and bytes that are not UTF-8 become the replacement character. Of a key that is there twice the last value counts.
    Without `printable` control characters and surrogates stay what they are.

    Raises:
        ValueError: The text is too long, too deep or no JSON.
    """
    if len(text) > limit:
        raise ValueError(f"got more than {limit} bytes")
    decoded = text if isinstance(text, str) else text.decode(errors="replace")
    _check_depth(decoded)
    value = json.loads(decoded, parse_constant=lambda _: None, parse_int=_integer, parse_float=_number)
    return _printable(value) if printable else value


def close_cut_json(text: str) -> str:
    """Return JSON that was cut off anywhere without its last, unfinished member or item, and with its brackets closed.

    A text that was not cut off stays as it is, and so does one of which nothing whole is left. It takes a time in proportion to
    the length, whoever wrote the text; `parse_untrusted_json` checks what it holds.
    """
    commas = [token.start() for token in _TEXT_BRACKET_OR_COMMA.finditer(text) if token[0] == ","]
    if not commas or not _open_brackets(text):
        return text
    kept = text[: commas[-1]]
    return kept + "".join("]" if bracket == "[" else "}" for bracket in reversed(_open_brackets(kept)))


def _open_brackets(text: str) -> list[str]:
    opened: list[str] = []
    for token in _TEXT_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            opened.append(token[0])
        elif token[0] in "]}":
            opened[-1:] = []
    return opened


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"got more than {MAX_DEPTH} objects and lists inside one another")


def _integer(digits: str) -> int | None:
    if len(digits) > _INT64_DIGITS:
        return None
    number = int(digits)
    return number if -_INT64 <= number < _INT64 else None


def _number(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPRINTABLE.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_UNPRINTABLE.sub(_REPLACEMENT, key): _printable(item) for key, item in value.items()}
    return value
