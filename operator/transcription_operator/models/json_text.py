"""JSON as bytes, many times faster than by the standard library: the operator writes and reads each object several times."""

import json
from typing import Any

import orjson


def encode_json(value: Any) -> bytes:
    """Return JSON without spaces. What orjson refuses, half a surrogate pair in a text of a worker, is escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def decode_json(text: bytes) -> Any:
    """Return the value of what `encode_json` has written.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)
