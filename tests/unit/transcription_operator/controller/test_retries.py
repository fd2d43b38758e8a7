"""Whatever fails, for however long: the apiserver is asked less and less often, and a change is still handled soon."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from transcription_api import names
from transcription_operator.cluster import Connection
from transcription_operator.models.objects import Key, Owner
from transcription_operator.models.ownership import job_name
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import SPEC, owned_job_meta
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import (
    Fault,
    Json,
    ScriptedApiserver,
    connected,
    error_response,
    scripted_apiserver,
)

KEY = Key("team-a", "interview")
RESOURCE = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/interview"
OWNER = Owner(KEY, "uid-of-interview")
JOB = f"/apis/batch/v1/namespaces/team-a/jobs/{job_name(OWNER, 1)}"
# Seconds that a test watches, and the most reconciles in it: after 0.1, 0.3 and 0.7 s, and one more.
WATCHED = 1.0
MOST = 6


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        put_resource(server)
        yield server


@pytest.fixture
async def connection(apiserver: ScriptedApiserver) -> AsyncIterator[Connection]:
    async with connected(apiserver) as connection:
        yield connection


def put_resource(apiserver: ScriptedApiserver, **spec: object) -> Json:
    meta = {"name": "interview", "namespace": "team-a", "generation": 1}
    return apiserver.put(RESOURCE, {"kind": names.KIND, "metadata": meta, "spec": SPEC | spec})


def refuse_status(code: int, reason: str, headers: dict[str, str] | None = None) -> Fault:
    def fault(request: web.Request) -> web.Response | None:
        return error_response(code, reason, headers) if request.method == "PUT" else None

    return fault


@pytest.mark.parametrize(("code", "reason"), [(409, "Conflict"), (404, "NotFound"), (500, "InternalError")])
async def test_an_error_that_stays_is_met_less_and_less_often(
    apiserver: ScriptedApiserver, connection: Connection, code: int, reason: str
) -> None:
    apiserver.faults.append(refuse_status(code, reason))
    parts = Parts(connection)
    async with parts.working():
        await parts.resync.list_all()
        await asyncio.gather(until(lambda: apiserver.count("PUT") >= 2), asyncio.sleep(WATCHED))
    assert apiserver.count("PUT") <= MOST


async def test_after_a_restore_of_etcd_a_resource_is_read_again_and_goes_on(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """Versions have gone back, so that the resource that the operator knows looks newer than the one that exists."""
    backup = apiserver.objects, apiserver.version
    parts = Parts(connection)
    for _ in range(50):
        put_resource(apiserver)
    await parts.resync.list_all()
    apiserver.restore({RESOURCE: backup[0][RESOURCE] | {"status": {}}}, backup[1])
    apiserver.objects[RESOURCE]["metadata"]["resourceVersion"] = str(backup[1])
    async with parts.working():
        await until(lambda: apiserver.objects[RESOURCE]["status"].get("phase"))
    assert apiserver.count("PUT") <= 3


async def test_a_full_list_tells_of_a_restore_of_etcd(apiserver: ScriptedApiserver, connection: Connection) -> None:
    parts = Parts(connection)
    early = dict(apiserver.objects[RESOURCE])
    version = apiserver.version
    put_resource(apiserver, language="pt")
    apiserver.put(JOB, owned_job())
    await parts.resync.list_all()
    apiserver.restore({RESOURCE: early}, version)
    await parts.resync.list_all()
    known = parts.cache.resource(KEY)
    assert known is not None
    assert "language" not in known.spec
    assert parts.cache.jobs(known) == ()  # it was created after the backup


async def test_a_resource_that_a_restore_brings_back_is_reconciled(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """It has the uid of the one that was deleted."""
    parts = Parts(connection)
    backup, version = dict(apiserver.objects), apiserver.version
    await parts.resync.list_all()
    gone = apiserver.remove(RESOURCE)
    parts.informer.on_resource_event("DELETED", gone)
    apiserver.restore(backup, version)
    await parts.resync.list_all()
    assert parts.cache.resource(KEY) is not None


async def test_a_late_event_of_a_deleted_resource_does_not_bring_it_back_after_the_next_list(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    parts = Parts(connection)
    await parts.resync.list_all()
    late = put_resource(apiserver)
    parts.informer.on_resource_event("DELETED", apiserver.remove(RESOURCE))
    await parts.resync.list_all()
    parts.informer.on_resource_event("MODIFIED", late)
    assert parts.cache.resource(KEY) is None


def owned_job(uid: str | None = None) -> Json:
    meta = owned_job_meta(OWNER) | ({"uid": uid} if uid else {})
    return {"kind": "Job", "metadata": meta, "spec": {}, "status": {}}


async def test_a_job_whose_deletion_no_watch_has_shown_is_looked_for_after_a_conflict(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """Somebody has made another one of the same name, which belongs to the resource too."""
    parts = Parts(connection)
    apiserver.put(JOB, owned_job("first"))
    put_resource(apiserver, suspend=True)
    await parts.resync.list_all()
    apiserver.remove(JOB)
    apiserver.put(JOB, owned_job("second"))
    async with parts.working():
        await until(lambda: apiserver.objects[JOB]["spec"].get("suspend"))
    known = parts.cache.resource(KEY)
    assert known is not None
    assert [job.uid for job in parts.cache.jobs(known)] == ["second"]


async def test_a_job_that_somebody_resumes_again_and_again_is_suspended_less_and_less_often(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    apiserver.put(JOB, owned_job())
    put_resource(apiserver, suspend=True)

    def resume(request: web.Request) -> web.Response | None:
        if request.method != "PATCH":
            return None
        return web.json_response(apiserver.put(request.path, apiserver.objects[request.path]))

    apiserver.faults.append(resume)
    parts = Parts(connection)
    async with parts.working():
        await parts.resync.list_all()
        await asyncio.sleep(WATCHED)
    assert apiserver.count("PATCH") <= MOST * 3  # three in a reconcile


async def test_a_throttled_request_is_not_sent_again_before_the_apiserver_wants_it(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """Not even if the resource changes meanwhile."""
    apiserver.faults.append(refuse_status(429, "TooManyRequests", {"Retry-After": "4"}))
    parts = Parts(connection)
    async with parts.working():
        await parts.resync.list_all()
        await until(lambda: apiserver.count("PUT") == 1)
        refused = time.monotonic()
        while time.monotonic() < refused + 1.5:
            parts.informer.on_resource_event("MODIFIED", put_resource(apiserver))
            await asyncio.sleep(0.1)
        assert apiserver.count("PUT") == 1
        apiserver.faults.clear()
        await until(lambda: apiserver.objects[RESOURCE].get("status"))


async def test_events_do_not_make_a_failing_key_run_hot(apiserver: ScriptedApiserver, connection: Connection) -> None:
    """Each reconcile of a resource whose status write fails may cause the event that queues it again."""
    parts = Parts(connection)

    def change(request: web.Request) -> web.Response | None:
        if request.method != "PUT":
            return None
        parts.informer.on_resource_event("MODIFIED", put_resource(apiserver))
        return error_response(500, "InternalError")

    apiserver.faults.append(change)
    async with parts.working():
        await parts.resync.list_all()
        await asyncio.sleep(WATCHED)
    assert apiserver.count("PUT") <= MOST


async def test_a_change_of_a_resource_that_has_failed_for_long_is_handled_soon(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    parts = Parts(connection)
    await parts.resync.list_all()
    for _ in range(12):
        waiting = parts.queue.add_rate_limited(KEY)
    assert waiting > 20
    async with parts.working():
        await until(lambda: parts.queue.idle)
        began = time.monotonic()
        parts.informer.on_resource_event("MODIFIED", put_resource(apiserver))
        await until(lambda: apiserver.objects[RESOURCE].get("status"))
        assert time.monotonic() - began < 10


async def test_a_defect_that_stays_is_counted_and_logged_at_each_try_and_no_more_often(
    apiserver: ScriptedApiserver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(connection)
    await parts.resync.list_all()

    def fail(_: object) -> None:
        raise ZeroDivisionError("a defect")

    parts.cache.jobs = fail  # type: ignore[method-assign, assignment]
    async with parts.working():
        await asyncio.gather(until(lambda: parts.errors("Defect") >= 2), asyncio.sleep(WATCHED))
    logged = [record for record in caplog.records if record.exc_info]
    assert parts.errors("Defect") == len(logged) <= MOST


async def test_a_key_that_changes_while_it_fails_waits_as_well() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add_rate_limited("a")
    queue.done("a")
    assert len(queue) == 0
    assert await asyncio.wait_for(queue.get(), 1) == "a"


async def test_a_change_does_not_delay_a_retry_that_is_due_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription_operator.work_queue.CHANGE_RETRY_SECONDS", 60.0)
    queue: WorkQueue[str] = WorkQueue()
    queue.add_rate_limited("a")
    began = time.monotonic()
    queue.add("a")
    await queue.get()
    assert time.monotonic() - began < 30


async def test_a_key_that_is_well_again_is_processed_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_rate_limited("a")
    queue.forget("a")
    queue.add("a")
    assert len(queue) == 1
    queue.add_after("a", None)
