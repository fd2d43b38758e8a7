"""The operator behind a proxy and with a clock of the test's, forked from a process that has imported its modules."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.clock import ENVIRONMENT, SharedClock
from tests.faults.proxy import Proxy
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import Operator


class ForkServer:
    """The process of `tests.faults.clocked_operator`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.clocked_operator"]
        environment = os.environ | {"KUBECONFIG": os.devnull}  # never the cluster that a user has at hand
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()

    def fork(self, environment: dict[str, str], log: Path) -> "Forked":
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            print(json.dumps({"environment": environment, "log": str(log)}), file=self._process.stdin, flush=True)
            return Forked(int(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


class Forked:
    """What is needed of subprocess.Popen, for a process that is another one's child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """Return None while it runs. The exit status is not known, so that -1 stands for any."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return -1
        return None

    def wait(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), seconds)
            time.sleep(0.01)
        return -1

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class FaultyOperator(Operator):
    """One operator after another, each with the same name, so that it takes up the lease of the one before at once."""

    def __init__(
        self, server: ForkServer, plane: ControlPlane, folder: Path, proxy: Proxy, clock: SharedClock, namespace: str
    ) -> None:
        self._server = server
        options: dict[str, Any] = {
            "namespaces": namespace,
            "lease_namespace": namespace,
            "pod_name": "operator",
            "lease_seconds": 3600,
            "progress_seconds": 10,
        }
        super().__init__(plane, folder / "operator.log", **options)
        kubeconfig = json.loads(Path(self._environment["KUBECONFIG"]).read_text())
        kubeconfig["clusters"][0]["cluster"] = {"server": proxy.url}
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        self._environment |= {"KUBECONFIG": str(folder / "kubeconfig"), ENVIRONMENT: str(clock.path)}
        self._was_ready = False

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def ready(self) -> bool:
        """Whether it has been ready since its start."""
        self._was_ready = self._was_ready or self.get("/readyz")[0] == 200
        return self._was_ready

    def start(self, ready: bool = True) -> None:
        self._was_ready = False
        self._process = self._server.fork(self._environment, self.log)  # type: ignore[assignment]
        if ready:
            self.await_ready()
