"""The protocol of a source: where inputs come from, what they are called and how their bytes are had."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar


class SourceInput(Protocol):
    """One media file of a source."""

    @property
    def name(self) -> str:
        """The name in log lines and messages: the key of an object, or a path."""
        ...


InputT = TypeVar("InputT", bound=SourceInput)


@dataclass(frozen=True)
class InputVersion:
    """The input as it is now.

    `etag` tells a replaced object from the one before; it is None for a source that has none. `download_bytes` is what
    fetching takes of the scratch folder: 0 for a file that is read where it lies. `media_bytes` is the file's size, None where
    the source does not tell.
    """

    etag: str | None = None
    download_bytes: int = 0
    media_bytes: int | None = None


class Source(Protocol[InputT]):
    """Lists inputs and opens them. `stat` and `fetch` are called from several threads at once."""

    def inputs(self) -> Iterable[InputT]:
        """List the inputs, in the order in which they are to be transcribed. The list is read as work goes on."""
        ...

    def stat(self, item: InputT) -> InputVersion:
        """Look the input up.

        Raises:
            WorkerError: it is missing, may not be read or is empty. The other inputs go on.
        """
        ...

    def fetch(self, item: InputT, version: InputVersion, folder: Path) -> AbstractContextManager[Path]:
        """Give the input's file. What was downloaded to `folder` for it is deleted at the end of the block.

        Raises:
            WorkerError: it cannot be read, or is no longer of that version.
        """
        ...
