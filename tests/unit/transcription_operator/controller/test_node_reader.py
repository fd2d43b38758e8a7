"""Nodes are listed seldom, as metadata alone, and no reconcile fails because they cannot be."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web
from transcription_operator.cluster import ApiError, KubernetesClient, UnreachableError
from transcription_operator.controller.node_reader import NodeReader
from transcription_operator.models.nodes import NodeView

from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver

NODE = NodeView("node-1", {"nvidia.com/gpu.compute.major": "8"})


class Nodes:
    """A client whose apiserver has one node, or refuses to list nodes."""

    def __init__(self) -> None:
        self.now, self.lists = 1000.0, 0
        self.error: Exception | None = None

    async def list_gpu_nodes(self) -> tuple[NodeView, ...]:
        self.lists += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return (NODE,)

    def reader(self, enabled: bool = True) -> NodeReader:
        return NodeReader(cast(KubernetesClient, self), enabled, lambda: self.now)


async def test_without_the_right_nothing_is_requested_and_nothing_is_known() -> None:
    nodes = Nodes()
    assert await nodes.reader(enabled=False).read() is None
    assert nodes.lists == 0


async def test_many_resources_at_once_cost_one_request() -> None:
    nodes = Nodes()
    reader = nodes.reader()
    assert await asyncio.gather(*(reader.read() for _ in range(500))) == [(NODE,)] * 500
    assert nodes.lists == 1


async def test_an_hour_costs_one_request_a_minute() -> None:
    nodes = Nodes()
    reader = nodes.reader()
    for _ in range(3600):
        nodes.now += 1
        await reader.read()
    assert nodes.lists == 60


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "no"), UnreachableError("gone"), ApiError(500, "", "")])
async def test_what_was_known_is_used_while_nodes_cannot_be_listed(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = Nodes()
    reader = nodes.reader()
    await reader.read()
    nodes.now, nodes.error = nodes.now + 61, error
    with caplog.at_level(logging.WARNING):
        assert await reader.read() == (NODE,)
    assert "nodes cannot be listed" in caplog.text


async def test_a_refusal_from_the_start_leaves_nothing_known_and_is_not_repeated_each_time() -> None:
    nodes = Nodes()
    nodes.error = ApiError(403, "Forbidden", "no")
    reader = nodes.reader()
    assert [await reader.read() for _ in range(10)] == [None] * 10
    assert nodes.lists == 1


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        yield server


async def test_only_the_metadata_of_labelled_nodes_is_asked_for_and_which_of_them_are_cordoned(
    apiserver: ScriptedApiserver,
) -> None:
    accepted = []

    def answer(request: web.Request) -> web.StreamResponse:
        accepted.append(request.headers["Accept"])
        names = ["node-2"] if request.query.get("fieldSelector") == "spec.unschedulable=true" else ["node-1", "node-2"]
        items = [{"metadata": {"name": name, "labels": dict(NODE.labels)}} for name in names]
        return web.json_response({"kind": "PartialObjectMetadataList", "metadata": {}, "items": items})

    apiserver.faults.append(answer)
    async with connected(apiserver) as connection:
        found = await KubernetesClient(connection).list_gpu_nodes()
    assert [(node.name, node.cordoned) for node in found] == [("node-1", False), ("node-2", True)]
    assert apiserver.count("/api/v1/nodes?labelSelector=nvidia.com") == 2
    assert set(accepted) == {"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
