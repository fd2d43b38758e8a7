"""Results are deleted after their resource by what the apiserver has, whatever the operator saw or missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from transcription_api import names

from tests.support.kubernetes_objects import FINISHED, SPEC, config
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import Json, ScriptedApiserver, connected, error_response, scripted_apiserver
from tests.support.scripted_resource import KEY, PATH, put_pod, put_resource, stored_status

DELETING = SPEC | {"deletionPolicy": "DeleteResults"}


def deletion_path(server: ScriptedApiserver) -> str | None:
    return next((path for path in server.objects if "/jobs/" in path and path.endswith("-0")), None)


def parallelism(server: ScriptedApiserver) -> int:
    path = deletion_path(server)
    assert path is not None
    return int(server.objects[path]["spec"]["parallelism"])


@contextlib.asynccontextmanager
async def operator(server: ScriptedApiserver, **settings: str) -> AsyncIterator[Parts]:
    """Run a worker of the queue after everything was listed."""
    async with connected(server) as connection:
        parts = Parts(connection, config(**settings))
        async with parts.working():
            await parts.resync.list_all()
            await until(lambda: parts.queue.idle)
            yield parts


async def prepared(server: ScriptedApiserver) -> None:
    """Let an operator prepare the deletion and create the Job that transcribes, and end."""
    put_resource(server)
    server.put(PATH, server.objects[PATH] | {"spec": DELETING})
    async with operator(server):
        await until(lambda: stored_status(server).get("phase") == "Pending")
    jobs = [path for path in server.objects if "/jobs/" in path]
    assert len(jobs) == 2
    assert parallelism(server) == 0


def collect_garbage(server: ScriptedApiserver) -> None:
    """Delete the Job whose owner is gone."""
    for path in [path for path in server.objects if "/jobs/" in path and not path.endswith("-0")]:
        server.remove(path)


async def test_a_deletion_that_no_operator_saw_is_made_up_for_by_the_next_one() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        server.remove(PATH)
        collect_garbage(server)
        async with operator(server):
            await until(lambda: parallelism(server) == 1)


async def test_a_replica_that_knew_the_job_before_it_led_looks_at_it_when_it_leads() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        server.remove(PATH)
        collect_garbage(server)
        async with connected(server) as connection:
            parts = Parts(connection, accepting=False)
            await parts.resync.list_all()
            parts.queue.accept(parts.cache.known_keys())
            async with parts.working():
                await until(lambda: parallelism(server) == 1)


async def test_a_policy_that_forbids_the_release_is_told_and_it_is_tried_again() -> None:
    def refuse(request: web.Request) -> web.StreamResponse | None:
        denied = request.method == "PATCH" and request.path.endswith("-0")
        return error_response(403, "Forbidden") if denied else None

    async with scripted_apiserver() as server:
        await prepared(server)
        server.remove(PATH)
        collect_garbage(server)
        server.faults.append(refuse)
        async with operator(server) as parts:
            recording = asyncio.create_task(parts.controller.reconciler.applier.recorder.run())
            await until(lambda: [path for path in server.objects if "/events/" in path])
            recording.cancel()
            assert parallelism(server) == 0
            assert parts.errors("Defect") == 0


async def test_every_list_looks_at_the_jobs_of_resources_that_are_gone() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        async with operator(server) as parts:
            server.remove(PATH)  # no watch shows it, and the cache forgets it by a list alone
            collect_garbage(server)
            known = parts.cache.resource(KEY)
            assert known is not None
            parts.cache.remove_resource(known)
            await parts.resync.list_all()
            await until(lambda: parallelism(server) == 1)


async def test_a_deletion_that_the_operator_sees_waits_until_the_jobs_of_the_resource_are_gone() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        async with operator(server) as parts:
            parts.informer.on_resource_event("DELETED", server.remove(PATH))
            await until(lambda: parts.queue.idle)
            assert parallelism(server) == 0
            for path in [path for path in server.objects if "/jobs/" in path and not path.endswith("-0")]:
                parts.informer.on_job_event("DELETED", server.remove(path))
            parts.queue.add(KEY)  # as it is after WRITERS_REQUEUE_SECONDS
            await until(lambda: parallelism(server) == 1)


async def test_nothing_is_deleted_while_a_pod_may_still_write() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        put_pod(server, {"running": {"startedAt": FINISHED}}, phase="Running")
        server.remove(PATH)
        collect_garbage(server)
        async with operator(server):
            assert parallelism(server) == 0
        assert server.count("transcription.dev%2Fuid%3D") or server.count("transcription.dev/uid%3D")


async def test_nothing_is_deleted_for_a_resource_that_the_apiserver_still_has_or_may_have() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        async with operator(server) as parts:
            # A watch that lies, or one that is about another object of this name.
            parts.informer.on_resource_event("DELETED", server.objects[PATH])
            parts.queue.add(KEY)
            await until(lambda: parts.queue.idle)
            assert parallelism(server) == 0
        kept = server.objects.pop(PATH)
        unknown = _unknown_definition
        server.faults.append(unknown)
        async with connected(server) as connection:
            parts = Parts(connection)
            async with parts.working():
                await parts.resync.list_all()
                await until(lambda: parts.queue.idle)
        assert parallelism(server) == 0
        server.faults.remove(unknown)
        server.objects[PATH] = kept
        async with operator(server):
            assert parallelism(server) == 0


def _unknown_definition(request: web.Request) -> web.StreamResponse | None:
    """Answer as an apiserver without the custom resource definition."""
    if f"/apis/{names.GROUP}" not in request.path:
        return None
    return error_response(404, "NotFound")


async def test_a_new_resource_of_the_same_name_keeps_its_own_job_and_the_old_one_is_released() -> None:
    async with scripted_apiserver() as server:
        await prepared(server)
        old = deletion_path(server)
        gone = server.remove(PATH)
        collect_garbage(server)
        meta: Json = gone["metadata"] | {"uid": "another"}
        server.put(PATH, gone | {"metadata": meta, "status": {}})
        async with operator(server):
            paths = [path for path in server.objects if path.endswith("-0")]
            assert len(paths) == 2
            assert {path: server.objects[path]["spec"]["parallelism"] for path in paths} == {
                path: int(path == old) for path in paths
            }


async def ended(server: ScriptedApiserver, kind: str, **fields: Any) -> list[Json]:
    """Let the released Job end and an operator see it, and return the events that it leaves."""
    await prepared(server)
    server.remove(PATH)
    collect_garbage(server)
    path = deletion_path(server)
    assert path is not None
    job = server.objects[path]
    condition = {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "no try is left"}
    condition["lastTransitionTime"] = FINISHED
    spec = job["spec"] | {"parallelism": 1}
    server.put(path, job | {"spec": spec, "status": {"startTime": FINISHED, "conditions": [condition], **fields}})
    async with operator(server) as parts:
        recording = asyncio.create_task(parts.controller.reconciler.applier.recorder.run())
        await until(lambda: [path for path in server.objects if "/events/" in path])
        recording.cancel()
    return [body for path, body in server.objects.items() if "/events/" in path]


async def test_a_job_that_has_deleted_the_results_is_deleted() -> None:
    async with scripted_apiserver() as server:
        [event] = await ended(server, "Complete")
        assert deletion_path(server) is None
        assert (event["type"], event["reason"], event["involvedObject"]["kind"]) == ("Normal", "ResultsDeleted", "Job")


async def test_a_job_that_could_not_stays_and_an_event_of_it_says_why() -> None:
    async with scripted_apiserver() as server:
        [event] = await ended(server, "Failed", failed=1)
        assert deletion_path(server) is not None
        assert (event["type"], event["reason"]) == ("Warning", "ResultsNotDeleted")
        assert "no try is left" in event["message"]
        async with connected(server) as connection:
            parts = Parts(connection)
            await parts.resync.list_all()
            assert parts.cache.failed_deletions() == 1


async def test_a_policy_that_forbids_the_deletion_of_an_old_job_stops_no_new_resource_of_the_same_name() -> None:
    def refuse(request: web.Request) -> web.StreamResponse | None:
        denied = request.method == "DELETE" and request.path.endswith("-0")
        return error_response(403, "Forbidden") if denied else None

    async with scripted_apiserver() as server:
        await prepared(server)
        old = deletion_path(server)
        assert old is not None
        done = {"type": "Complete", "status": "True", "lastTransitionTime": FINISHED}
        server.put(old, server.objects[old] | {"status": {"conditions": [done], "succeeded": 1}})
        gone = server.remove(PATH)
        collect_garbage(server)
        server.put(PATH, gone | {"metadata": gone["metadata"] | {"uid": "another"}, "status": {}})
        server.faults.append(refuse)
        async with operator(server) as parts:
            await until(lambda: stored_status(server).get("phase") == "Pending")
            recorder = asyncio.create_task(parts.controller.reconciler.applier.recorder.run())
            await until(lambda: [path for path in server.objects if "/events/" in path])
            recorder.cancel()
            assert [parts.errors(kind) for kind in ("Api", "Defect")] == [0, 0]
        assert old in server.objects
