"""Access one bucket of the task, with reads that resume and writes that are checked.

Errors of S3 are raised as WorkerError, and errors of the local disk as OSError.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore.exceptions import ClientError, FlexibleChecksumError, IncompleteReadError
from transcription_api import reasons
from transcription_api.spec import S3Endpoint

from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.retry import Backoff, call_with_retries
from transcription_worker.storage import s3_errors
from transcription_worker.storage.bodies import read_small
from transcription_worker.storage.bulk_delete import delete_objects, pages
from transcription_worker.storage.checksums import DownloadDigest, checksum_of
from transcription_worker.storage.client import Credentials, make_client, read_credentials
from transcription_worker.storage.etags import bare
from transcription_worker.storage.object_listing import ListedObject, list_objects
from transcription_worker.storage.roles import Role

T = TypeVar("T")

log = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes that are read at a time
SMALL = 1 << 20  # bytes of the largest object that is kept in memory; a report has less than a tenth of it
# How often an object is downloaded whose bytes are not those that its checksum stands for.
DOWNLOADS_OF_WRONG_BYTES = 3


@dataclass(frozen=True)
class ObjectInfo:
    """An object as it is now. `etag` has no quotes, `size` is in bytes."""

    etag: str
    size: int


class Bucket:
    """Reads and writes objects of the bucket that an endpoint names.

    `check_writes` is false where somebody looks for every written object later; each is verified by its checksum in any case.
    """

    def __init__(self, endpoint: S3Endpoint, role: Role, paths: Paths, check_writes: bool = True) -> None:
        self._check_writes = check_writes
        self._endpoint = endpoint
        self._role = role
        self._paths = paths
        self._credentials: Credentials = read_credentials(endpoint, role, paths)
        self._checksums = True
        self._client = self._call("make a client", "", self._make_client)
        self._knows_conditions = True  # of writes

    def find(self, key: str) -> ObjectInfo:
        """Return the object's size and ETag, by a GET of its first byte.

        A HEAD is not enough: its response has no body, and so no error code that says why the object was refused.
        """
        try:
            answer = self._call(f"find {key!r}", key, lambda: self._get(key, Range="bytes=0-0"))
        except _EmptyObjectError:
            return self.head(key)
        answer["Body"].close()
        size = answer.get("ContentRange", "").rpartition("/")[2]
        return self._info(answer, key, int(size) if size.isdigit() else int(answer["ContentLength"]))

    def head(self, key: str) -> ObjectInfo:
        """Return the object's size and ETag, by HEAD."""
        answer = self._call(f"check {key!r}", key, lambda: self._head(key))
        return self._info(answer, key, int(answer["ContentLength"]))

    def _head(self, key: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.head_object(**self._name(key))
        except ClientError as error:
            if s3_errors.code_of(error)[1] in s3_errors.UNEXPLAINED_BY_HEAD:
                self._explain(key)
            raise
        return answer

    def _explain(self, key: str) -> None:
        """Raise the error of a GET, which says why a HEAD was refused, if it is refused too."""
        with contextlib.suppress(_EmptyObjectError):
            self._get(key, Range="bytes=0-0")["Body"].close()

    def _info(self, answer: dict[str, Any], key: str, size: int) -> ObjectInfo:
        etag = answer.get("ETag")
        if not etag:
            words = "the answer names no ETag, so it is not S3's: check endpointURL, and what else answers there"
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{self._role.value}: {key!r}: {words}")
        return ObjectInfo(bare(etag), size)

    def list(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        """List the objects whose keys start with `prefix` and come after another key, in order: a request for each 1,000."""

        def page_of(options: dict[str, str]) -> dict[str, Any]:
            name = {"Bucket": self._endpoint.bucket, "Prefix": prefix}
            operation = "list_objects" if "Marker" in options else "list_objects_v2"
            return self._call(f"list {prefix!r}", prefix, lambda: getattr(self._client, operation)(**name, **options))

        return list_objects(page_of, f"{self._role.value}: {prefix!r} in bucket {self._endpoint.bucket!r}", after)

    def read_range(self, key: str, begin: int, count: int, etag: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read at most `count` bytes from `begin`, of the object of that ETag alone if one is given.

        An object that ends before `begin` gives no bytes.

        Raises:
            WorkerError: SourceChanged for another ETag, NoSuchKey and so on.
        """

        def get() -> tuple[bytes, ObjectInfo]:
            part = f"bytes={begin}-{begin + count - 1}"
            answer = self._get_same(key, etag, Range=part) if etag else self._get(key, Range=part)
            with contextlib.closing(answer["Body"]) as body:
                size = answer.get("ContentRange", "").rpartition("/")[2]
                read = body.read(count)
            return read, self._info(answer, key, int(size) if size.isdigit() else begin + len(read))

        try:
            return self._call(f"read {key!r}", key, get)
        except _EmptyObjectError:
            return b"", self.head(key)

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Read a small object, of at most SMALL bytes, or of a larger one a byte more.

        Returns:
            The bytes, and the object's ETag without quotes, or None if the server names none.
        """

        def get() -> tuple[bytes, str | None]:
            answer = self._get(key)
            return read_small(answer, SMALL), bare(answer["ETag"]) if answer.get("ETag") else None

        return self._call(f"read {key!r}", key, get)

    def download(self, key: str, found: ObjectInfo, path: Path) -> str:
        """Download the object that `find` returned into a file, and return its SHA-256 digest in hex.

        Raises:
            WorkerError: SourceChanged, if another object has taken its place, or the reason for which S3 refused.
            OSError: the file cannot be written.
        """
        backoff = Backoff(f"read {key!r}")
        digest, wrong = DownloadDigest(), 0
        with path.open("wb") as file:
            while True:
                try:
                    while file.tell() < found.size:
                        self._read_on(key, found, file, digest, backoff)
                    digest.require_announced()
                    return digest.sha256
                except FlexibleChecksumError as error:
                    wrong += 1
                    if wrong == DOWNLOADS_OF_WRONG_BYTES:
                        raise self._known(error, key) from error
                    log.warning("read %r: %s; it is read again from its beginning", key, error)
                    file.truncate(file.seek(0))
                    digest.restart()
                except (*s3_errors.CONNECTION, ClientError, _EmptyObjectError) as error:
                    self._wait(error, backoff, key)

    def _read_on(self, key: str, found: ObjectInfo, file: BinaryIO, digest: DownloadDigest, backoff: Backoff) -> None:
        """Append the rest of the object to the file, so that a download that broke off resumes where it was.

        The first request names no range: a part of an object comes without a checksum.
        """
        begin = file.tell()
        answer = self._get_same(key, found.etag, **({"Range": f"bytes={begin}-"} if begin else {}))
        # The body itself is not used as a context manager: that would be the stream beneath, which checks no checksum.
        with contextlib.closing(answer["Body"]) as body:
            self._require_rest(answer, begin)
            if begin == 0:
                digest.expect(answer)
            # The end of a range is not read: boto3 would compare there with a checksum that some servers send of the whole object.
            while (begin == 0 or file.tell() < found.size) and (chunk := body.read(CHUNK)):
                file.write(chunk)
                digest.update(chunk)
                backoff.reset()
        if file.tell() == begin:  # an answer of no bytes would be asked for again and again at once
            raise IncompleteReadError(actual_bytes=begin, expected_bytes=found.size)

    def _require_rest(self, answer: dict[str, Any], begin: int) -> None:
        if begin > 0 and not answer.get("ContentRange", "").startswith(f"bytes {begin}-"):
            raise WorkerError(
                reasons.ENDPOINT_UNREACHABLE, f"{self._role.value}.endpointURL: the endpoint does not honour ranges"
            )

    def _wait(self, error: Exception, backoff: Backoff, key: str) -> None:
        why = self._transient(error)
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
        return self._check_written(key, body, self.put(key, body, content_type))

    def put(self, key: str, body: bytes, content_type: str) -> dict[str, Any]:
        """Put an object with a checksum that the server verifies, and return the server's answer."""
        return self._call(f"write {key!r}", key, lambda: self._put(key, body, content_type))

    def _check_written(self, key: str, body: bytes, put: dict[str, Any]) -> ObjectInfo:
        written = self._info(put, key, len(body))
        if not self._check_writes or (found := self._find_written(key)) == written:
            return written
        words = f"wrote {written.size} bytes with ETag {written.etag}, found {found.size} bytes with {found.etag}"
        raise WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{self._role.value}: {key!r}: {words}")

    def _find_written(self, key: str) -> ObjectInfo:
        try:
            return self.head(key)
        except WorkerError as error:
            if error.reason is not self._role.no_such_key:
                raise
            words = f"{self._role.value}: {key!r} was written and is gone: something else deletes it"
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, words) from error

    def replace(self, key: str, body: bytes, content_type: str, etag: str | None) -> ObjectInfo | None:
        """Write an object, as `write` does, only if the key holds the object of that ETag now, or nothing for None.

        Servers that know no conditional writes write in any case: RFC 9110, 13.1, S3 since 2024.

        Returns:
            None if the key holds another object; nothing is written then.
        """
        if not self._knows_conditions:
            return self.write(key, body, content_type)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            put = self._call(f"write {key!r}", key, lambda: self._put(key, body, content_type, **condition))
        except WorkerError as error:
            cause = error.__cause__
            code = s3_errors.code_of(cause)[0] if isinstance(cause, ClientError) else ""
            if code in s3_errors.NO_CONDITIONS:
                self._knows_conditions = False
                return self.write(key, body, content_type)
            if code in s3_errors.CONDITION_FAILED:
                return None
            raise
        return self._check_written(key, body, put)

    def delete(self, key: str) -> None:
        self._call(f"delete {key!r}", key, lambda: self._client.delete_object(**self._name(key)))

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete objects, also those that are gone already: see `bulk_delete.delete_objects`."""
        for page in pages(keys):
            what = f"delete {len(page)} objects from {page[0]!r} on"
            self._call(what, page[0], partial(self._delete_page, page))

    def _delete_page(self, page: Sequence[str]) -> None:
        delete_objects(self._client, self._endpoint.bucket, page)

    def _put(self, key: str, body: bytes, content_type: str, **condition: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.put_object(
            **self._name(key), Body=body, ContentType=content_type, **checksum_of(body, self._checksums), **condition
        )
        return answer

    def _get(self, key: str, **options: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_object(**self._name(key), **options)
        except ClientError as error:
            if s3_errors.code_of(error)[0] in s3_errors.OUT_OF_RANGE:
                raise _EmptyObjectError from error
            raise
        return answer

    def _get_same(self, key: str, etag: str, **options: str) -> dict[str, Any]:
        """GET the object of that ETag.

        A weak ETag, which a proxy that compresses makes of another on its way, is never equal to itself in a condition (RFC
        9110, 13.1.1), and some servers ignore conditions. So the ETag of the answer decides.

        Raises:
            WorkerError: SourceChanged.
        """
        try:
            answer = self._get(key, IfMatch=f'"{etag}"', **options)
        except ClientError as error:
            if s3_errors.code_of(error)[0] not in s3_errors.CHANGED:
                raise
            answer = self._get(key, **options)
        if answer.get("ETag") and bare(answer["ETag"]) != etag:
            answer["Body"].close()
            raise WorkerError(reasons.SOURCE_CHANGED, f"{self._role.value}: {key!r} was replaced while it was read")
        return answer

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self._endpoint.bucket, "Key": key}

    def _call(self, what: str, key: str, operation: Callable[[], T]) -> T:
        try:
            return call_with_retries(f"{self._role.value}: {what}", operation, self._transient)
        except (WorkerError, _EmptyObjectError):
            raise
        except Exception as error:
            raise self._known(error, key) from error

    def _transient(self, error: Exception) -> str | None:
        """Say why a retry may succeed: with credentials that the kubelet has renewed since, or without checksums in headers."""
        code = s3_errors.code_of(error)[0] if isinstance(error, ClientError) else ""
        if code in s3_errors.CREDENTIALS | s3_errors.EXPIRED and self._reload_credentials():
            return f"S3 answered {code}, and the Secret has changed since it was read"
        if s3_errors.refuses_checksums(error):
            self._checksums = False
            self._client = self._make_client()
            return f"S3 answered {code}, and is asked without checksums in headers"
        return s3_errors.transient(error)

    def _make_client(self) -> Any:
        return make_client(self._endpoint, self._role, self._credentials, self._paths, self._checksums)

    def _reload_credentials(self) -> bool:
        found = read_credentials(self._endpoint, self._role, self._paths)
        if found == self._credentials:
            return False
        self._credentials = found
        self._client = self._make_client()
        return True

    def _known(self, error: Exception, key: str) -> Exception:
        if isinstance(error, WorkerError) or s3_errors.is_local(error):
            return error
        if isinstance(error, _EmptyObjectError):
            return WorkerError(reasons.SOURCE_CHANGED, f"{self._role.value}: {key!r} became shorter while it was read")
        return s3_errors.worker_error(error, self._role, self._endpoint, key)


class _EmptyObjectError(Exception):
    """Says that a range was requested that lies outside the object."""
