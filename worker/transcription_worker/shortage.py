"""Failures for what the worker's own machine lacks: disk, open files, processes or memory. They say nothing of the input."""

import errno
import logging
import os
import resource
from pathlib import Path

from transcription_api import reasons

from transcription_worker.errors import WorkerError

log = logging.getLogger(__name__)

# A soft limit of 1,024 is usual, for the sake of programs that call select(); each file under way takes a few descriptors.
MOST_OPEN_FILES = 65_536

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What is short by errno. fork fails with EAGAIN at the limit of processes. The system's words for ENFILE begin with those for
# EMFILE, so that it comes first where words are searched.
EXHAUSTED = {
    errno.ENFILE: "the node has as many open files as it may have",
    errno.EMFILE: "the process has as many open files as it may have",
    errno.EAGAIN: "no more processes or threads may be started",
}
# Words of CPython where a thread cannot be started: https://github.com/python/cpython/blob/main/Modules/_threadmodule.c
NO_THREAD = "can't start new thread"


def shortage(error: BaseException, scratch: Path | None = None) -> WorkerError | None:
    """Return the failure if the error says that the machine lacks something, with the file that it names; else None.

    Any other error about a file in the folder `scratch`, where only the worker's own files are, is one of that folder.
    """
    if isinstance(error, MemoryError):
        return WorkerError(reasons.OUT_OF_MEMORY, "the pod's memory is not enough")
    if isinstance(error, RuntimeError) and NO_THREAD in str(error):
        return WorkerError(reasons.RESOURCES_EXHAUSTED, EXHAUSTED[errno.EAGAIN])
    if not isinstance(error, OSError):
        return None
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    where = f"{name}: " if name else ""
    if error.errno in NO_SPACE:
        return WorkerError(reasons.NO_SPACE_LEFT, f"{name or scratch or 'a disk'}: no space left")
    if error.errno == errno.ENOMEM:
        return WorkerError(reasons.OUT_OF_MEMORY, f"{where}the pod's memory is not enough")
    if error.errno in EXHAUSTED:
        return WorkerError(reasons.RESOURCES_EXHAUSTED, f"{where}{EXHAUSTED[error.errno]}")
    if name and scratch is not None and Path(name).is_relative_to(scratch):
        return WorkerError(reasons.SCRATCH_NOT_WRITABLE, f"{where}{error.strerror}")
    return None


def failure_of(error: Exception, scratch: Path | None = None) -> WorkerError:
    """Return the error as a failure: itself, what the machine lacks, or InternalError, whose traceback goes to the log."""
    known = error if isinstance(error, WorkerError) else shortage(error, scratch)
    if known is not None:
        return known
    # The exception's own words may hold data.
    log.error("%s", reasons.INTERNAL_ERROR.name, exc_info=error)
    return WorkerError(reasons.INTERNAL_ERROR, f"unexpected {type(error).__name__}")


def passing_shortage(error: Exception) -> str | None:
    """Return what is short if it is there again once other inputs are done, else None."""
    known = error if isinstance(error, WorkerError) else shortage(error)
    return known.message if known is not None and known.reason is reasons.RESOURCES_EXHAUSTED else None


def allow_open_files() -> None:
    """Raise the soft limit of open files to the hard one, or to MOST_OPEN_FILES if that is less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
