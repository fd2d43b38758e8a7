"""Run the operator as in a pod: a process with settings in its environment and an account with the chart's rights."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.api_client import Api
from tests.support.controlplane import ControlPlane, free_ports
from tests.support.helm import Helm
from tests.support.last_release import Release
from tests.support.repository import CHART

# The account's token and name at the apiserver.
ACCOUNT = "operator"
# Those of an account that has no rights before a test grants some.
NAMESPACED = "namespaced-operator"
READY_SECONDS = 60


class Operator:
    """One process of the operator. `options` are settings without their prefix, such as lease_name.

    `account` is one of the control plane's tokens. With a release it runs the code of that in place of the present.
    """

    def __init__(
        self,
        plane: ControlPlane,
        log: Path,
        account: str = ACCOUNT,
        release: Release | None = None,
        **options: Any,
    ) -> None:
        [self.port] = free_ports(1)
        self.log = log
        settings = {
            "worker_image": "worker:test",
            "log_format": "text",
            "http_port": self.port,
            "pod_name": f"operator-{self.port}",
            "lease_seconds": 3,
            "progress_seconds": 1,
            "sidecar_grace_seconds": 1,
        } | options
        self._environment = os.environ | {f"TRANSCRIPTION_{name.upper()}": str(item) for name, item in settings.items()}
        self._environment |= release.environment if release else {}
        self._environment["KUBECONFIG"] = str(plane.kubeconfig_for(account))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, ready: bool = True) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "transcription_operator"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        if ready:
            self.await_ready()

    def await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.get("/readyz")[0] != 200:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the operator did not get ready:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str]:
        """GET a page of the operator's port; return its status and text, or 0 and no text if nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def metric(self, sample: str) -> float:
        """Return the value of one sample of /metrics, 0 if it is missing."""
        for line in self.get("/metrics")[1].splitlines():
            if line.rpartition(" ")[0] == sample:
                return float(line.rpartition(" ")[2])
        return 0.0

    def kill(self) -> None:
        """Send SIGKILL, which leaves no chance to clean up."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        return self._signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself and return its exit status."""
        assert self._process is not None
        return self._process.wait(seconds)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def memory_mib(self) -> float:
        """Return the peak resident memory so far, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def _signal(self, number: int) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


@contextmanager
def running_operator(plane: ControlPlane, log: Path, **options: Any) -> Iterator[Operator]:
    """Run an operator for the block. It is ready on entry and stopped on exit."""
    operator = Operator(plane, log, **options)
    operator.start()
    try:
        yield operator
    finally:
        operator.stop()


def grant_rights(
    plane: ControlPlane,
    account: str = ACCOUNT,
    namespaces: Sequence[str] = (),
    chart: Path = CHART,
    options: Sequence[str] = (),
) -> None:
    """Give an account what the chart gives it: a ClusterRole, or a Role in each namespace, and a Role for the lease.

    options: further ones of helm template.
    """
    watched = ("--set", f"namespaces={{{','.join(namespaces)}}}") if namespaces else ()
    rendered = Helm().template("-s", "templates/rbac.yaml", *watched, *options, namespace="default", chart=chart)
    documents = [item for item in yaml.safe_load_all(rendered) if item]
    for item in documents:
        if item["kind"].endswith("Binding"):
            item["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account}]
            item["metadata"]["name"] += f"-{account}"
    plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(documents))


@contextmanager
def operator_alone(plane: ControlPlane, api: Api, log: Path) -> Iterator[Operator]:
    """Run an operator for the block that a test may kill and start, although another test's has left its lease."""
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/transcription-operator"
    if api.get(lease) is not None:
        api.delete(lease)
    operator = Operator(plane, log)
    operator.start()
    try:
        yield operator
        text = log.read_text()  # before it stops, when Kopf may tell of a watch that was cut off
    finally:
        operator.stop()
    assert "Traceback" not in text
