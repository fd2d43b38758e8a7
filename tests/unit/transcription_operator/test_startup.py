"""The operator ends when it is told to, as the first process of a container."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.controlplane import free_ports

SECONDS = 30


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Return a kubeconfig of an API server that refuses connections."""
    [port] = free_ports(1)
    cluster = {"name": "away", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "away", "context": {"cluster": "away", "user": "nobody"}}
    users = [{"name": "nobody", "user": {"token": "none"}}]
    kind = {"apiVersion": "v1", "kind": "Config", "current-context": "away"}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kind | {"clusters": [cluster], "contexts": [context], "users": users}))
    return path


def test_sigterm_ends_an_operator_that_waits_for_the_apiserver(kubeconfig: Path, tmp_path: Path) -> None:
    settings = {"WORKER_IMAGE": "worker:test", "HTTP_PORT": str(free_ports(1)[0])}
    environment = os.environ | {f"TRANSCRIPTION_{name}": value for name, value in settings.items()}
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "transcription_operator"],
            env=environment | {"KUBECONFIG": str(kubeconfig)},
            stdout=output,
            stderr=output,
        ) as operator,
    ):
        deadline = time.monotonic() + SECONDS
        while "waiting for the CRD" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        operator.terminate()
        # By the signal's default, which a container's first process does not have, the status would be -15.
        assert operator.wait(SECONDS) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
