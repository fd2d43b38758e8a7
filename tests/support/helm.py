"""Run helm in the way a user does."""

import subprocess
from pathlib import Path

from tests.support.binaries import binaries
from tests.support.repository import CHART

RELEASE = "transcription-operator"
NAMESPACE = "transcription-system"


class Helm:
    """Runs helm with a kubeconfig, or without one for commands that need no cluster."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        self._options = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []

    def __call__(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command. With `check`, an exit status other than 0 raises an AssertionError with helm's output."""
        command = [str(binaries("helm") / "helm"), *args, *self._options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def template(self, *options: str, namespace: str = NAMESPACE, chart: Path = CHART) -> str:
        """Return all manifests of the chart."""
        return self("template", RELEASE, str(chart), "--namespace", namespace, *options).stdout
