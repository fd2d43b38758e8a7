"""A checkpoint on disk, as it is handed to an engine."""

from dataclasses import dataclass
from pathlib import Path

from transcription_api.report import ModelUsed


@dataclass(frozen=True)
class ModelFile:
    """The file, and how reports name it."""

    path: Path
    used: ModelUsed

    @property
    def sha256(self) -> str:
        """The file's digest in hex."""
        return (self.used.digest or "").removeprefix("sha256:")
