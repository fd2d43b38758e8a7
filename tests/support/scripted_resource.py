"""One TranscriptionJob on an apiserver in memory, and its Job and pod as the Job controller and the kubelet write them."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from transcription_api import names
from transcription_api.report import Report, encode_report
from transcription_operator.models.objects import Key

from tests.support.decisions import GOOD
from tests.support.kubernetes_objects import FINISHED, SPEC, STARTED
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import Json, ScriptedApiserver, connected

KEY = Key("team-a", "a")
PATH = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/a"
WRITE = f"PUT {PATH}/status"
PODS = "/api/v1/namespaces/team-a/pods"


@contextlib.asynccontextmanager
async def running_job(server: ScriptedApiserver) -> AsyncIterator[Parts]:
    """Run a worker of the queue until the resource's Job exists."""
    put_resource(server)
    async with connected(server) as connection:
        parts = Parts(connection)
        async with parts.working():
            await parts.resync.list_all()
            await until(lambda: stored_status(server).get("phase") == "Pending")
            yield parts


def put_resource(server: ScriptedApiserver) -> None:
    """Create the resource."""
    meta = {"namespace": "team-a", "name": "a", "generation": 1}
    server.put(PATH, {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta, "spec": SPEC})


def end_elsewhere(server: ScriptedApiserver) -> None:
    """Complete the resource as another replica does. No watch shows it."""
    words = {"reason": "ResultsVerified", "message": "2 objects seen"}
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": FINISHED, "observedGeneration": 1, **words}
    status = stored_status(server) | {"phase": "Complete", "conditions": [complete]}
    server.put(PATH, server.objects[PATH] | {"status": status})


def stored_status(server: ScriptedApiserver) -> Json:
    found: Json = server.objects[PATH].get("status") or {}
    return found


def condition(server: ScriptedApiserver, kind: str) -> Json:
    return next((item for item in stored_status(server).get("conditions", ()) if item["type"] == kind), {})


def job_path(server: ScriptedApiserver) -> str:
    return next(path for path in server.objects if "/jobs/" in path)


def job_reference(server: ScriptedApiserver) -> Json:
    """Return the owner reference that the Job controller gives to a pod."""
    job = server.objects[job_path(server)]["metadata"]
    return {"apiVersion": "batch/v1", "kind": "Job", "name": job["name"], "uid": job["uid"], "controller": True}


def put_pod(
    server: ScriptedApiserver, state: Json, name: str = "pod", owner: Json | None = None, **fields: Any
) -> None:
    """Write a pod and its status. Its owner is the Job unless another one is given."""
    meta = {"namespace": "team-a", "name": name, "ownerReferences": [owner or job_reference(server)]}
    container = {"name": names.CONTAINER_NAME, "state": state}
    server.put(f"{PODS}/{name}", {"metadata": meta, "status": {"containerStatuses": [container], **fields}})


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
