"""Keep built things between runs, and notice when their inputs change."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS_FILE = HERE.parent / "versions.env"


def cache() -> Path:
    """Return $TRANSCRIPTION_CACHE, or else transcription-operator in the user's cache folder; it is created if absent."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("TRANSCRIPTION_CACHE") or Path(base) / "transcription-operator")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def kubeconfig() -> Path:
    """Return the path of the kind cluster's own kubeconfig; the user's is never touched."""
    return cache() / "kubeconfig"


def log(name: str) -> Path:
    """Return the log file of the stage `name`, in an existing folder."""
    folder = cache() / "logs"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.log"


def parse_versions(text: str) -> dict[str, str]:
    """Parse NAME=VALUE lines. Raises ValueError for a line that is neither that, nor empty, nor a comment."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier() or not value.strip():
            raise ValueError(f"versions.env line {number}: {line!r}, expected NAME=VALUE")
        found[name] = value.strip()
    return found


def versions() -> dict[str, str]:
    return parse_versions(VERSIONS_FILE.read_text())


def key(*inputs: str | bytes | Path) -> str:
    """Return twelve hex digits that change with any input: texts, bytes, or files and folders by name and content."""
    digest = hashlib.sha256()
    for item in inputs:
        for part in _parts(item):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def _parts(item: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(item, str):
        yield item.encode()
    elif isinstance(item, bytes):
        yield item
    elif item.is_dir():
        for path in sorted(p for p in item.rglob("*") if p.is_file()):
            yield str(path.relative_to(item)).encode()
            yield path.read_bytes()
    else:
        yield item.name.encode()
        yield item.read_bytes()


@contextmanager
def lock() -> Iterator[None]:
    """Hold the lock under which one run at a time changes the cache and the cluster; others wait."""
    with (cache() / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            import sys

            print("waiting for another run of hack/cluster to end", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
