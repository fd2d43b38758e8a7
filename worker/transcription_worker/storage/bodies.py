"""Read the body of a response into memory."""

from typing import Any


def read_small(body: Any, limit: int) -> bytes:
    """Read until the end, where botocore compares the length with the one announced, or a byte more than `limit`."""
    read = b""
    with body:
        while len(read) <= limit and (chunk := body.read(limit + 1 - len(read))):
            read += chunk
    return read
