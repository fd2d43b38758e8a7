"""Provide the binaries that tests run, at the versions in hack/versions.env."""

import subprocess
from functools import cache
from pathlib import Path

from tests.support.repository import ROOT


@cache
def binaries(*names: str) -> Path:
    """Return the folder that holds these binaries; any that are missing are built first."""
    command = [str(ROOT / "hack/cluster/binaries"), *names]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.split()[-1])
