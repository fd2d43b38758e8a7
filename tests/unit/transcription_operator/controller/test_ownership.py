"""Nobody can pose as a resource's Job or as its worker's pod with a label, or with a uid that was seen elsewhere."""

import pytest
from transcription_api import names
from transcription_api.report import encode_report
from transcription_operator.models.objects import Owner
from transcription_operator.models.ownership import job_name

from tests.support.decisions import GOOD
from tests.support.kubernetes_objects import FINISHED, SPEC, STARTED, owned_job_meta
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import Json, ScriptedApiserver, connected, error_response, scripted_apiserver
from tests.support.scripted_resource import (
    KEY,
    PATH,
    job_path,
    job_reference,
    put_job,
    put_pod,
    running_job,
    stored_status,
)

OWNER = Owner(KEY, "uid-of-a")
JOBS = "/apis/batch/v1/namespaces/team-a/jobs"
FAILED = {
    "startTime": STARTED,
    "conditions": [{"type": "Failed", "status": "True", "reason": "Forged", "lastTransitionTime": FINISHED}],
}


def forged(
    name: str = job_name(OWNER, 2), namespace: str = "team-a", ordinal: str = "2", owner: Json | None = None
) -> Json:
    """Return a failed Job like the resource's second one, but for what is given; `owner` changes the owner reference."""
    meta = owned_job_meta(OWNER, 2)
    labels = meta["labels"] | {names.LABEL_ORDINAL: ordinal}
    owners = [meta["ownerReferences"][0] | (owner or {})]
    meta |= {"namespace": namespace, "name": name, "labels": labels, "ownerReferences": owners}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {}, "status": FAILED}


FORGERIES = {
    "in another namespace": forged(namespace="team-b"),
    "owned by another kind": forged(owner={"kind": "ConfigMap"}),
    "owned by another group": forged(owner={"apiVersion": "example.com/v1"}),
    "owned by another name": forged(owner={"name": "b"}),
    "owned without being controlled": forged(owner={"controller": False}),
    "with another name": forged(name="copy"),
    "without an ordinal": forged(ordinal=""),
    "with an endless ordinal": forged(ordinal="1" + "0" * 30),
    "with an ordinal in other digits": forged(ordinal="\N{ARABIC-INDIC DIGIT TWO}"),
    "with the ordinal 0": forged(name=job_name(OWNER, 0), ordinal="0"),
    "with the ordinal of another Job": forged(ordinal="1"),
    "with an ordinal far ahead": forged(name=job_name(OWNER, 9999), ordinal="9999"),
}


def put_forged(server: ScriptedApiserver, job: Json) -> None:
    meta = job["metadata"]
    server.put(f"/apis/batch/v1/namespaces/{meta['namespace']}/jobs/{meta['name']}", job)


async def reconciled(server: ScriptedApiserver, parts: Parts) -> Json:
    """Let the operator list everything and reconcile the resource; return the stored status."""
    await parts.resync.list_all()
    parts.queue.add(KEY)
    await until(lambda: parts.queue.idle)
    return stored_status(server)


@pytest.mark.parametrize("job", FORGERIES.values(), ids=FORGERIES)
async def test_the_failure_of_a_job_that_poses_as_the_next_one_is_not_that_of_the_resource(job: Json) -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        put_forged(server, job)
        status = await reconciled(server, parts)
        assert (status["phase"], status["attempt"]) == ("Pending", 1)
        assert status["jobRef"]["name"] == job_name(OWNER, 1)


async def test_the_next_job_of_ours_is_followed_although_no_status_names_it_yet() -> None:
    """It was created before a crash."""
    async with scripted_apiserver() as server, running_job(server) as parts:
        put_forged(server, forged())
        status = await reconciled(server, parts)
        assert (status["phase"], status["jobRef"]["ordinal"]) == ("Failed", 2)


@pytest.mark.parametrize(
    "owner",
    [{"kind": "ConfigMap"}, {"apiVersion": "example.com/v1"}, {"controller": False}, {"uid": "another"}, {"name": "b"}],
    ids=str,
)
async def test_a_job_that_only_has_our_name_is_not_adopted(owner: Json) -> None:
    async with scripted_apiserver() as server, connected(server) as connection:
        job = forged(name=job_name(OWNER, 1), ordinal="1", owner=owner)
        taken = error_response(409, "AlreadyExists")
        server.faults.append(lambda request: taken if (request.method, request.path) == ("POST", JOBS) else None)
        meta = {"namespace": "team-a", "name": "a", "generation": 1}
        server.put(PATH, {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta, "spec": SPEC})
        put_forged(server, job)
        parts = Parts(connection)
        async with parts.working():
            status = await reconciled(server, parts)
        assert (status["phase"], status["failure"]["reason"]) == ("Failed", "JobNameTaken")


def pod_forgeries(server: ScriptedApiserver) -> dict[str, Json]:
    own = job_reference(server)
    return {
        "kind": own | {"kind": "ConfigMap"},
        "group": own | {"apiVersion": "apps/v1"},
        "controller": own | {"controller": False},
        "name": own | {"name": "another"},
        "uid": own | {"uid": "another"},
    }


@pytest.mark.parametrize("part", ["kind", "group", "controller", "name", "uid"])
async def test_a_pod_that_only_has_the_jobs_labels_cannot_say_how_the_job_ended(part: str) -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        ended = {"exitCode": 0, "message": encode_report(GOOD).decode(), "startedAt": STARTED, "finishedAt": FINISHED}
        put_pod(server, {"terminated": ended}, owner=pod_forgeries(server)[part], phase="Succeeded")
        done = {"type": "Complete", "status": "True", "lastTransitionTime": FINISHED}
        put_job(server, parts, succeeded=1, completionTime=FINISHED, conditions=[done])
        # Its report is not read, so that the next Job is to find the results.
        await until(lambda: stored_status(server)["jobRef"]["ordinal"] == 2)
        assert stored_status(server)["phase"] == "Pending"


async def test_a_pod_that_only_has_the_jobs_labels_is_not_polled_and_does_not_count_as_running() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        put_pod(server, {"running": {"startedAt": STARTED}}, owner=pod_forgeries(server)["kind"], phase="Running")
        put_job(server, parts, active=1, ready=1)
        status = await reconciled(server, parts)
        assert status["phase"] == "Pending"


async def test_thousands_of_pods_with_the_jobs_labels_are_read_in_pages() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        before = len(server.requests)
        put_job(server, parts, active=1)
        await until(lambda: any("/pods" in request for request in server.requests[before:]))
        assert all("limit=" in request for request in server.requests[before:] if "/pods" in request)


@pytest.mark.parametrize("listed", [False, True])
async def test_a_job_that_somebody_has_made_not_ours_is_followed_by_another_one(listed: bool) -> None:
    """What the cache knew of it would never change again, and the resource wait for its end for ever."""
    async with scripted_apiserver() as server, running_job(server) as parts:
        path = job_path(server)
        job = server.objects[path]
        labels = {name: text for name, text in job["metadata"]["labels"].items() if name != names.LABEL_ORDINAL}
        changed = server.put(path, job | {"metadata": job["metadata"] | {"labels": labels}})
        if listed:
            await parts.resync.list_all()
        else:
            parts.informer.on_job_event("MODIFIED", changed)
        parts.queue.add(KEY)
        await until(lambda: stored_status(server).get("jobRef", {}).get("ordinal") == 2)
