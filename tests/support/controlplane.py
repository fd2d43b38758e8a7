"""Run a bare control plane: etcd and kube-apiserver as processes on free loopback ports.

It has no controllers and no nodes. A test does itself what the Job controller and the kubelet would do.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.api_client import Api
from tests.support.binaries import binaries
from tests.support.repository import CRD
from tests.support.simulated_cluster import condition, until

ADMIN_TOKEN = "admin"
# The seconds until the pair must answer, on a machine that is busy with other things.
START_SECONDS = 60


class ControlPlane:
    """A control plane whose data, keys and logs are in `folder`. It keeps its ports and its data across a restart.

    With `audit` each write has an entry in the audit log before it is answered.
    """

    def __init__(self, folder: Path, tokens: dict[str, str] | None = None, audit: bool = True) -> None:
        self._folder = folder
        self._bin = binaries("etcd", "kube-apiserver", "kubectl")
        self._audit = audit
        self._ports = free_ports(3)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._apiserver: subprocess.Popen[bytes] | None = None
        self.url = f"https://127.0.0.1:{self._ports[2]}"
        self.kubeconfig = folder / "kubeconfig"
        self.audit_log = folder / "audit.log"
        self._write_files(tokens or {})

    def start(self) -> None:
        self._start_etcd()
        self.start_apiserver()

    def stop(self) -> None:
        self.stop_apiserver()
        _end(self._etcd)

    def start_apiserver(self) -> None:
        """Start kube-apiserver and wait until it is ready."""
        flags = self._apiserver_flags()
        with (self._folder / "apiserver.log").open("ab") as log:
            self._apiserver = subprocess.Popen([self._bin / "kube-apiserver", *flags], stdout=log, stderr=log)
        self._await_ready()

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds that etcd and kube-apiserver have used so far."""
        children = {"kube-apiserver": self._apiserver, "etcd": self._etcd}
        return {name: cpu_seconds(child.pid) for name, child in children.items() if child is not None}

    def stop_apiserver(self) -> None:
        _end(self._apiserver)

    @contextmanager
    def frozen_apiserver(self) -> Iterator[None]:
        """Stop kube-apiserver with SIGSTOP, so that it keeps its connections and answers nothing."""
        assert self._apiserver is not None
        self._apiserver.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._apiserver.send_signal(signal.SIGCONT)

    def kubeconfig_for(self, token: str) -> Path:
        """Write a kubeconfig for one of the tokens given at the start."""
        path = self._folder / f"kubeconfig-{token}"
        path.write_text(json.dumps(_kubeconfig(self.url, token)))
        return path

    def api(self, token: str = ADMIN_TOKEN) -> Api:
        """Return a new client, since a client serves one thread."""
        return Api(self.url, token, unverified_context())

    def kubectl(self, *args: str, text: str | None = None) -> str:
        """Run kubectl and return what it prints."""
        command = [str(self._bin / "kubectl"), f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def install_crd(self, crd: Path = CRD) -> None:
        self.kubectl("apply", "--server-side", "-f", str(crd))
        # `kubectl wait` fails at once if the apiserver has not written any condition yet.
        until(self._established, "custom resources to be served", START_SECONDS)

    def audited(self) -> list[dict[str, Any]]:
        """Return the writes in the audit log so far, one entry for each answered request."""
        if not self.audit_log.exists():
            return []
        return [json.loads(line) for line in self.audit_log.read_text().splitlines() if line.endswith("}")]

    def writes_of(self, user: str, namespace: str) -> list[tuple[str, str]]:
        """Return the verb and kind of each write of a user in a namespace, such as ("update", "transcriptionjobs/status")."""
        return [
            (entry["verb"], "/".join(filter(None, (ref["resource"], ref.get("subresource")))))
            for entry in self.audited()
            if (ref := entry["objectRef"]).get("namespace") == namespace and entry["user"]["username"] == user
        ]

    def _write_files(self, tokens: dict[str, str]) -> None:
        _run("openssl", "genrsa", "-out", str(self._folder / "sa.key"), "2048")
        rows = [f'{ADMIN_TOKEN},admin,admin,"system:masters"']
        rows += [f"{token},{user},{user}" for token, user in tokens.items()]
        (self._folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.url, ADMIN_TOKEN)))
        (self._folder / "audit.yaml").write_text(json.dumps(_AUDIT_POLICY))

    def _start_etcd(self) -> None:
        client, peer, _ = self._ports
        flags = [
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",  # nothing here outlives the test
            "--log-level=warn",
        ]
        with (self._folder / "etcd.log").open("ab") as log:
            self._etcd = subprocess.Popen([self._bin / "etcd", *flags], stdout=log, stderr=log)

    def _apiserver_flags(self) -> list[str]:
        client, _, port = self._ports
        key = self._folder / "sa.key"
        return [
            f"--etcd-servers=http://127.0.0.1:{client}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certs'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            # No controller creates service accounts here, or removes the taints of nodes.
            "--disable-admission-plugins=ServiceAccount,DefaultTolerationSeconds,TaintNodesByCondition",
            "--profiling=false",
            *(self._audit_flags() if self._audit else ()),
        ]

    def _audit_flags(self) -> list[str]:
        return [
            f"--audit-policy-file={self._folder / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking-strict",
        ]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._apiserver is not None
            if self._apiserver.poll() is not None or time.monotonic() > deadline:
                end = (self._folder / "apiserver.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"kube-apiserver did not get ready:\n{end}")
            time.sleep(0.1)

    def _established(self) -> bool:
        """Return whether the apiserver has established each CustomResourceDefinition."""
        api = self.api()
        found = api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        api.close()
        return all(condition(item.get("status") or {}, "Established").get("status") == "True" for item in found)

    def _ready(self) -> bool:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        request = urllib.request.Request(f"{self.url}/readyz", headers=headers)  # noqa: S310 - https, see url
        try:
            with urllib.request.urlopen(request, timeout=2, context=unverified_context()) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def unverified_context() -> ssl.SSLContext:
    """Return a TLS context that accepts the apiserver's certificate, which it signs itself."""
    return ssl._create_unverified_context()  # noqa: S323


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


@contextmanager
def control_plane(
    folder: Path, tokens: dict[str, str] | None = None, audit: bool = True, crd: Path = CRD
) -> Iterator[ControlPlane]:
    """Run a control plane with the CRD for the block. `tokens` maps tokens of further users to their names."""
    plane = ControlPlane(folder, tokens, audit)
    plane.start()
    try:
        plane.install_crd(crd)
        yield plane
    finally:
        plane.stop()


_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"], "omitManagedFields": True},
        {"level": "None"},
    ],
}


def _kubeconfig(url: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bare", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": token, "user": {"token": token}}],
        "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": token}}],
        "current-context": "bare",
    }


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is None or child.poll() is not None:
        return
    child.send_signal(signal.SIGCONT)
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"LC_ALL": "C"})
