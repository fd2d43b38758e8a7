"""Keep files that take long to make in the project's cache folder."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def project_cache() -> Path:
    """Return the folder that tests, the demo and the test cluster keep their files in."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "transcription-operator"


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a file: it appears complete or not at all, even if several processes make it at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
        partial = Path(folder) / target.name
        write(partial)
        if partial.is_file():
            partial.chmod(0o644)  # a container reads it as another user
        partial.replace(target)
