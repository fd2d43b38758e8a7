"""helm, as a user calls it."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

from hack.crd.resource import ROOT

CHART = ROOT / "helm/transcription-operator"
RELEASE = "transcription-operator"
NAMESPACE = "transcription-system"
# Every value set to something else than its default.
FULL = Path(__file__).with_name("full.yaml")


@cache
def binary() -> Path:
    """The pinned helm, built on first use."""
    command = [str(ROOT / "hack/cluster/binaries"), "helm"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.split()[-1]) / "helm"


class Helm:
    """helm on one kubeconfig, or on none for what needs no cluster."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        self._options = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []

    def __call__(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(binary()), *args, *self._options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def template(self, *options: str) -> str:
        """All manifests of the chart."""
        return self("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *options).stdout


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm()
