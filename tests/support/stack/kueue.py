"""Install Kueue from its module's own chart, and make queues as the documented example does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.repository import ROOT
from tests.support.stack.images import CLUSTER, Image, ensure_image
from tests.support.stack.kube import apply, get, kubectl, list_items, run, until
from tests.support.stack.release import ensure_namespace

KUEUE = Image("kueue", ("plain",))
RELEASE, NAMESPACE = "kueue", "kueue-system"
EXAMPLES = ROOT / "examples/kueue"
# The default configuration of the chart, with one of its integrations.
CONFIGURATION: dict[str, Any] = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": ":8081"},
    "metrics": {"bindAddress": ":8443"},
    "webhook": {"port": 9443},
    "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
    "clientConnection": {"qps": 50, "burst": 100},
    "integrations": {"frameworks": ["batch/job"]},
    "manageJobsWithoutQueueName": False,
}
# Seconds until Kueue serves its webhooks, whose certificates it makes itself.
START_SECONDS = 180


def ensure_kueue(**changes: Any) -> None:
    """Install Kueue, or upgrade it to a configuration with these changes; return once its webhooks answer."""
    repository, _, tag = ensure_image(KUEUE).rpartition(":")
    chart = run(str(CLUSTER / "module"), "kueue", aloud=True).strip() + "/charts/kueue"
    ensure_namespace(NAMESPACE)
    manager = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        # The image names no user.
        "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    values = {
        "controllerManager": {"manager": manager},
        "managerConfig": {"controllerManagerConfigYaml": yaml.safe_dump(CONFIGURATION | changes)},
    }
    command = ["helm", "upgrade", "--install", RELEASE, chart, "--namespace", NAMESPACE, "--values", "-"]
    run(*command, "--wait", "--timeout", f"{START_SECONDS}s", text=json.dumps(values))
    until(_answers, START_SECONDS, "Kueue's webhooks to answer")


def _answers() -> bool:
    flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "probe"}}
    done = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=json.dumps(flavor), check=False)
    return "probe" in done


@contextmanager
def kueue_down() -> Iterator[None]:
    """Stop Kueue for the block; its webhooks stay, and cannot be called."""
    manager = ("deployment/kueue-controller-manager", "-n", NAMESPACE)
    kubectl("scale", *manager, "--replicas=0")
    until(lambda: not list_items("pods", NAMESPACE), START_SECONDS, "Kueue to end")
    try:
        yield
    finally:
        kubectl("scale", *manager, "--replicas=1")
        until(_answers, START_SECONDS, "Kueue's webhooks to answer")


def remove_kueue() -> None:
    """Remove Kueue with all queues, before which it must still take its finalizers from them."""
    for kind in ("clusterqueue", "resourceflavor", "workloadpriorityclass"):
        kubectl("delete", f"{kind}.kueue.x-k8s.io", "--all", "--timeout=60s", check=False)
    run("helm", "uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s", check=False)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


@dataclass(frozen=True)
class Queue:
    """A LocalQueue of a namespace, and a ClusterQueue of its own, as in an example of the documentation."""

    namespace: str
    name: str
    example: str = "queues.yaml"

    @property
    def cluster_queue(self) -> str:
        return f"{self.namespace}-{self.name}"

    def ensure(self, cpu: str, stop_policy: str = "None") -> None:
        """Apply the example with these names, this CPU of its first flavor, and this stopPolicy: None, Hold or HoldAndDrain."""
        for manifest in yaml.safe_load_all((EXAMPLES / self.example).read_text()):
            spec = manifest["spec"]
            if manifest["kind"] == "ClusterQueue":
                manifest["metadata"]["name"] = self.cluster_queue
                spec["stopPolicy"] = stop_policy
                for quota in spec["resourceGroups"][0]["flavors"][0]["resources"]:
                    quota["nominalQuota"] = cpu if quota["name"] == "cpu" else quota["nominalQuota"]
            elif manifest["kind"] == "LocalQueue":
                manifest["metadata"] |= {"name": self.name, "namespace": self.namespace}
                spec["clusterQueue"] = self.cluster_queue
            apply(manifest)


def workloads(namespace: str, job: str) -> list[dict[str, Any]]:
    """Return the Workloads of the Job of this name."""
    items = list_items("workloads.kueue.x-k8s.io", namespace)
    return [item for item in items if job in (owner["name"] for owner in item["metadata"]["ownerReferences"])]


def pods_of(workload: dict[str, Any]) -> int:
    """Return for how many pods the Workload asks."""
    count: int = workload["spec"]["podSets"][0]["count"]
    return count


def admission_of(job: str, namespace: str) -> bool:
    """Return whether Kueue lets the Job run."""
    found = get("job", job, namespace)
    return found is not None and not found["spec"].get("suspend")
