"""Access one bucket of the task, with reads that resume and writes that are checked.

Errors of S3 are raised as WorkerError, and errors of the local disk as OSError.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore.exceptions import ClientError
from transcription_api import reasons
from transcription_api.spec import S3Endpoint

from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.retry import Backoff, call_with_retries
from transcription_worker.storage import s3_errors
from transcription_worker.storage.client import make_client
from transcription_worker.storage.roles import Role

T = TypeVar("T")

log = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes that are read at a time
SMALL = 1 << 20  # bytes of the largest object that is kept in memory; a report has less than a tenth of it


@dataclass(frozen=True)
class ObjectInfo:
    """An object as it is now. `etag` has no quotes, `size` is in bytes."""

    etag: str
    size: int


class Bucket:
    """Reads and writes objects of the bucket that an endpoint names."""

    def __init__(self, endpoint: S3Endpoint, role: Role, paths: Paths) -> None:
        self._endpoint = endpoint
        self._role = role
        self._client = make_client(endpoint, role, paths)

    def find(self, key: str) -> ObjectInfo:
        """Return the object's size and ETag, by a GET of its first byte.

        A HEAD is not enough: its response has no body, and so no error code that says why the object was refused.
        """
        try:
            answer = self._call(f"find {key!r}", key, lambda: self._get(key, Range="bytes=0-0"))
        except _EmptyObjectError:
            return self.head(key)
        size = answer.get("ContentRange", "").rpartition("/")[2]
        return ObjectInfo(_bare(answer["ETag"]), int(size) if size.isdigit() else int(answer["ContentLength"]))

    def head(self, key: str) -> ObjectInfo:
        """Return the object's size and ETag, by HEAD."""
        answer = self._call(f"check {key!r}", key, lambda: self._client.head_object(**self._name(key)))
        return ObjectInfo(_bare(answer["ETag"]), int(answer["ContentLength"]))

    def read(self, key: str) -> bytes:
        """Read a small object, of at most SMALL bytes; of a larger one a byte more."""
        return self.read_with_etag(key)[0]

    def read_with_etag(self, key: str) -> tuple[bytes, str | None]:
        """Return what `read` does and the object's ETag without quotes, or None if the server names none."""

        def get() -> tuple[bytes, str | None]:
            answer = self._get(key)
            return _read_small(answer["Body"]), _bare(answer["ETag"]) if answer.get("ETag") else None

        return self._call(f"read {key!r}", key, get)

    def download(self, key: str, found: ObjectInfo, path: Path) -> str:
        """Download the object that `find` returned into a file, and return its SHA-256 digest in hex.

        Raises:
            WorkerError: SourceChanged, if another object has taken its place, or the reason for which S3 refused.
            OSError: the file cannot be written.
        """
        backoff = Backoff(f"read {key!r}")
        digest = hashlib.sha256()
        with path.open("wb") as file:
            while file.tell() < found.size:
                try:
                    self._read_on(key, found, file, digest.update, backoff)
                except (*s3_errors.CONNECTION, ClientError, _EmptyObjectError) as error:
                    self._wait(error, backoff, key)
        return digest.hexdigest()

    def _read_on(
        self, key: str, found: ObjectInfo, file: BinaryIO, seen: Callable[[bytes], None], backoff: Backoff
    ) -> None:
        """Append the rest of the object to the file, so that a download that broke off resumes where it was."""
        answer = self._get(key, Range=f"bytes={file.tell()}-", IfMatch=f'"{found.etag}"')
        if file.tell() > 0 and not answer.get("ContentRange", "").startswith(f"bytes {file.tell()}-"):
            raise WorkerError(
                reasons.ENDPOINT_UNREACHABLE, f"{self._role.value}.endpointURL: the endpoint does not honour ranges"
            )
        with answer["Body"] as body:
            while chunk := body.read(CHUNK):
                file.write(chunk)
                seen(chunk)
                backoff.reset()

    def _wait(self, error: Exception, backoff: Backoff, key: str) -> None:
        why = s3_errors.transient(error)
        if why is None:
            raise self._known(error, key) from error
        try:
            backoff.wait_after(error, why)
        except Exception as last:
            raise self._known(last, key) from last

    def write(self, key: str, body: bytes, content_type: str) -> ObjectInfo:
        """Put an object with a checksum that the server verifies, and return its size and ETag from a HEAD.

        Raises:
            WorkerError: EndpointUnreachable, if the bucket holds something other than what was written.
        """
        put = self._call(f"write {key!r}", key, lambda: self._put(key, body, content_type))
        return self._check_written(key, body, put)

    def _check_written(self, key: str, body: bytes, put: dict[str, Any]) -> ObjectInfo:
        found = self.head(key)
        if found.size != len(body) or found.etag != _bare(put["ETag"]):
            words = (
                f"wrote {len(body)} bytes with ETag {_bare(put['ETag'])}, found {found.size} bytes with {found.etag}"
            )
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{self._role.value}: {key!r}: {words}")
        return found

    def replace(self, key: str, body: bytes, content_type: str, etag: str | None) -> bool:
        """Write an object, as `write` does, only if the key holds the object of that ETag now, or nothing for None.

        Servers that know no conditional writes write in any case: RFC 9110, 13.1, S3 since 2024.

        Returns:
            False if the key holds another object; nothing is written then.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            put = self._call(f"write {key!r}", key, lambda: self._put(key, body, content_type, **condition))
        except WorkerError as error:
            cause = error.__cause__
            code = s3_errors.code_of(cause)[0] if isinstance(cause, ClientError) else ""
            if code in s3_errors.NO_CONDITIONS:
                self.write(key, body, content_type)
                return True
            if code in s3_errors.CONDITION_FAILED:
                return False
            raise
        self._check_written(key, body, put)
        return True

    def delete(self, key: str) -> None:
        self._call(f"delete {key!r}", key, lambda: self._client.delete_object(**self._name(key)))

    def _put(self, key: str, body: bytes, content_type: str, **condition: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.put_object(
            **self._name(key), Body=body, ContentType=content_type, ChecksumAlgorithm="CRC32", **condition
        )
        return answer

    def _get(self, key: str, **options: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_object(**self._name(key), **options)
        except ClientError as error:
            if s3_errors.code_of(error)[0] == "InvalidRange":
                raise _EmptyObjectError from error
            raise
        return answer

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self._endpoint.bucket, "Key": key}

    def _call(self, what: str, key: str, operation: Callable[[], T]) -> T:
        try:
            return call_with_retries(f"{self._role.value}: {what}", operation, s3_errors.transient)
        except (WorkerError, _EmptyObjectError):
            raise
        except Exception as error:
            raise self._known(error, key) from error

    def _known(self, error: Exception, key: str) -> Exception:
        if isinstance(error, WorkerError) or s3_errors.is_local(error):
            return error
        if isinstance(error, _EmptyObjectError):
            return WorkerError(reasons.SOURCE_CHANGED, f"{self._role.value}: {key!r} became shorter while it was read")
        return s3_errors.worker_error(error, self._role, self._endpoint, key)


class _EmptyObjectError(Exception):
    """Says that a range was requested that lies outside the object."""


def _read_small(body: Any) -> bytes:
    """Read until the end, where botocore compares the length with the one announced, or until the object is too large."""
    read = b""
    with body:
        while len(read) <= SMALL and (chunk := body.read(SMALL + 1 - len(read))):
            read += chunk
    return read


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')
