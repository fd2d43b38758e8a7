"""Inputs that are files of this machine."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transcription_api import layout, reasons
from transcription_api.spec import Format

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.shortage import shortage


@dataclass(frozen=True)
class LocalFile:
    """One file of media. Its results go to `folder` and are called `stem` with an extension. `size` is in bytes.

    `taken_by` is another file of the run whose results have the very same names, so that this one cannot have any.
    """

    path: Path
    folder: Path
    stem: str
    size: int
    taken_by: Path | None = None

    @property
    def name(self) -> str:
        """The file's path as it was given. It may hold any character but zero: whoever shows it escapes it."""
        return str(self.path)

    def result(self, fmt: Format, channel: int | None = None) -> Path:
        """Return NAME.srt, or NAME.ch0.srt for channel 0 of a file whose channels are transcribed apart."""
        return self.folder / layout.file_name(self.stem, fmt, channel)


class LocalSource:
    """Files that have been found already. They are read where they lie."""

    def __init__(self, files: Sequence[LocalFile]) -> None:
        self._files = files

    def inputs(self) -> Sequence[LocalFile]:
        """See `Source.inputs`."""
        return self._files

    def stat(self, item: LocalFile) -> InputVersion:
        """Make sure that the file can be read. Its version is told by its size and the time of its last change.

        Raises:
            WorkerError: UnsupportedMedia, with the operating system's words; ResourcesExhausted.
        """
        try:
            found = item.path.stat()
            # Whatever else it is, decoding refuses it without opening it.
            if item.path.is_dir():
                os.scandir(item.path).close()
            elif item.path.is_file():
                with item.path.open("rb") as file:
                    file.read(1)
        except OSError as error:
            raise unreadable(error) from error
        return InputVersion(_version(found), media_bytes=found.st_size)

    @contextlib.contextmanager
    def fetch(self, item: LocalFile, version: InputVersion, folder: Path) -> Iterator[Path]:
        """Give the file itself: there is nothing to download.

        Raises:
            WorkerError: SourceChanged, if the file was written to or replaced meanwhile; UnsupportedMedia, if it is gone.
        """
        yield item.path
        require_unchanged(item, version)


def require_unchanged(item: LocalFile, version: InputVersion) -> None:
    """Make sure that the file is the one that was looked up.

    Raises:
        WorkerError: SourceChanged, if it was written to or replaced since then; UnsupportedMedia, if it is gone.
    """
    try:
        now = _version(item.path.stat())
    except OSError as error:
        raise unreadable(error) from error
    if now != version.etag:
        raise WorkerError(reasons.SOURCE_CHANGED, "the file was changed while it was read")


def unreadable(error: OSError) -> WorkerError:
    """Return the failure of a file or folder that cannot be read, with the operating system's words.

    Where the machine lacks descriptors the file is as good as any.
    """
    if (lacking := shortage(error)) is not None:
        return lacking
    return WorkerError(reasons.UNSUPPORTED_MEDIA, f"cannot be read: {error.strerror or type(error).__name__}")


def _version(found: os.stat_result) -> str:
    # Not by its inode: some file systems in user space number a file anew each time.
    return f"{found.st_size}-{found.st_mtime_ns}"
