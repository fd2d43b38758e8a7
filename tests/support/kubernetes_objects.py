"""Make the operator's input for unit tests: TranscriptionJobs, Jobs and pods as a watch gives them, and settings."""

from typing import Any

from transcription_api import exit_codes, names
from transcription_api.report import Report, encode_report
from transcription_operator.config import Config, parse_config, variable
from transcription_operator.models.objects import (
    JobView,
    Key,
    Owner,
    PodView,
    Resource,
    view_job,
    view_pod,
    view_resource,
)
from transcription_operator.models.ownership import job_name
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.stored_status import parse_status

SPEC: dict[str, Any] = {
    "source": {"s3": {"bucket": "audio", "key": "interviews/01.wav"}},
    "destination": {"s3": {"bucket": "transcripts", "prefix": "out/"}},
}
CREATED = "2026-01-01T10:00:00Z"
STARTED = "2026-01-01T10:01:00Z"
FINISHED = "2026-01-01T10:05:00Z"


# The TranscriptionJob that `resource` makes, as the owner of its Jobs.
OWNER = Owner(Key("team-a", "interview"), "uid-1")


def owned_job_meta(owner: Owner, ordinal: int = 1) -> dict[str, Any]:
    """Return the metadata that the operator gives to a Job."""
    reference = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner.key.name, "uid": owner.uid}
    return {
        "namespace": owner.key.namespace,
        "name": job_name(owner, ordinal),
        "labels": {names.LABEL_UID: owner.uid, names.LABEL_ORDINAL: str(ordinal)},
        "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
    }


def config(**settings: str) -> Config:
    """Return settings as the environment would give them."""
    given = {"worker_image": "registry.example/worker:1", **settings}
    return parse_config({variable(name): value for name, value in given.items()})


def resource(spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Resource:
    """Return a TranscriptionJob as a watch gives it."""
    known = {"name": "interview", "namespace": "team-a", "uid": "uid-1", "resourceVersion": "7", "generation": 1}
    return view_resource({"metadata": {**known, "creationTimestamp": CREATED, **meta}, "spec": spec, "status": status})


def observed_state(resource: Resource, **observed: Any) -> ObservedState:
    """Return what the operator observed of a resource, with the status that is stored in it."""
    return ObservedState(resource, parse_status(resource.status_json), **observed)


def job(
    ordinal: int = 1,
    ended: str | None = None,
    reason: str = "",
    suspend: bool = False,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    phase: str | None = None,
    shards: int = 1,
    **status: Any,
) -> JobView:
    """Return Job number `ordinal` of `resource`; `ended` is Complete or Failed. Of many files it has a phase and shards."""
    known = {"uid": f"job-{ordinal}", "resourceVersion": "8", "creationTimestamp": CREATED}
    meta = owned_job_meta(OWNER, ordinal) | known | {"annotations": annotations or {}}
    meta["labels"] |= (labels or {}) | ({names.LABEL_PHASE: phase} if phase else {})
    if ended:
        end = {"type": ended, "status": "True", "reason": reason, "message": reason, "lastTransitionTime": FINISHED}
        status = {**status, "conditions": [end]}
    spec = {"suspend": suspend, "completions": shards, "parallelism": 1}
    return view_job({"metadata": meta, "spec": spec, "status": {"startTime": CREATED, **status}})


def pod(
    state: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> PodView:
    """Return a worker's pod on node-1 with the state of its container; `meta` and `spec` change fields of theirs."""
    known = {"name": "interview-x-1-abcde", "uid": "pod-1", "creationTimestamp": CREATED}
    containers = [{"name": names.CONTAINER_NAME, "state": state}] if state else []
    return view_pod(
        {
            "metadata": known | (meta or {}),
            "spec": {"nodeName": "node-1"} | (spec or {}),
            "status": {"containerStatuses": containers, **status},
        }
    )


def ended_pod(report: Report | None, code: int = exit_codes.OK, **status: Any) -> PodView:
    """Return a pod whose worker left this report."""
    message = encode_report(report).decode() if report else ""
    state = {"exitCode": code, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    return pod({"terminated": state}, phase="Failed" if code else "Succeeded", **status)
