"""A real API server lists nodes for the account that may, and for no other."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config
from transcription_operator.cluster import ApiError, Connection, KubernetesClient
from transcription_operator.models.nodes import NodeView

from tests.support.controlplane import ControlPlane
from tests.support.node_affinity import gpu_node
from tests.support.operator_process import NAMESPACED, grant_rights

NODES = {"cordoned": gpu_node(580), "with-gpu": gpu_node(550), "without": {}}
RIGHTS_SECONDS = 10


@pytest.fixture
async def client(plane: ControlPlane) -> AsyncIterator[KubernetesClient]:
    """Yield a client of the account, on an API server with some nodes."""
    for name, labels in NODES.items():
        node: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        node["spec"] = {"unschedulable": name == "cordoned"}
        plane.kubectl("apply", "-f", "-", text=json.dumps(node))
    settings = Configuration()
    await load_kube_config(str(plane.kubeconfig_for(NAMESPACED)), client_configuration=settings)
    connection = Connection(ApiClient(settings), lambda: True)
    yield KubernetesClient(connection)
    await connection.close()
    plane.kubectl("delete", "node", *NODES)


async def test_nodes_with_gpus_are_listed_with_their_labels_once_the_chart_gives_the_right(
    plane: ControlPlane, client: KubernetesClient
) -> None:
    with pytest.raises(ApiError, match="403"):
        await client.list_gpu_nodes()
    grant_rights(plane, NAMESPACED, ["default"], options=["--set", "rbac.readNodes=true"])
    until, found = time.monotonic() + RIGHTS_SECONDS, None
    while found is None and time.monotonic() < until:
        with contextlib.suppress(ApiError):
            found = await client.list_gpu_nodes()
    assert found == (NodeView("cordoned", NODES["cordoned"], True), NodeView("with-gpu", NODES["with-gpu"]))
    plane.kubectl("uncordon", "cordoned")
    open_nodes = (NodeView("cordoned", NODES["cordoned"]), NodeView("with-gpu", NODES["with-gpu"]))
    assert await client.list_gpu_nodes() == open_nodes  # of an empty list the API server says that its items are null
