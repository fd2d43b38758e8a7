"""Provide an apiserver with the CRD, and kubectl on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import control_plane
from tests.support.kubectl import Kubectl


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield kubectl on an apiserver that serves TranscriptionJobs for the whole test session."""
    folder: Path = tmp_path_factory.mktemp("control-plane")
    with control_plane(folder) as plane:
        yield Kubectl(plane.kubeconfig)
