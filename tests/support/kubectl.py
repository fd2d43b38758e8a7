"""Run kubectl on a control plane, as an administrator or as another user whom the apiserver may refuse."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.binaries import binaries

Done = subprocess.CompletedProcess[str]


class Kubectl:
    """Runs kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._command = [str(binaries("kubectl") / "kubectl"), "--kubeconfig", str(kubeconfig)]

    def __call__(self, *args: str, given: object = None, check: bool = True) -> Done:
        """Run one command; `given` is a manifest for its standard input."""
        text = given if isinstance(given, str) else yaml.safe_dump(given)
        done = subprocess.run([*self._command, *args], input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def create(self, manifest: object) -> dict[str, Any]:
        """Create an object and return it as the apiserver stored it."""
        created: dict[str, Any] = json.loads(self("create", "-f", "-", "-o", "json", given=manifest).stdout)
        return created
