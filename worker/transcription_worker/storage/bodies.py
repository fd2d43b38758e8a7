"""Read the body of a response into memory."""

import contextlib
from collections.abc import Mapping
from typing import Any

from transcription_worker.storage.checksums import DownloadDigest


def read_small(answer: Mapping[str, Any], limit: int) -> bytes:
    """Read the body of an answer to GetObject until its end, or a byte more than `limit`.

    At the end boto3 compares the length with the one announced, and its bytes are compared with their checksums.

    Raises:
        FlexibleChecksumError: other bytes have arrived than the server sent.
    """
    read = b""
    digest = DownloadDigest()
    digest.expect(answer)
    with contextlib.closing(answer["Body"]) as body:
        while len(read) <= limit:
            chunk = body.read(limit + 1 - len(read))
            if not chunk:
                digest.require_announced()
                break
            read += chunk
            digest.update(chunk)
    return read
