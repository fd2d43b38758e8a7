"""The seed of a test that draws what it does at random."""

import os
import subprocess

from tests.support.repository import ROOT


def seed_of_run(variable: str) -> str:
    """Return the variable's value, or else the commit's hash, so that each commit has another sample."""
    command = ["git", "rev-parse", "HEAD"]
    found = os.environ.get(variable)
    return found or subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
