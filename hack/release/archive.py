"""Find the archive of the last release, and unpack it."""

import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "tests/data/last_release.tar.xz"
VERSIONS = ROOT / "hack/versions.env"
# What an upgrade replaces, and of the worker what it has in common with the operator.
CONTENTS = ("api/transcription_api", "operator/transcription_operator", "crds", "helm/transcription-operator")


def last_release() -> str:
    """Return the commit of the last release.

    Raises:
        StopIteration: hack/versions.env does not name it.
    """
    lines = VERSIONS.read_text().splitlines()
    return next(line.removeprefix("LAST_RELEASE=") for line in lines if line.startswith("LAST_RELEASE="))


def unpack(folder: Path) -> None:
    """Unpack the archive below a folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
