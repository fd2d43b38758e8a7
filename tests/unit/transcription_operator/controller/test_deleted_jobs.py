"""A Job that is being deleted holds a resource up only until it is gone, and one that is gone may not be followed by another."""

from datetime import UTC, datetime

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import Report, encode_report, failure

from tests.support.decisions import GOOD
from tests.support.kubernetes_objects import FINISHED, STARTED
from tests.support.many_files import MANY, PLAN, World, ended
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver
from tests.support.scripted_resource import (
    KEY,
    PATH,
    WRITE,
    condition,
    end_elsewhere,
    job_path,
    put_job,
    put_pod,
    put_resource,
    running_job,
    start,
    stored_status,
)


async def delete_job(server: ScriptedApiserver, parts: Parts) -> None:
    """Let somebody delete the Job, which a finalizer keeps for a while; the operator sees that."""
    job = server.objects[job_path(server)]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    server.put(job_path(server), job | {"metadata": job["metadata"] | {"deletionTimestamp": now}})
    put_job(server, parts)
    await until(lambda: condition(server, "Running").get("reason") == "JobLost")


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_next_job_is_created_although_no_watch_has_shown_the_end_of_the_one_before(restarted: bool) -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        await delete_job(server, parts)
        server.remove(job_path(server))
        if restarted:
            await parts.resync.list_all()
        parts.queue.add(KEY)  # as it is after DELETION_REQUEUE_SECONDS
        await until(lambda: stored_status(server)["jobRef"]["ordinal"] == 2)


@pytest.mark.parametrize("report", [GOOD, failure(reasons.NO_SUCH_KEY, "no object")], ids=["complete", "failed"])
async def test_a_job_that_is_deleted_as_soon_as_it_has_ended_is_asked_for_its_end_while_it_is_there(
    report: Report,
) -> None:
    """A policy sets ttlSecondsAfterFinished to 0. Its controller deletes in the foreground, so that the pods go first."""
    async with scripted_apiserver() as server, running_job(server) as parts:
        start(server, parts)
        await until(lambda: condition(server, "Running").get("reason") == "WorkerRunning")
        code = exit_codes.SOURCE_NOT_FOUND if report.reason else exit_codes.OK
        state = {"exitCode": code, "message": encode_report(report).decode(), "startedAt": STARTED}
        put_pod(server, {"terminated": state | {"finishedAt": FINISHED}}, phase="Failed" if code else "Succeeded")
        job = server.objects[job_path(server)]
        meta = job["metadata"] | {"deletionTimestamp": FINISHED, "finalizers": ["foregroundDeletion"]}
        end = {"type": "Failed" if code else "Complete", "status": "True", "lastTransitionTime": FINISHED}
        server.put(job_path(server), job | {"metadata": meta, "status": {"startTime": STARTED, "conditions": [end]}})
        parts.informer.on_job_event("MODIFIED", server.objects[job_path(server)])
        await until(lambda: stored_status(server)["phase"] in ("Complete", "Failed"))
        assert stored_status(server).get("failure", {}).get("reason") == report.reason
        assert server.count("POST /apis/batch/v1") == 1


async def test_no_job_is_created_while_the_one_before_is_being_deleted() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        await delete_job(server, parts)
        parts.queue.add(KEY)
        await until(lambda: parts.queue.idle)
        assert stored_status(server)["jobRef"]["ordinal"] == 1
        assert server.count("POST /apis/batch/v1") == 1


@pytest.mark.parametrize("foreground", [False, True])
async def test_no_job_is_created_for_a_resource_whose_deletion_is_shown_later_than_its_jobs(foreground: bool) -> None:
    """The garbage collector deletes the Job, and the watches of resources and Jobs do not wait for each other."""
    async with scripted_apiserver() as server, running_job(server) as parts:
        if foreground:
            resource = server.objects[PATH]
            deletion = {"deletionTimestamp": "2026-01-01T10:06:00Z", "finalizers": ["foregroundDeletion"]}
            server.put(PATH, resource | {"metadata": resource["metadata"] | deletion})
        else:
            server.remove(PATH)
        gone = server.remove(job_path(server))
        parts.informer.on_job_event("DELETED", gone)
        await until(lambda: parts.queue.idle)
        assert server.count("POST /apis/batch/v1") == 1


async def test_no_job_is_created_for_a_resource_whose_end_is_shown_later_than_its_jobs() -> None:
    """Another replica led meanwhile, wrote the end, and deleted the Job."""
    async with scripted_apiserver() as server, running_job(server) as parts:
        await until(lambda: parts.queue.idle)
        end_elsewhere(server)
        gone = server.remove(job_path(server))
        parts.informer.on_job_event("DELETED", gone)
        await until(lambda: parts.queue.idle)
        assert server.count("POST /apis/batch/v1") == 1
        assert server.count(WRITE) == 1


async def test_no_job_of_the_next_phase_is_created_for_a_resource_whose_end_no_watch_has_shown() -> None:
    """Another replica led meanwhile, transcribed and collected the files, and the garbage collector took the Jobs."""
    planned = World()
    planned.settle()
    planned.end_job("Complete", ended(Report(plan=PLAN)), succeeded=1)
    planned.reconcile()
    async with scripted_apiserver() as server, connected(server) as connection:
        put_resource(server)
        server.put(PATH, server.objects[PATH] | {"spec": MANY, "status": planned.status})
        parts = Parts(connection)
        await parts.resync.list_all()
        end_elsewhere(server)
        async with parts.working():
            parts.queue.add(KEY)
            await until(lambda: parts.queue.idle)
        assert server.count("POST /apis/batch/v1") == 0
        assert parts.errors("Defect") == 0
