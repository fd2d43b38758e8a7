"""Faults of what the operator and the workers talk to: the API server, S3 and the network between; and of the operator."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.chaos.fault import (
    CONTROL_PLANE,
    GPU_NODE,
    PLAIN_NODE,
    Fault,
    NothingToDisturbError,
    kubectl_soon,
    on_node,
    running_containers,
    signal_container,
)
from tests.support.chaos.pod_faults import once
from tests.support.helm import NAMESPACE, RELEASE
from tests.support.stack.kube import run

# The kubelet starts what is in this folder and stops what is not.
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
AWAY = "/etc/kubernetes/kube-apiserver.yaml"
S3_PORT = "7070"
# For all that goes to the node's pods together. A recording of 75 s has 2.4 MB.
SLOW = "rate 2mbit burst 32kbit latency 1s"


@contextmanager
def api_server_stopped(draw: random.Random) -> Iterator[None]:
    """Stop the API server: connections are refused."""
    on_node(CONTROL_PLANE, 'mv "$1" "$2"', MANIFEST, AWAY)
    try:
        yield
    finally:
        on_node(CONTROL_PLANE, 'mv "$1" "$2"', AWAY, MANIFEST)
        kubectl_soon("get", "--raw", "/readyz")


@contextmanager
def control_plane_paused(draw: random.Random) -> Iterator[None]:
    """Freeze the API server, etcd, the controllers and the scheduler: connections hang."""
    run("docker", "pause", CONTROL_PLANE)
    try:
        yield
    finally:
        run("docker", "unpause", CONTROL_PLANE)
        kubectl_soon("get", "--raw", "/readyz")


def kill_api_server(draw: random.Random) -> None:
    """Kill the API server, which the kubelet starts again: every watch and every request breaks off."""
    _kill(CONTROL_PLANE, "kube-apiserver")
    kubectl_soon("get", "--raw", "/readyz")


@contextmanager
def s3_frozen(draw: random.Random) -> Iterator[None]:
    """Freeze the S3 server: connections hang, in the middle of an object too."""
    found = running_containers(PLAIN_NODE, "versitygw")
    for container in found:
        on_node(PLAIN_NODE, 'ctr -n k8s.io tasks pause "$1"', container)
    try:
        yield
    finally:
        for container in found:
            on_node(PLAIN_NODE, 'ctr -n k8s.io tasks resume "$1"', container)


def kill_s3(draw: random.Random) -> None:
    """Kill the S3 server, which the kubelet starts again with its data."""
    _kill(PLAIN_NODE, "versitygw")


@contextmanager
def network_cut(draw: random.Random) -> Iterator[None]:
    """Drop every packet from the workers to S3."""
    rule = f"FORWARD -p tcp --dport {S3_PORT} -j DROP"
    on_node(GPU_NODE, f"iptables -I {rule}")
    try:
        yield
    finally:
        on_node(GPU_NODE, f"iptables -D {rule}")


@contextmanager
def network_slow(draw: random.Random) -> Iterator[None]:
    """Let 2 Mbit/s through to the workers."""
    on_node(GPU_NODE, f"tc qdisc replace dev cni0 root tbf {SLOW}")
    try:
        yield
    finally:
        on_node(GPU_NODE, "tc qdisc del dev cni0 root")


def kill_operator(draw: random.Random) -> None:
    """Send SIGKILL to the operator, which the kubelet starts again."""
    _kill(PLAIN_NODE, "operator")


def delete_operator(draw: random.Random) -> None:
    """Delete the operator's pod, whose Deployment makes another."""
    chosen = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    run("kubectl", "--request-timeout=10s", "delete", "pods", "-n", NAMESPACE, "-l", chosen, "--wait=false")


def _kill(node: str, container: str) -> None:
    found = running_containers(node, container)
    if not found:
        raise NothingToDisturbError(f"no {container} runs")
    for container_id in found:
        signal_container(node, container_id)


def mend_services() -> None:
    """Undo whatever an interrupted run left: a paused container, a rule, a queue, a manifest elsewhere."""
    run("docker", "unpause", CONTROL_PLANE, check=False)
    on_node(CONTROL_PLANE, f"if [ -f {AWAY} ]; then mv {AWAY} {MANIFEST}; fi")
    on_node(GPU_NODE, f"while iptables -D FORWARD -p tcp --dport {S3_PORT} -j DROP 2> /dev/null; do :; done")
    on_node(GPU_NODE, "tc qdisc del dev cni0 root 2> /dev/null || true")
    paused = (
        'for id in $(ctr -n k8s.io tasks list | grep PAUSED | cut -d " " -f 1); do ctr -n k8s.io tasks resume $id; done'
    )
    on_node(PLAIN_NODE, paused)
    kubectl_soon("get", "--raw", "/readyz")


SERVICE_FAULTS = (
    Fault("API server stopped", api_server_stopped, 60),
    Fault("control plane paused", control_plane_paused, 45),
    Fault("S3 frozen", s3_frozen, 60),
    Fault("network to S3 cut", network_cut, 60),
    Fault("network to S3 slowed", network_slow, 45),
    Fault("API server killed", once(kill_api_server)),
    Fault("S3 killed", once(kill_s3)),
    Fault("operator killed", once(kill_operator)),
    Fault("operator's pod deleted", once(delete_operator)),
)
