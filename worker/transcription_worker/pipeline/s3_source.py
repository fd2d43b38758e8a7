"""Inputs that are objects in S3."""

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from transcription_api import reasons
from transcription_api.s3 import single
from transcription_api.spec import S3Object, Source, Spec

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket, ObjectInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class S3Input:
    """One object of media."""

    location: S3Object
    # False where it is known that no result of it can be there, so that none is looked for.
    may_have_results: bool = True

    @property
    def name(self) -> str:
        """The object's key."""
        return self.location.key

    @property
    def number(self) -> int:
        """A number that no other object of the run has."""
        return 0

    def own_spec(self, spec: Spec) -> Spec:
        """Return the spec that would transcribe this object alone, to the same results. `spec` is the resource's."""
        return dataclasses.replace(spec, source=Source(single(self.location)))


class S3Source:
    """The one object that `spec.source.s3` names.

    A source that lists several objects of the bucket overrides `inputs` and nothing else.
    """

    def __init__(self, location: S3Object, bucket: Bucket) -> None:
        self._location, self._bucket = location, bucket

    def inputs(self) -> Iterable[S3Input]:
        """See `Source.inputs`."""
        return [S3Input(self._location)]

    def stat(self, item: S3Input) -> InputVersion:
        """Return the ETag and the size of the object.

        Raises:
            WorkerError: NoSuchKey, AccessDenied and so on; UnsupportedMedia for an object of no bytes.
        """
        info = self._bucket.find(item.name)
        if info.size == 0:
            message = f"spec.source.s3.key: {item.name!r} is an empty object (0 bytes), expected audio"
            raise WorkerError(reasons.UNSUPPORTED_MEDIA, message)
        return InputVersion(info.etag, info.size, info.size)

    def fetch(self, item: S3Input, version: InputVersion, folder: Path) -> AbstractContextManager[Path]:
        """See `fetch_object`."""
        return fetch_object(self._bucket, item.name, version, folder)


@contextlib.contextmanager
def fetch_object(bucket: Bucket, key: str, version: InputVersion, folder: Path) -> Iterator[Path]:
    """Download the object of exactly that ETag, however often the connection breaks.

    Raises:
        WorkerError: SourceChanged, EndpointUnreachable and so on.
    """
    # The file has a name of ours: a key holds a user's words and never becomes a path.
    with tempfile.TemporaryDirectory(prefix="audio-", dir=folder) as own:
        path = Path(own) / "audio"
        bucket.download(key, ObjectInfo(version.etag or "", version.download_bytes), path)
        log.info("fetched %d bytes", version.download_bytes)
        yield path
