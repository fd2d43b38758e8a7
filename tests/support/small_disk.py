"""A disk of a given size, so that tests can fill it."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# Mounts in namespaces of its own, where everybody may, and waits until its input ends.
MOUNT_APART = 'mount -t tmpfs -o "$0" none "$1" && echo mounted && read -r'


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Mount a file system of that size for as long as the block lasts, and yield where it is.

    It is on a new folder if the tests run as root with all rights. Otherwise a process with namespaces of its own mounts it
    there, and it is reached by that process's view of the files.
    """
    folder.mkdir()
    options = f"size={kibibytes}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        with _mounted_apart(folder, options) as disk:
            yield disk
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def _mounted_apart(folder: Path, options: str) -> Iterator[Path]:
    command = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", MOUNT_APART, options, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "mounted\n":
            pytest.skip(f"no file system can be mounted here: {process.stderr.read().strip()}")
        yield Path(f"/proc/{process.pid}/root{folder}")
