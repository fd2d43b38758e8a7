"""The workers of the queue lose no key, whatever a reconcile fails on."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from transcription_api.bounds import read_leniently
from transcription_operator.cluster import ApiError, Connection, KubernetesClient
from transcription_operator.cluster.connection import Response
from transcription_operator.controller.apply import Applier
from transcription_operator.controller.controller import Controller
from transcription_operator.controller.event_recorder import EventRecorder
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.controller.node_reader import NodeReader
from transcription_operator.controller.observe import Observer
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.controller.reconciler import Reconciler
from transcription_operator.models.objects import Key
from transcription_operator.observability.metrics import Metrics
from transcription_operator.reconcile import stored_status
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import SPEC, config, resource

PATIENCE = 60.0  # seconds


class Apiserver(Connection):
    """An apiserver that accepts every write, and returns what was written with a uid and a version."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), lambda: self.leading)
        self.leading = True
        self.failures: list[Exception] = []
        self.writes: list[str] = []

    async def _send(self, method: str, path: str, body: dict[str, Any] | None, *_: Any) -> Response:
        if self.failures:
            raise self.failures.pop()
        assert body is not None
        self.writes.append(f"{method} {path.rpartition('/')[2]}")
        own = {"uid": "uid-1", "creationTimestamp": "2026-01-01T10:00:00Z"}
        metadata = own | body["metadata"] | {"resourceVersion": str(7 + len(self.writes))}
        return Response(200, json.dumps(body | {"metadata": metadata}).encode())


@pytest.fixture
def apiserver() -> Apiserver:
    return Apiserver()


@contextlib.asynccontextmanager
async def working(apiserver: Apiserver) -> Any:
    """Run a worker with one resource to reconcile."""
    client, queue, cache, metrics = KubernetesClient(apiserver), WorkQueue[Key](), InformerCache(), Metrics()
    poller = ProgressPoller(1.0, queue.add, client.now)
    observer = Observer(client, cache, poller, JobEventReader(client), NodeReader(client, False))
    applier = Applier(client, cache, EventRecorder(client, lambda: False))
    reconciler = Reconciler(config(), observer, applier, queue, poller, metrics)
    controller = Controller(reconciler, client, cache, queue, metrics)
    known = resource(SPEC)
    cache.put_resource(known)
    queue.add(known.key)
    leading = asyncio.Event()
    leading.set()
    worker = asyncio.create_task(controller.run_worker(leading))
    try:
        yield metrics
    finally:
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker


async def until(there: Callable[[], Any]) -> None:
    while not there():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.001)


async def until_failed(metrics: Metrics, kind: str) -> None:
    await until(lambda: metrics.registry.get_sample_value("transcription_reconcile_errors_total", {"kind": kind}))


async def until_written(apiserver: Apiserver) -> None:
    await until(lambda: len(apiserver.writes) >= 2)


async def test_what_is_held_back_while_the_lease_is_late_is_done_once_it_is_renewed(apiserver: Apiserver) -> None:
    apiserver.leading = False
    async with asyncio.timeout(PATIENCE), working(apiserver) as metrics:
        await until_failed(metrics, "NotLeading")
        assert apiserver.writes == []
        apiserver.leading = True
        await until_written(apiserver)
    assert apiserver.writes == ["POST jobs", "PUT status"]


@pytest.mark.parametrize(
    ("error", "kind"), [(ConnectionResetError("gone"), "Unreachable"), (ZeroDivisionError("a defect"), "Defect")]
)
async def test_what_fails_is_done_again(apiserver: Apiserver, error: Exception, kind: str) -> None:
    apiserver.failures.append(error)
    async with asyncio.timeout(PATIENCE), working(apiserver) as metrics:
        await until_failed(metrics, kind)
        await until_written(apiserver)
    assert apiserver.writes == ["POST jobs", "PUT status"]


async def test_what_goes_wrong_while_the_cache_is_refreshed_ends_no_worker(apiserver: Apiserver) -> None:
    apiserver.failures += [ZeroDivisionError("a defect"), ApiError(409, "Conflict", "the object has been modified")]
    async with asyncio.timeout(PATIENCE), working(apiserver) as metrics:
        await until_failed(metrics, "Conflict")
        await until_written(apiserver)
    assert apiserver.writes == ["POST jobs", "PUT status"]


async def test_a_stored_status_is_parsed_once_in_a_reconcile_of_several_rounds(
    apiserver: Apiserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Any] = []

    def counting(cls: type, value: Any) -> Any:
        parsed.append(dict(value))
        return read_leniently(cls, value)

    monkeypatch.setattr(stored_status, "read_leniently", counting)
    async with asyncio.timeout(PATIENCE), working(apiserver):
        await until_written(apiserver)
    assert apiserver.writes == ["POST jobs", "PUT status"]  # observed and decided twice: before the Job and after it
    assert parsed == [{}]
