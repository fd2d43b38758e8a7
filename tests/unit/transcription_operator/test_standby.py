"""A replica that does not lead keeps what exists, and nothing of what came and went."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from transcription_operator.cluster import Lease
from transcription_operator.controller.leader_election import LeaderElector
from transcription_operator.models.objects import Key, Resource
from transcription_operator.startup import lead, start_reconciles
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.liveness import WatchLiveness
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import CREATED, SPEC, config, resource
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import ScriptedApiserver, connected, error_response, scripted_apiserver
from tests.support.scripted_resource import end_elsewhere, put_resource, stored_status


def body(number: int, version: int) -> dict[str, object]:
    meta = {"name": f"job-{number}", "namespace": "team-a", "uid": f"uid-{number}", "resourceVersion": str(version)}
    return {"metadata": meta | {"creationTimestamp": CREATED}, "spec": SPEC}


async def test_a_standby_queues_nothing_however_many_resources_come_and_go() -> None:
    cache, queue = InformerCache(), WorkQueue[Key](accepting=False)
    informer = Informer(config(), cache, queue, WatchLiveness())
    for number in range(5000):
        informer.on_resource_event("ADDED", body(number, 2 * number))
        informer.on_resource_event("DELETED", body(number, 2 * number + 1))
    assert (len(queue), len(cache)) == (0, 0)


async def test_a_standby_that_becomes_the_leader_reconciles_everything_once() -> None:
    cache, queue = InformerCache(), WorkQueue[Key](accepting=False)
    known: list[Resource] = [resource(SPEC, name=f"job-{number}", uid=f"uid-{number}") for number in range(3)]
    for item in known:
        cache.put_resource(item)
        queue.add(item.key)
    queue.accept(cache.known_keys())
    assert [await queue.get() for _ in range(len(queue))] == [item.key for item in known]
    queue.add(Key("team-a", "new"))
    assert len(queue) == 1


class Stored:
    """A Lease, for one candidate alone."""

    def __init__(self, holder: str) -> None:
        self.lease = Lease(holder, "", 1, "7", 60)

    async def read(self) -> Lease:
        return self.lease

    async def write(self, lease: Lease, _seconds: int) -> Lease:
        self.lease = lease
        return lease


@asynccontextmanager
async def standby(server: ScriptedApiserver, lease: Stored) -> AsyncIterator[tuple[Parts, asyncio.Event]]:
    """Run a replica that waits for the lease. Its watches show nothing: they have died unnoticed."""
    async with connected(server) as connection:
        parts, acquired, leading = Parts(connection, accepting=False), asyncio.Event(), asyncio.Event()
        elector = LeaderElector(cast(Any, lease), "operator-2", 0.3)
        tasks = [
            asyncio.create_task(lead(config(), elector, parts.resync, acquired)),
            asyncio.create_task(start_reconciles(parts.resync, parts.queue, parts.cache, acquired, leading)),
            asyncio.create_task(parts.controller.run_worker(leading)),
        ]
        await parts.resync.list_all()
        try:
            yield parts, leading
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_standby_whose_watches_are_dead_creates_no_job_for_a_resource_that_has_ended() -> None:
    async with scripted_apiserver() as server:
        put_resource(server)
        lease = Stored("operator-1")
        async with standby(server, lease) as (parts, leading):
            end_elsewhere(server)
            lease.lease = dataclasses.replace(lease.lease, holder="")
            await until(lambda: leading.is_set() and parts.queue.idle)
            assert server.count("POST") == 0
            assert stored_status(server)["phase"] == "Complete"


async def test_a_standby_that_cannot_list_when_it_takes_the_lead_acts_once_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transcription_operator.watch.resync.RETRY_SECONDS", 0.01)
    async with scripted_apiserver() as server:
        put_resource(server)
        lease = Stored("operator-1")
        async with standby(server, lease) as (_, leading):
            server.faults.append(lambda _request: error_response(500, "InternalError"))
            lease.lease = dataclasses.replace(lease.lease, holder="")
            lists = server.count("GET")
            await until(lambda: lease.lease.holder == "operator-2" and server.count("GET") > lists + 3)
            assert not leading.is_set()
            server.faults.clear()
            await until(lambda: stored_status(server).get("phase") == "Pending")
