"""Fetch the model's file from the cache, a volume, S3 or openai-whisper's own download.

Its digest is checked before the file is opened.
"""

import contextlib
import errno
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transcription_api import reasons
from transcription_api.report import ModelUsed
from transcription_api.spec import DEFAULT_MODEL, Model, S3Object

from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket, ObjectInfo
from transcription_worker.storage.roles import Role

log = logging.getLogger(__name__)


def fetch_model(model: Model, paths: Paths) -> ModelFile:
    """Return the checkpoint's file, fetched if it is not in the cache.

    Raises:
        WorkerError: ModelNotFound, ModelDigestMismatch, or the reason for which S3 or the download failed.
    """
    path, digest = _fetch(model, paths)
    if model.sha256 is not None and digest != model.sha256.lower():
        message = f"spec.model.sha256: got {model.sha256}, but the file {model.display_name!r} has {digest}"
        raise WorkerError(reasons.MODEL_DIGEST_MISMATCH, message)
    return ModelFile(path, ModelUsed(model.display_name, f"sha256:{digest}"))


def _fetch(model: Model, paths: Paths) -> tuple[Path, str]:
    """Return the file and its SHA-256 digest, which takes seconds for a large file and so is computed once."""
    if model.volume is not None:
        path = _in_volume(model.volume.path, paths)
        return path, sha256_of(path)
    if model.s3 is not None:
        return _from_s3(model.s3, model.sha256, paths)
    return fetch_named(model.name or DEFAULT_MODEL, paths.model_cache / "openai")


def _in_volume(path: str, paths: Paths) -> Path:
    root = paths.model_volume.resolve()
    found = (root / path.lstrip("/")).resolve()
    if not found.is_relative_to(root) or not found.is_file():
        raise WorkerError(
            reasons.MODEL_NOT_FOUND, f"spec.model.volume.path: got {path!r}, expected a file in the volume"
        )
    return found


def fetch_named(name: str, folder: Path) -> tuple[Path, str]:
    """Return the file of one of openai-whisper's models and its SHA-256 digest.

    It is downloaded into the folder unless the folder already has it.

    Raises:
        WorkerError: ModelNotFound, EndpointUnreachable.
    """
    # This imports torch, which takes seconds; models from a volume or S3 are fetched without it.
    from transcription_worker.engines.checkpoints import weights

    known = weights.file_of(name)
    cached = folder / known.file_name
    if cached.is_file() and sha256_of(cached) == known.sha256:
        log.info("model %s is in the cache", name)
        return cached, known.sha256
    with _into_cache(cached) as partial:
        # Checks the digest too.
        weights.download(name, partial).rename(partial / "done")
    return cached, known.sha256


def _from_s3(model: S3Object, sha256: str | None, paths: Paths) -> tuple[Path, str]:
    """Return an S3 object's file and its SHA-256 digest, downloaded if it is not in the cache.

    With the digest given the cache is searched at once; without it S3 is first asked for the object's ETag.
    """
    if sha256 is not None:
        cached = paths.model_cache / "sha256" / sha256.lower()
        if cached.is_file() and sha256_of(cached) == sha256.lower():
            log.info("model %s is in the cache", model.key)
            return cached, sha256.lower()
    bucket = Bucket(model, Role.MODEL, paths)
    found = bucket.find(model.key)
    if sha256 is None:
        cached = paths.model_cache / "s3" / _cache_name(model, found)
        if cached.is_file():
            log.info("model %s is in the cache", model.key)
            return cached, sha256_of(cached)
    with _into_cache(cached) as folder:
        digest = bucket.download(model.key, found, folder / "done")
        # Raise before the file takes its name in the cache, so that a wrong file is never found under a digest.
        if sha256 is not None and digest != sha256.lower():
            message = f"spec.model.sha256: got {sha256}, but the object {model.key!r} has {digest}"
            raise WorkerError(reasons.MODEL_DIGEST_MISMATCH, message)
    return cached, digest


def _cache_name(model: S3Object, found: ObjectInfo) -> str:
    parts = "\n".join((model.endpoint_url or "", model.bucket, model.key, found.etag, str(found.size)))
    return hashlib.sha256(parts.encode()).hexdigest()


@contextlib.contextmanager
def _into_cache(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target. At the end its file `done` is renamed to the target in one step.

    Two pods of one node may do this at the same time: each renames a complete file, and the last one stays.

    Raises:
        WorkerError: ModelCacheNotWritable.
    """
    with _partial_folder(target.parent) as folder:
        yield Path(folder)
        (Path(folder) / "done").replace(target)


def _partial_folder(cache: Path) -> "tempfile.TemporaryDirectory[str]":
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".partial-", dir=cache)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        words = f"user {os.getuid()} with the groups {sorted({os.getgid(), *os.getgroups()})}"
        message = f"spec.model.cache: {words} cannot write to {cache}: {error.strerror}"
        raise WorkerError(reasons.MODEL_CACHE_NOT_WRITABLE, message) from error


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 digest in hex, without reading all of the file into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
