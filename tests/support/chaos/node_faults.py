"""Faults of the node that the workers run on: drained, paused, lost, its kubelet stopped, its object deleted."""

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hack.cluster.kind import GPU_COUNT
from tests.support.chaos.fault import GPU_NODE, Fault, NothingToDisturbError, kubectl_soon, on_node
from tests.support.stack.kube import CommandError, run

# The taint by which an administrator says that a node is off for good, so that its pods are removed.
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
# Fields that the API server sets, or that another object would be refused for.
OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")


@contextmanager
def drained(draw: random.Random) -> Iterator[None]:
    """Cordon the node and evict its worker pods."""
    workers = "--pod-selector=app.kubernetes.io/component=worker"
    options = ["--delete-emptydir-data", "--ignore-daemonsets", "--timeout=30s", "--force"]
    try:
        run("kubectl", "drain", GPU_NODE, workers, *options)
        yield
    except CommandError as error:
        raise NothingToDisturbError(str(error)) from error
    finally:
        kubectl_soon("uncordon", GPU_NODE)


@contextmanager
def paused(draw: random.Random) -> Iterator[None]:
    """Freeze all processes of the node, which then goes on as after a hang."""
    run("docker", "pause", GPU_NODE)
    try:
        yield
    finally:
        run("docker", "unpause", GPU_NODE)
        ready()


@contextmanager
def lost(draw: random.Random) -> Iterator[None]:
    """Freeze the node, and say that it is off for good: its pods are removed, though their processes come back later."""
    with paused(draw):
        kubectl_soon("taint", "node", GPU_NODE, OUT_OF_SERVICE, "--overwrite")
        try:
            yield
        finally:
            kubectl_soon("taint", "node", GPU_NODE, OUT_OF_SERVICE + "-")


@contextmanager
def kubelet_stopped(draw: random.Random) -> Iterator[None]:
    """Stop the kubelet; the containers run on."""
    on_node(GPU_NODE, "pkill -STOP -x kubelet")
    try:
        yield
    finally:
        on_node(GPU_NODE, "pkill -CONT -x kubelet")
        ready()


@contextmanager
def object_deleted(draw: random.Random) -> Iterator[None]:
    """Delete the Node object, as a cloud's controller does with a machine that it has removed, and create it again."""
    node = json.loads(kubectl_soon("get", "node", GPU_NODE, "-o", "json"))
    kubectl_soon("delete", "node", GPU_NODE, "--wait=false")
    try:
        yield
    finally:
        kubectl_soon("apply", "--server-side", "-f", "-", text=json.dumps(_without_server_fields(node)))
        ready()


def _without_server_fields(node: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in node["metadata"].items() if key not in OF_THE_SERVER}
    taints = [taint for taint in node["spec"].get("taints", ()) if not taint["key"].startswith("node.kubernetes.io/")]
    spec = {key: node["spec"][key] for key in ("podCIDR", "podCIDRs", "providerID") if key in node["spec"]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {**spec, "taints": taints}}


def ready() -> None:
    """Wait until the node is Ready and has its GPUs, which no device plugin would restore."""
    kubectl_soon("wait", "--for=condition=Ready", f"node/{GPU_NODE}", "--timeout=20s", "--request-timeout=30s")
    amount = {"nvidia.com/gpu": str(GPU_COUNT)}
    status = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
    kubectl_soon("patch", "node", GPU_NODE, "--subresource=status", "--type=strategic", "-p", status)


def mend_node() -> None:
    """Undo whatever an interrupted run left: a paused container, a stopped kubelet, a taint, a cordon."""
    subprocess.run(["docker", "unpause", GPU_NODE], capture_output=True, check=False)
    on_node(GPU_NODE, "pkill -CONT -x kubelet", check=False)
    run("kubectl", "taint", "node", GPU_NODE, OUT_OF_SERVICE + "-", check=False)
    run("kubectl", "uncordon", GPU_NODE, check=False)


NODE_FAULTS = (
    Fault("node drained", drained, 10),
    # The API server calls a node unreachable 50 s after its last sign of life.
    Fault("node paused", paused, 70),
    Fault("node lost (out-of-service taint)", lost, 80),
    Fault("kubelet stopped", kubelet_stopped, 70),
    # The pods of a node that is gone are removed after 40 s.
    Fault("node deleted and brought back", object_deleted, 65),
)
