"""Checksums of objects: one in a header of each upload, and those that a download is compared with."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from awscrt import checksums as crt
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


class Crc:
    """A CRC of a download, as hashlib's digests are: `function` takes bytes and the CRC of those before, of `size` bytes."""

    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, chunk: bytes) -> None:
        self._value = self._function(chunk, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class Xxhash:
    """An XXHash of a download, as hashlib's digests are."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._hash = make()

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def digest(self) -> bytes:
        value: bytes = self._hash.finalize()
        return value


# By the name in the answer to GetObject. AWS's own clients send CRC-64/NVME or CRC-32 where nothing else is asked for, and S3
# has the first for objects that came without a checksum.
ALGORITHMS: Mapping[str, Callable[[], Any]] = {
    "ChecksumCRC32": partial(Crc, zlib.crc32, 4),
    "ChecksumCRC32C": partial(Crc, crt.crc32c, 4),
    "ChecksumCRC64NVME": partial(Crc, crt.crc64nvme, 8),
    "ChecksumSHA1": partial(hashlib.sha1, usedforsecurity=False),
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumSHA512": hashlib.sha512,
    "ChecksumMD5": partial(hashlib.md5, usedforsecurity=False),
    "ChecksumXXHASH64": partial(Xxhash, crt.XXHash.new_xxhash64),
    "ChecksumXXHASH3": partial(Xxhash, crt.XXHash.new_xxhash3_64),
    "ChecksumXXHASH128": partial(Xxhash, crt.XXHash.new_xxhash3_128),
}


class DownloadDigest:
    """The digests of a download so far, SHA-256 always, and the checksums that its first response announced.

    boto3 itself compares the body of one response with its header. It cannot do so where a download broke off and the rest
    came with another response, which covers a part of the object only, and which has no checksum or that of the whole.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the bytes, since the download begins again."""
        self._digests: dict[str, Any] = {"ChecksumSHA256": hashlib.sha256()}
        self._announced: dict[str, str] = {}

    def expect(self, answer: Mapping[str, Any]) -> None:
        """Remember the checksums of the whole object, of which no byte has come yet.

        One with a dash is made of the checksums of an upload's parts.
        """
        self._announced = {name: value for name in ALGORITHMS if (value := answer.get(name)) and "-" not in value}
        for name in self._announced:
            self._digests.setdefault(name, ALGORITHMS[name]())

    def update(self, chunk: bytes) -> None:
        for digest in self._digests.values():
            digest.update(chunk)

    @property
    def sha256(self) -> str:
        """The SHA-256 digest in hex."""
        digest: str = self._digests["ChecksumSHA256"].hexdigest()
        return digest

    def require_announced(self) -> None:
        """Compare the bytes with the announced checksums.

        Raises:
            FlexibleChecksumError: other bytes have arrived than the server sent.
        """
        for name, expected in self._announced.items():
            found = base64.b64encode(self._digests[name].digest()).decode()
            if found != expected:
                raise FlexibleChecksumError(error_msg=f"{name}: expected {expected}, got {found}")
