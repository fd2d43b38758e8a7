"""A status that the schema in the cluster refuses is written without what it refuses, once, and the outcome gets through."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from transcription_api import names
from transcription_api.report import Report, encode_report
from transcription_operator.models.objects import Key

from tests.support.decisions import GOOD
from tests.support.kubernetes_objects import FINISHED, SPEC, STARTED
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import Json, ScriptedApiserver, connected, scripted_apiserver

KEY = Key("team-a", "a")
PATH = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/a"
WRITE = f"PUT {PATH}/status"
PODS = "/api/v1/namespaces/team-a/pods"


@contextlib.asynccontextmanager
async def running_job(server: ScriptedApiserver) -> AsyncIterator[Parts]:
    """Run a worker of the queue until the resource's Job exists."""
    meta = {"namespace": "team-a", "name": "a", "generation": 1}
    server.put(PATH, {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta, "spec": SPEC})
    async with connected(server) as connection:
        parts = Parts(connection)
        async with parts.working():
            await parts.resync.list_all()
            await until(lambda: status(server).get("phase") == "Pending")
            yield parts


def status(server: ScriptedApiserver) -> Json:
    found: Json = server.objects[PATH].get("status") or {}
    return found


def condition(server: ScriptedApiserver, kind: str) -> Json:
    return next((item for item in status(server).get("conditions", ()) if item["type"] == kind), {})


def job_path(server: ScriptedApiserver) -> str:
    return next(path for path in server.objects if "/jobs/" in path)


def put_pod(server: ScriptedApiserver, state: Json, **fields: Any) -> None:
    job = server.objects[job_path(server)]["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["name"], "uid": job["uid"], "controller": True}
    meta = {"namespace": "team-a", "name": "pod", "ownerReferences": [owner]}
    container = {"name": names.CONTAINER_NAME, "state": state}
    server.put(f"{PODS}/pod", {"metadata": meta, "status": {"containerStatuses": [container], **fields}})


def put_job(server: ScriptedApiserver, parts: Parts, **fields: Any) -> None:
    """Write the Job's status, and let the operator see it."""
    job = server.objects[job_path(server)]
    changed = server.put(job_path(server), job | {"status": {"startTime": STARTED, **fields}})
    parts.informer.on_job_event("MODIFIED", changed)


def start(server: ScriptedApiserver, parts: Parts) -> None:
    put_pod(server, {"running": {"startedAt": STARTED}}, phase="Running")
    put_job(server, parts, active=1, ready=1)


def complete(server: ScriptedApiserver, parts: Parts, report: Report = GOOD) -> None:
    ended = {"exitCode": 0, "message": encode_report(report).decode(), "startedAt": STARTED, "finishedAt": FINISHED}
    put_pod(server, {"terminated": ended}, phase="Succeeded")
    done = {"type": "Complete", "status": "True", "lastTransitionTime": FINISHED}
    put_job(server, parts, succeeded=1, completionTime=FINISHED, conditions=[done])


async def reconciled_again(server: ScriptedApiserver, parts: Parts, times: int = 3) -> int:
    """Reconcile the resource several times; return how often its status was written."""
    written = server.count(WRITE)
    for _ in range(times):
        parts.queue.add(KEY)
        await until(lambda: parts.queue.idle)
    return server.count(WRITE) - written


async def test_the_outcome_is_written_without_the_field_that_a_stricter_schema_refuses() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.device.name"] if "device" in status else []
        complete(server, parts)
        await until(lambda: status(server).get("phase") == "Complete")
        assert condition(server, "Complete")["status"] == "True"
        assert (condition(server, "Degraded")["status"], condition(server, "Degraded")["reason"]) == (
            "True",
            "StatusRejected",
        )
        assert "status.device.name: Invalid value: Too long" in condition(server, "Degraded")["message"]
        assert "device" not in status(server)
        assert (status(server)["language"], len(status(server)["results"])) == ("pt", 2)
        assert await reconciled_again(server, parts) == 0


async def test_the_outcome_alone_is_written_where_nothing_says_which_field_is_refused() -> None:
    allowed = {"observedGeneration", "phase", "conditions", "results"}
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: [""] if status.get("results") or set(status) - allowed else []
        complete(server, parts)
        await until(lambda: status(server).get("phase") == "Complete")
        assert condition(server, "Complete")["reason"] == "ResultsVerified"
        assert condition(server, "Degraded")["reason"] == "StatusRejected"
        assert set(status(server)) <= allowed
        assert await reconciled_again(server, parts) == 0


async def test_a_running_resource_whose_status_is_refused_is_not_written_again_and_ends_complete() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.startTime"] if "startTime" in status else []
        start(server, parts)
        await until(lambda: status(server).get("phase") == "Running")
        assert condition(server, "Degraded")["reason"] == "StatusRejected"
        assert await reconciled_again(server, parts) == 0
        complete(server, parts)
        await until(lambda: status(server).get("phase") == "Complete")
        assert await reconciled_again(server, parts) == 0


async def test_a_status_is_whole_again_once_the_schema_allows_it() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.startTime"] if "startTime" in status else []
        start(server, parts)
        await until(lambda: status(server).get("phase") == "Running")
        server.invalid_fields = lambda _status: []
        complete(server, parts)
        await until(lambda: status(server).get("phase") == "Complete")
        assert status(server)["startTime"] == STARTED
        assert condition(server, "Degraded") == {}


async def test_a_status_of_which_nothing_is_accepted_is_tried_again_after_a_delay() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda _status: ["status.phase"]
        written = server.count(WRITE)
        start(server, parts)
        await until(lambda: parts.errors("Api") >= 3)
        assert server.count(WRITE) - written <= 2 * (parts.errors("Api") + 1)
        server.invalid_fields = lambda _status: []
        await until(lambda: status(server).get("phase") == "Running")


async def test_what_only_a_newer_operator_knows_of_a_status_stays_there() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        known = server.objects[PATH]
        newer = {"speakers": [{"name": "A"}], "precision": {"weights": "int8"}}
        changed = server.put(PATH, known | {"status": known["status"] | newer})
        parts.informer.on_resource_event("MODIFIED", changed)
        complete(server, parts)
        await until(lambda: status(server).get("phase") == "Complete")
        assert {name: status(server).get(name) for name in newer} == newer
        assert await reconciled_again(server, parts) == 0
