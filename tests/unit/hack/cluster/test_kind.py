"""The kind cluster is configured as its node image needs, and problems of existing nodes are found."""

import json
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import gobuild, images, kind, load, store
from hack.cluster.stages import StageError

ADDRESSES = {kind.CONTROL_PLANE: "172.18.0.2", kind.GPU_NODE: "172.18.0.3"}


def node(name: str, address: str = "", cidr: str = "", ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": cidr},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": address or ADDRESSES[name]},
            ],
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


def both() -> list[dict[str, Any]]:
    return [node(kind.CONTROL_PLANE), node(kind.GPU_NODE)]


def test_a_cluster_whose_nodes_are_ready_at_their_addresses_stays() -> None:
    assert kind.node_problem(both(), ADDRESSES) is None


def test_a_node_that_came_back_with_another_address_is_a_problem() -> None:
    nodes = [node(kind.CONTROL_PLANE), node(kind.GPU_NODE, address="172.18.0.9")]
    assert kind.node_problem(nodes, ADDRESSES) == (
        "transcription-operator-worker came back with the address 172.18.0.3, Kubernetes knows 172.18.0.9"
    )


def test_a_node_that_is_not_ready_is_a_problem() -> None:
    nodes = [node(kind.CONTROL_PLANE), node(kind.GPU_NODE, ready="Unknown")]
    assert kind.node_problem(nodes, ADDRESSES) == "transcription-operator-worker is not Ready"


def test_a_node_that_never_joined_is_a_problem() -> None:
    assert kind.node_problem(both()[:1], ADDRESSES) == "transcription-operator-worker has not joined"


def test_a_built_node_image_gets_no_systemd_and_no_network_of_kind_s_own() -> None:
    wanted = kind.config(built=True, cgroup_v1=True)
    cluster, kubelet = (json.loads(text) for text in wanted["kubeadmConfigPatches"])
    assert wanted["networking"] == {"disableDefaultCNI": True}
    assert kubelet == {"kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs", "failCgroupV1": False}
    assert {"name": "kube-api-qps", "value": "300"} in cluster["controllerManager"]["extraArgs"]
    assert [entry["role"] for entry in wanted["nodes"]] == ["control-plane", "worker", "worker"]


def test_a_pulled_node_image_keeps_kind_s_network_and_cgroup_driver() -> None:
    wanted = kind.config(built=False, cgroup_v1=False)
    assert wanted["networking"] == {"disableDefaultCNI": False}
    assert json.loads(wanted["kubeadmConfigPatches"][1]) == {"kind": "KubeletConfiguration"}


def test_a_node_gets_its_own_range_and_routes_to_the_others() -> None:
    nodes = [
        node("a", "172.18.0.2", "10.244.0.0/24"),
        node("b", "172.18.0.3", "10.244.1.0/24"),
        node("c", "172.18.0.4", "10.244.2.0/24"),
    ]
    script = kind.network_script(nodes[1], nodes)
    assert "s#@CIDR@#10.244.1.0/24#" in script
    assert [line for line in script.splitlines() if line.startswith("ip ")] == [
        "ip route replace 10.244.0.0/24 via 172.18.0.2",
        "ip route replace 10.244.2.0/24 via 172.18.0.4",
    ]


def test_the_network_s_template_is_json_once_its_range_is_set() -> None:
    text = (store.HERE / "node" / "10-bridge.conflist").read_text().replace("@CIDR@", "10.244.1.0/24")
    assert json.loads(text)["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]


def test_bundled_images_have_the_names_that_kubeadm_asks_for() -> None:
    names = images.bundled({"KUBERNETES": "v1.37.2", "ETCD": "v3.7.0", "COREDNS": "v1.14.6", "PAUSE": "3.10.2"})
    assert set(names) == {
        "registry.k8s.io/kube-apiserver:v1.37.2",
        "registry.k8s.io/kube-controller-manager:v1.37.2",
        "registry.k8s.io/kube-scheduler:v1.37.2",
        "registry.k8s.io/etcd:3.7.0-0",
        "registry.k8s.io/coredns/coredns:v1.14.6",
        "registry.k8s.io/pause:3.10.2",
    }


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("worker", "docker.io/library/worker:latest"),
        ("worker:1", "docker.io/library/worker:1"),
        ("ours/worker:1", "docker.io/ours/worker:1"),
        ("localhost/worker", "localhost/worker:latest"),
        ("localhost:5000/worker", "localhost:5000/worker:latest"),
        ("ghcr.io/ours/worker:1", "ghcr.io/ours/worker:1"),
    ],
)
def test_an_image_is_looked_up_on_a_node_by_its_full_name(image: str, full: str) -> None:
    assert load.reference(image) == full


def test_nodes_are_named_by_what_they_are() -> None:
    assert load.node_names(["gpu", "transcription-operator-worker2"]) == [kind.GPU_NODE, kind.PLAIN_NODE]


def test_an_unknown_node_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(StageError, match="no such node: cpu; expected some of control-plane gpu plain"):
        load.node_names(["cpu"])


def test_images_that_a_newer_one_of_the_same_name_replaced_are_known_unless_a_container_uses_them() -> None:
    listing = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n" + "".join(
        f"{name} type sha256:0 4.0 MiB linux/amd64 io.cri-containerd.image=managed{label}\n"
        for name, label in (
            ("docker.io/library/worker:old", ",transcription.dev/image-id=sha256:aa"),
            ("docker.io/library/worker:used", ",transcription.dev/image-id=sha256:bb"),
            ("docker.io/library/worker:same", ",transcription.dev/image-id=sha256:cc"),
            ("docker.io/library/worker:new", ",transcription.dev/image-id=sha256:cc"),
            ("docker.io/library/worker:pulled", ""),
            ("docker.io/library/worker-two:old", ",transcription.dev/image-id=sha256:dd"),
        )
    )
    used = {"docker.io/library/worker:used"}
    found = load.superseded(listing, used, "docker.io/library/worker:new", "sha256:cc")
    assert found == ["docker.io/library/worker:old", "sha256:aa"]


@pytest.mark.parametrize(("failures", "fails"), [(0, False), (kind.CREATE_TRIES - 1, False), (kind.CREATE_TRIES, True)])
def test_kind_is_run_again_where_its_nodes_were_too_slow_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: int, fails: bool
) -> None:
    runs: list[bool] = []

    def run(*_: object, **__: object) -> None:
        runs.append(len(runs) < failures)
        if runs[-1]:
            raise StageError("could not find a log line")

    monkeypatch.setattr(kind, "run", run)
    monkeypatch.setattr(kind, "_containers", list)
    monkeypatch.setattr(kind, "delete", lambda: None)
    monkeypatch.setattr(gobuild, "ensure", lambda _: tmp_path)
    monkeypatch.setattr(store, "cache", lambda: tmp_path)
    monkeypatch.setattr(store, "log", lambda name: tmp_path / name)
    if fails:
        with pytest.raises(StageError, match="could not find a log line"):
            kind._create("image", {})
    else:
        kind._create("image", {})
    assert runs == [True] * failures + [False] * (not fails)
