"""Fetch the model's file from the cache, a volume, S3 or openai-whisper's own download.

Its digest is checked before the file is opened.
"""

import hashlib
import logging
from pathlib import Path

from transcription_api import reasons
from transcription_api.report import ModelUsed
from transcription_api.spec import DEFAULT_MODEL, Model, S3Object

from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.checkpoints.published import file_of
from transcription_worker.errors import WorkerError
from transcription_worker.model_cache import ModelCache, sha256_of
from transcription_worker.model_download import download_model
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket, ObjectInfo
from transcription_worker.storage.roles import Role

log = logging.getLogger(__name__)


def fetch_model(model: Model, paths: Paths, namespace: str) -> ModelFile:
    """Return the checkpoint's file, fetched if it is not in the cache. `namespace` is the resource's.

    Raises:
        WorkerError: ModelNotFound, ModelDigestMismatch, or the reason for which S3 or the download failed.
    """
    path, digest = _fetch(model, paths, namespace)
    if model.sha256 is not None and digest != model.sha256.lower():
        message = f"spec.model.sha256: got {model.sha256}, but the file {model.display_name!r} has {digest}"
        raise WorkerError(reasons.MODEL_DIGEST_MISMATCH, message)
    return ModelFile(path, ModelUsed(model.display_name, f"sha256:{digest}"))


def _fetch(model: Model, paths: Paths, namespace: str) -> tuple[Path, str]:
    """Return the file and its SHA-256 digest, which takes seconds for a large file and so is computed once."""
    if model.volume is not None:
        path = _in_volume(model.volume.path, paths)
        return path, sha256_of(path)
    if model.s3 is not None:
        return _from_s3(model.s3, model.sha256, paths, namespace)
    return fetch_named(model.name or DEFAULT_MODEL, ModelCache(paths.model_cache / "openai"))


def find_model_version(model: Model, paths: Paths) -> str:
    """Return what tells one model from another behind the same name, key or path, without a download.

    It is `sha256:` and the digest where that is known or the file is at hand, else `etag:` with the ETag of the S3 object.

    Raises:
        WorkerError: ModelNotFound, or the reason for which S3 refused.
    """
    if model.volume is not None:
        return f"sha256:{sha256_of(_in_volume(model.volume.path, paths))}"
    if model.sha256 is not None:
        return f"sha256:{model.sha256.lower()}"
    if model.s3 is not None:
        found = Bucket(model.s3, Role.MODEL, paths).find(model.s3.key)
        return f"etag:{found.etag}"
    return f"sha256:{file_of(model.name or DEFAULT_MODEL).sha256}"


def _in_volume(path: str, paths: Paths) -> Path:
    root = paths.model_volume.resolve()
    found = (root / path.lstrip("/")).resolve()
    if not found.is_relative_to(root) or not found.is_file():
        raise WorkerError(
            reasons.MODEL_NOT_FOUND, f"spec.model.volume.path: got {path!r}, expected a file in the volume"
        )
    return found


def fetch_named(name: str, cache: ModelCache) -> tuple[Path, str]:
    """Return the file of one of openai-whisper's models and its SHA-256 digest, downloaded unless the cache has it.

    Raises:
        WorkerError: ModelNotFound, EndpointUnreachable, CertificateInvalid.
    """
    known = file_of(name)
    found = cache.find(known.file_name, known.sha256)
    if found is not None:
        log.info("model %s is in the cache", name)
        return found
    with cache.store(known.file_name) as partial:
        download_model(name, known.url, known.sha256, partial)
    return cache.path(known.file_name), known.sha256


def _from_s3(model: S3Object, sha256: str | None, paths: Paths, namespace: str) -> tuple[Path, str]:
    """Return an S3 object's file and its SHA-256 digest, downloaded if it is not in the cache.

    With the digest given the cache is searched at once; without it S3 is first asked for the object's ETag.
    """
    cache = ModelCache(paths.model_cache)
    known = f"sha256/{sha256.lower()}" if sha256 is not None else None
    if known is not None and (cached := cache.find(known, known.rpartition("/")[2])) is not None:
        log.info("model %s is in the cache", model.key)
        return cached
    bucket = Bucket(model, Role.MODEL, paths)
    found = bucket.find(model.key)
    name = known or f"s3/{_cache_name(model, found, namespace)}"
    if known is None and (cached := cache.find(name)) is not None:
        log.info("model %s is in the cache", model.key)
        return cached
    with cache.store(name) as partial:
        digest = bucket.download(model.key, found, partial)
        # Raise before the file takes its name in the cache, so that a wrong file is never found under a digest.
        if sha256 is not None and digest != sha256.lower():
            message = f"spec.model.sha256: got {sha256}, but the object {model.key!r} has {digest}"
            raise WorkerError(reasons.MODEL_DIGEST_MISMATCH, message)
    return cache.path(name), digest


def _cache_name(model: S3Object, found: ObjectInfo, namespace: str) -> str:
    """Name an object whose digest is not known. The same URL may be another server in another namespace."""
    parts = "\n".join((namespace, model.endpoint_url or "", model.bucket, model.key, found.etag, str(found.size)))
    return hashlib.sha256(parts.encode()).hexdigest()
