"""Write result files so that none is ever seen half written, whatever else writes to the same folders."""

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# The bytes of a path with its final zero: limits.h. pathconf counts from a folder and says nothing of the whole path.
PATH_MAX = 4096


def write_results(results: Mapping[Path, bytes]) -> None:
    """Write all files beside their places, then rename all of them in order, so that no file is ever half written.

    Several runs may write to one folder. Results that two of them give the same names are of one run alone: the last.

    Raises:
        OSError: there is no space, or no right to write.
    """
    partials: dict[Path, Path] = {}
    try:
        for path, body in results.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            partials[path] = partial_path(path.parent)
            _write_new(partials[path], body)
        with _locked({path.parent for path in results}):
            _require_no_folders(results)
            for path, partial in partials.items():
                partial.replace(path)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def partial_path(folder: Path) -> Path:
    """Return a new name. Numbers of processes and threads are the same in two containers, so that they cannot be part of it."""
    return folder / f".transcription-{uuid.uuid4().hex}.partial"


def _write_new(path: Path, body: bytes) -> None:
    """Write a file that must not be there yet, down to the disk: a renamed file may be empty after a power failure else."""
    with path.open("xb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _require_no_folders(paths: Iterable[Path]) -> None:
    """Refuse a folder in the place of a result before any other result is replaced."""
    for path in paths:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


@contextlib.contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other runs from renaming their results in these folders meanwhile, where the file system has locks."""
    with contextlib.ExitStack() as opened:
        for folder in sorted(folders):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, descriptor)
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def require_writable(results: Iterable[Path]) -> None:
    """Make sure that files of these names can be made, as far as that can be known without making them.

    Raises:
        OSError: ENAMETOOLONG, EISDIR, ENOTDIR, EACCES or EROFS.
    """
    paths = list(results)
    _require_no_folders(paths)
    for path in paths:
        there = next(parent for parent in path.parents if parent.exists())
        _require_short(path, there)
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
        if not os.access(there, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(number, os.strerror(number), str(there))


def _require_short(path: Path, there: Path) -> None:
    """Compare the names that are made below a folder which is there with what its file system can hold, in bytes."""
    most = os.pathconf(there, "PC_NAME_MAX")
    longest = max(len(os.fsencode(name)) for name in path.relative_to(there).parts)
    if longest > most:
        words = f"{os.strerror(errno.ENAMETOOLONG)}, {longest} bytes, expected at most {most}"
        raise OSError(errno.ENAMETOOLONG, words, str(path))
    if max(len(os.fsencode(one.absolute())) for one in (path, partial_path(path.parent))) >= PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
