"""The audio, from S3 into the scratch folder."""

import errno
import logging
from dataclasses import dataclass
from pathlib import Path

from transcription_api import reasons
from transcription_api.spec import S3Object

from transcription_worker.errors import WorkerError
from transcription_worker.storage.bucket import Bucket, ObjectInfo

log = logging.getLogger(__name__)

# A name of ours: the key is a user's words and never becomes a path.
AUDIO_NAME = "audio"


@dataclass(frozen=True)
class Audio:
    """The object as it was found, and where its bytes are now."""

    path: Path
    etag: str


def find_audio(bucket: Bucket, source: S3Object) -> ObjectInfo:
    """Size and ETag of the source.

    Raises:
        WorkerError: UnsupportedMedia for an object of no bytes, before anything else is done about it.
    """
    found = bucket.find(source.key)
    if found.size == 0:
        raise WorkerError(
            reasons.UNSUPPORTED_MEDIA,
            f"spec.source.s3.key: {source.key!r} is an empty object (0 bytes), expected audio",
        )
    return found


def fetch_audio(bucket: Bucket, source: S3Object, found: ObjectInfo, scratch: Path) -> Audio:
    """The bytes of exactly the object that was found, however often the connection breaks."""
    path = scratch / AUDIO_NAME
    bucket.download(source.key, found, path)
    log.info("fetched %d bytes", found.size)
    return Audio(path, found.etag)


def is_no_space(error: OSError) -> bool:
    """The disk or its quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
