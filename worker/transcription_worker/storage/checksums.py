"""Checksums of objects: one in a header of each upload, and those that a download is compared with."""

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import FlexibleChecksumError


def checksum_of(body: bytes, known: bool = True) -> dict[str, str]:
    """Return the argument of PutObject that has the server verify a body.

    It is the big-endian CRC-32 in base64, as the header x-amz-checksum-crc32: over https boto3 would send it as a trailer of a
    chunked body, which Google Cloud Storage and others refuse. Where such headers are not known it is Content-MD5 of RFC 1864,
    which S3 had from its beginning.
    """
    if known:
        return {"ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()}
    return {"ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}


class DownloadDigest:
    """The digests of a download so far, and the checksums that its first response announced.

    boto3 itself compares the body of one response with its header. It cannot do so where a download broke off and the rest
    came with another response, which covers a part of the object only and so has no checksum.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the bytes, since the download begins again."""
        self._sha256 = hashlib.sha256()
        self._crc32 = 0
        self._announced: dict[str, str] = {}

    def expect(self, answer: Mapping[str, Any]) -> None:
        """Remember the checksums of the whole object. One with a dash is made of the checksums of an upload's parts."""
        for name in ("ChecksumCRC32", "ChecksumSHA256"):
            value = answer.get(name)
            if value and "-" not in value:
                self._announced.setdefault(name, value)

    def update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._crc32 = zlib.crc32(chunk, self._crc32)

    @property
    def sha256(self) -> str:
        """The SHA-256 digest in hex."""
        return self._sha256.hexdigest()

    def require_announced(self) -> None:
        """Compare the bytes with the announced checksums.

        Raises:
            FlexibleChecksumError: other bytes have arrived than the server sent.
        """
        found = {
            "ChecksumCRC32": base64.b64encode(self._crc32.to_bytes(4, "big")).decode(),
            "ChecksumSHA256": base64.b64encode(self._sha256.digest()).decode(),
        }
        for name, value in self._announced.items():
            if found[name] != value:
                raise FlexibleChecksumError(error_msg=f"{name}: expected {value}, got {found[name]}")
