"""An apiserver with the CRD, and kubectl on it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.controlplane import binaries, control_plane

from hack.docs.reference import CRD

# Lines of kubectl's output that tests look at.
Done = subprocess.CompletedProcess[str]


class Kubectl:
    """kubectl as an administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(binaries() / "kubectl"), "--kubeconfig", str(kubeconfig)]

    def __call__(self, *args: str, given: object = None, check: bool = True) -> Done:
        """One command; `given` is a manifest on its standard input."""
        text = given if isinstance(given, str) else yaml.safe_dump(given)
        done = subprocess.run([*self._command, *args], input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def create(self, manifest: object) -> dict[str, Any]:
        """The object as the apiserver stored it."""
        created: dict[str, Any] = json.loads(self("create", "-f", "-", "-o", "json", given=manifest).stdout)
        return created


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """On an apiserver of the session's own that serves TranscriptionJobs."""
    with control_plane() as kubeconfig:
        kubectl = Kubectl(kubeconfig)
        kubectl("apply", "--server-side", "-f", str(CRD))
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
        yield kubectl
