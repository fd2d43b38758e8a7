"""Keep models that were downloaded in a folder that pods share: a node's, a volume claim's, or the pod's own.

Whatever another pod left there is checked before it is used: a file whose digest is not the one that was recorded when it was
downloaded is downloaded again.
"""

import contextlib
import errno
import functools
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.termination import removed_on_interrupt

log = logging.getLogger(__name__)

PARTIAL_PREFIX = ".partial-"
# Seconds without a byte after which an unfinished download is nobody's: its pod was killed and could not clean up.
ABANDONED_SECONDS = 3600.0
# Of the file beside a model that holds its SHA-256 digest in hex.
DIGEST_SUFFIX = ".sha256"


class ModelCache:
    """The models below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str, sha256: str | None = None) -> tuple[Path, str] | None:
        """Return the file of that name and its digest, if it is whole.

        Without a digest it is compared with the one that was recorded when the file was stored.
        """
        path = self.path(name)
        try:
            expected = sha256 or path.with_name(path.name + DIGEST_SUFFIX).read_text().strip()
            found = sha256_of(path)
        except (OSError, UnicodeDecodeError):
            return None
        if found == expected:
            return path, expected
        log.warning("the file %s in the model cache is damaged: it is downloaded again", name)
        return None

    @contextlib.contextmanager
    def store(self, name: str) -> Iterator[Path]:
        """Yield the path that a model is to be written to. At the end it takes its name in the cache in one step.

        Two pods of one node may do this at the same time: each renames a complete file, and the last one stays.

        Raises:
            WorkerError: ModelCacheNotWritable.
        """
        target = self.path(name)
        with _partial_folder(target.parent) as folder, removed_on_interrupt(folder):
            partial = Path(folder) / "model"
            yield partial
            digest = Path(folder) / "digest"
            digest.write_text(sha256_of(partial))
            # The digest comes first: a model is found only with one, and an old model with a new digest counts as damaged.
            digest.replace(target.with_name(target.name + DIGEST_SUFFIX))
            partial.replace(target)

    def path(self, name: str) -> Path:
        """Return where the model of that name lies, or would lie."""
        return self._folder / name


def _partial_folder(cache: Path) -> "tempfile.TemporaryDirectory[str]":
    try:
        cache.mkdir(parents=True, exist_ok=True)
        remove_abandoned(cache)
        return tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=cache)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        words = f"user {os.getuid()} with the groups {sorted({os.getgid(), *os.getgroups()})}"
        message = f"spec.model.cache: {words} cannot write to {cache}: {error.strerror}"
        raise WorkerError(reasons.MODEL_CACHE_NOT_WRITABLE, message) from error


def remove_abandoned(folder: Path, now: float | None = None) -> None:
    """Remove the unfinished downloads of pods that were killed. `now` is a Unix time in seconds."""
    for partial in folder.glob(f"{PARTIAL_PREFIX}*"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
            if (time.time() if now is None else now) - newest > ABANDONED_SECONDS:
                log.info("removing the unfinished download %s", partial.name)
                shutil.rmtree(partial, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 digest in hex. It is computed once for a file that does not change."""
    stat = path.stat()
    return _digest(stat.st_ino, stat.st_size, stat.st_mtime_ns, path)


@functools.lru_cache(maxsize=4)
def _digest(_inode: int, _size: int, _modified: int, path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
