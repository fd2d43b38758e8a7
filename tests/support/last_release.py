"""Run the code of the last release beside the present one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from transcription_api.report import Report, encode_report

from hack.release.archive import unpack

_ENCODE_REPORT = """
import json, sys
from transcription_api.codec import from_json
from transcription_api.report import Report, encode_report
print(encode_report(from_json(Report, json.load(sys.stdin))).decode(), end="")
"""


@dataclass(frozen=True)
class Release:
    """The last release, unpacked in a folder. Its code runs in processes of its own, with the packages of the tests."""

    folder: Path

    @property
    def crd(self) -> Path:
        return self.folder / "crds/transcriptionjobs.transcription.dev.yaml"

    @property
    def chart(self) -> Path:
        return self.folder / "helm/transcription-operator"

    @property
    def environment(self) -> dict[str, str]:
        """What makes Python import the release's api and operator in place of the present ones."""
        return {"PYTHONPATH": f"{self.folder / 'api'}:{self.folder / 'operator'}"}

    def encode_report(self, report: Report) -> str:
        """Return the termination message of the release's worker."""
        return self.run(_ENCODE_REPORT, encode_report(report).decode())

    def run(self, program: str, given: str = "") -> str:
        """Run a program in Python, with `given` on its standard input, and return what it prints."""
        command = [sys.executable, "-c", program]
        environment = os.environ | self.environment
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


def last_release(folder: Path) -> Release:
    """Unpack the last release."""
    unpack(folder)
    return Release(folder)
