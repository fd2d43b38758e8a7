"""Configure and create the kind cluster, check an existing one, and set up its nodes."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster import gobuild, images, store
from hack.cluster.stages import StageError, output, run, say, stage, wait_for

NAME = "transcription-operator"
CONTROL_PLANE = f"{NAME}-control-plane"
GPU_NODE = f"{NAME}-worker"
PLAIN_NODE = f"{NAME}-worker2"
NODES = (CONTROL_PLANE, GPU_NODE, PLAIN_NODE)
ALIASES = {"control-plane": CONTROL_PLANE, "gpu": GPU_NODE, "plain": PLAIN_NODE}

GPU_COUNT = 2
GPU_TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
# what GPU feature discovery writes on a node with two L4 and driver 580 (CUDA 13.0); memory in MiB
GPU_LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.count": str(GPU_COUNT),
    "nvidia.com/gpu.product": "NVIDIA-L4",
    "nvidia.com/gpu.family": "ada-lovelace",
    "nvidia.com/gpu.memory": "23034",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "9",
    "nvidia.com/cuda.driver-version.full": "580.95.05",
    "nvidia.com/cuda.driver-version.major": "580",
    "nvidia.com/cuda.driver-version.minor": "95",
    "nvidia.com/cuda.driver-version.revision": "05",
    "nvidia.com/cuda.runtime-version.full": "13.0",
    "nvidia.com/cuda.runtime-version.major": "13",
    "nvidia.com/cuda.runtime-version.minor": "0",
}

# The controllers write 20 requests a second by default, which caps the cluster at about 5 Jobs a second
CLIENT_RATE = {"kube-api-qps": "300", "kube-api-burst": "600"}  # requests a second

CREATE_SECONDS = 600
# kind gives the nodes 30 s to import their images, which takes longer while other work has the cores.
CREATE_TRIES = 3
READY_SECONDS = 180


def _flags(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def config(built: bool, cgroup_v1: bool) -> dict[str, Any]:
    """Return kind's configuration. `built` means that the node image was made here, without systemd and kind's network."""
    kubelet: dict[str, Any] = {"kind": "KubeletConfiguration"}
    if built:
        kubelet["cgroupDriver"] = "cgroupfs"
    if cgroup_v1:
        kubelet["failCgroupV1"] = False
    cluster = {
        "kind": "ClusterConfiguration",
        "controllerManager": {"extraArgs": _flags({"enable-hostpath-provisioner": "true", **CLIENT_RATE})},
        "scheduler": {"extraArgs": _flags(CLIENT_RATE)},
        "etcd": {"local": {"extraArgs": _flags({"unsafe-no-fsync": "true"})}},  # nothing here must survive a power cut
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": built},
        "kubeadmConfigPatches": [json.dumps(cluster), json.dumps(kubelet)],
        "nodes": [{"role": "control-plane"}, {"role": "worker"}, {"role": "worker"}],
    }


def kubectl(*words: str | Path, stdin: str | None = None, timeout: float = 60) -> str:
    command = [gobuild.folder() / "kubectl", "--kubeconfig", store.kubeconfig(), *words]
    return output(command, timeout=timeout, stdin=stdin)


def _containers() -> list[dict[str, Any]]:
    """Return the node containers, running or not, as `docker inspect` shows them."""
    names = output(["docker", "ps", "-aq", "--filter", f"label=io.x-k8s.kind.cluster={NAME}"]).split()
    found: list[dict[str, Any]] = json.loads(output(["docker", "inspect", *names])) if names else []
    return found


def _state_file() -> Path:
    return store.cache() / "cluster.key"


def ensure(image: str) -> str:
    """Ensure a cluster of `image` that works; return a description of whether it was created or kept."""
    built = bool(images.label_of(image))
    wanted = config(built, not Path("/sys/fs/cgroup/cgroup.controllers").exists())
    key = store.key(json.dumps(wanted), image)
    containers = _containers()
    problem = _problem(containers, key) if containers else None
    if problem:
        with stage(f"the cluster that is there cannot be used ({problem}): deleted"):
            delete()
    fresh = problem is not None or not containers
    if fresh:
        with stage(f"cluster {NAME}: {len(NODES)} nodes"):
            _create(image, wanted)
    with stage("network, names, GPU node" if fresh else "cluster is up: network, GPU node"):
        if built:
            _ensure_names()
            ensure_network()
        _ensure_gpu()
        _wait_until_ready()
    _state_file().write_text(key)
    return "created" if fresh else "was up"


def _problem(containers: list[dict[str, Any]], key: str) -> str | None:
    """Return why the existing cluster must be deleted, None if it can be used."""
    stopped = sorted(c["Name"].lstrip("/") for c in containers if not c["State"]["Running"])
    if stopped or len(containers) != len(NODES):
        return f"nodes that do not run: {' '.join(stopped)}" if stopped else f"{len(containers)} nodes of {len(NODES)}"
    if not _state_file().exists() or _state_file().read_text() != key:
        return "it was made from another image or configuration, or not to the end"
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=10s", timeout=20)
        nodes = json.loads(kubectl("get", "nodes", "-o", "json", "--request-timeout=10s", timeout=20))["items"]
    except StageError as error:
        return f"its API server does not answer: {str(error).splitlines()[-1][:200]}"
    return node_problem(nodes, {c["Name"].lstrip("/"): container_address(c) for c in containers})


def container_address(container: Mapping[str, Any]) -> str:
    networks: dict[str, dict[str, str]] = container["NetworkSettings"]["Networks"]
    return next((network["IPAddress"] for network in networks.values()), "")


def node_address(node: Mapping[str, Any]) -> str:
    return next((a["address"] for a in node["status"].get("addresses", []) if a["type"] == "InternalIP"), "")


def node_problem(nodes: list[dict[str, Any]], addresses: Mapping[str, str]) -> str | None:
    """Describe a node that is missing, not Ready, or known to Kubernetes by an address that its container no longer has."""
    known = {node["metadata"]["name"]: node for node in nodes}
    for name, address in sorted(addresses.items()):
        if name not in known:
            return f"{name} has not joined"
        if node_address(known[name]) != address:
            return f"{name} came back with the address {address}, Kubernetes knows {node_address(known[name])}"
        conditions = {c["type"]: c["status"] for c in known[name]["status"].get("conditions", [])}
        if conditions.get("Ready") != "True":
            return f"{name} is not Ready"
    return None


def _create(image: str, wanted: dict[str, Any]) -> None:
    _state_file().unlink(missing_ok=True)
    file, log = store.cache() / "kind.json", store.log("kind")
    file.write_text(json.dumps(wanted, indent=1))
    command: list[str | Path] = [
        gobuild.ensure(["kind"]) / "kind",
        "create",
        "cluster",
        "--name",
        NAME,
        "--image",
        image,
        "--config",
        file,
    ]
    gobuild.ensure(["kubectl"])
    for tries_left in reversed(range(CREATE_TRIES)):
        try:
            run([*command, "--kubeconfig", store.kubeconfig(), "--retain"], log, timeout=CREATE_SECONDS)
            return
        except StageError as error:
            for container in _containers():
                _say_end_of_node_logs(container["Name"].lstrip("/"))
            delete()
            if not tries_left:
                raise
            say(f"kind is run again: {str(error).splitlines()[-1]}")


def _say_end_of_node_logs(node: str) -> None:
    for command in (
        ["docker", "exec", node, "tail", "-n", "10", "/var/log/containerd.log"],
        ["docker", "exec", node, "tail", "-n", "10", "/var/log/kubelet.log"],
    ):
        try:
            shown = output(command, timeout=20)
        except StageError as error:
            shown = str(error)
        say(f"--- {' '.join(command)}\n{shown}")


def delete() -> None:
    """Remove the node containers with their volumes, and the kubeconfig."""
    names = [container["Id"] for container in _containers()]
    if names:
        run(["docker", "rm", "--force", "--volumes", *names], store.log("kind"), timeout=120)
    _state_file().unlink(missing_ok=True)
    store.kubeconfig().unlink(missing_ok=True)


def delete_network() -> None:
    """Delete the bridge that kind made, if the engine is ours; elsewhere other clusters may use it."""
    subprocess.run(["docker", "network", "rm", "kind"], capture_output=True, check=False)


def _ensure_names() -> None:
    """Let CoreDNS serve cluster names only. In a new cluster this comes before its pods first start."""
    text = (store.HERE / "node" / "Corefile").read_text()
    kubectl(
        "-n",
        "kube-system",
        "patch",
        "configmap",
        "coredns",
        "--type=merge",
        "-p",
        json.dumps({"data": {"Corefile": text}}),
    )


def ensure_network() -> None:
    """Set up the pods' network: a bridge on each node, and routes between the nodes.

    It is done from outside, since kubelet's credentials may not list other nodes, and each time, since routes do not
    outlive a node's container.
    """
    nodes: list[dict[str, Any]] = []

    def all_known() -> bool:
        nodes[:] = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
        return len(nodes) == len(NODES) and all(node["spec"].get("podCIDR") and node_address(node) for node in nodes)

    wait_for("every node has a range of pod addresses", all_known, READY_SECONDS)
    for node in nodes:
        output(["docker", "exec", node["metadata"]["name"], "sh", "-ec", network_script(node, nodes)])


def network_script(node: Mapping[str, Any], nodes: list[dict[str, Any]]) -> str:
    """Return shell text that sets up the bridge's range of `node`, and a route to each other node's range."""
    conf = "/etc/cni/net.d/10-bridge.conflist"
    lines = [
        f"mkdir -p {Path(conf).parent}",
        f"sed 's#@CIDR@#{node['spec']['podCIDR']}#' /kind/10-bridge.conflist > {conf}.part",
        f"mv {conf}.part {conf}",
    ]
    others = [other for other in nodes if other["metadata"]["name"] != node["metadata"]["name"]]
    return "\n".join(
        lines + [f"ip route replace {other['spec']['podCIDR']} via {node_address(other)}" for other in others]
    )


def _ensure_gpu() -> None:
    """Give a node the labels, the taint and the capacity of a GPU pool's node.

    It is done each time, since there is no device plugin that would restore the capacity.
    """
    labels = {"metadata": {"labels": GPU_LABELS}, "spec": {"taints": [GPU_TAINT]}}
    kubectl("patch", "node", GPU_NODE, "--type=strategic", "-p", json.dumps(labels))
    amount = {GPU_TAINT["key"]: str(GPU_COUNT)}
    status = {"status": {"capacity": amount, "allocatable": amount}}
    kubectl("patch", "node", GPU_NODE, "--subresource=status", "--type=strategic", "-p", json.dumps(status))


def _wait_until_ready() -> None:
    """Wait until nodes are Ready and cluster names are served, so that pods can run and find one another."""
    kubectl(
        "wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={READY_SECONDS}s", timeout=READY_SECONDS + 10
    )
    rollout = ("-n", "kube-system", "rollout", "status", "deployment/coredns", f"--timeout={READY_SECONDS}s")
    kubectl(*rollout, timeout=READY_SECONDS + 10)
