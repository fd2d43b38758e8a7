"""Kubernetes objects, cut to the fields that decisions rest on: what the store keeps in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transcription_api import names

Body = Mapping[str, Any]


class Key(NamedTuple):
    """A TranscriptionJob's place: what the work queue holds."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A TranscriptionJob. Spec and status stay text: 5,000 of them fit in a few megabytes."""

    key: Key
    uid: str
    version: int  # resourceVersion
    generation: int
    created: str
    deleting: bool
    spec_json: bytes
    status_json: bytes

    @property
    def spec(self) -> dict[str, Any]:
        return json.loads(self.spec_json)  # type: ignore[no-any-return]

    @property
    def status(self) -> dict[str, Any]:
        return json.loads(self.status_json)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class JobView:
    """A batch/v1 Job of ours. `outcome` is Complete or Failed once it has ended."""

    namespace: str
    name: str
    uid: str
    version: int
    owner_uid: str | None  # the controller's
    ordinal: int
    created: str
    deleting: bool
    suspended: bool
    started: str | None  # when it was last unsuspended
    active: int
    ready: int
    failed: int
    succeeded: int
    outcome: str | None = None
    outcome_reason: str | None = None
    outcome_message: str | None = None
    outcome_time: str | None = None

    @property
    def has_pods(self) -> bool:
        return bool(self.active or self.failed or self.succeeded or self.outcome)


@dataclass(frozen=True, slots=True)
class Terminated:
    """The end of a worker's container."""

    exit_code: int
    reason: str | None
    message: str
    started: str | None
    finished: str | None


@dataclass(frozen=True, slots=True)
class PodView:
    """A worker's pod. `started` is when its container first ran."""

    name: str
    uid: str
    created: str
    phase: str
    ip: str | None
    started: str | None
    running: bool
    terminated: Terminated | None
    waiting_reason: str | None
    waiting_message: str | None
    unschedulable: str | None  # the scheduler's words
    reason: str | None  # Evicted and its like
    message: str | None
    disrupted: str | None  # DisruptionTarget's message: preemption, drain, a lost node


def view_resource(body: Body) -> Resource:
    meta = body["metadata"]
    return Resource(
        key=Key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 1),
        created=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        spec_json=_compact(body.get("spec") or {}),
        status_json=_compact(body.get("status") or {}),
    )


def view_job(body: Body) -> JobView:
    meta, status = body["metadata"], body.get("status") or {}
    end = _ended(status)
    uncounted = status.get("uncountedTerminatedPods") or {}
    return JobView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        owner_uid=next((ref["uid"] for ref in meta.get("ownerReferences") or () if ref.get("controller")), None),
        ordinal=_ordinal(meta),
        created=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        suspended=bool(body.get("spec", {}).get("suspend")),
        started=status.get("startTime"),
        active=status.get("active") or 0,
        ready=status.get("ready") or 0,
        failed=(status.get("failed") or 0) + len(uncounted.get("failed") or ()),
        succeeded=(status.get("succeeded") or 0) + len(uncounted.get("succeeded") or ()),
        outcome=end.get("type"),
        outcome_reason=end.get("reason"),
        outcome_message=end.get("message"),
        outcome_time=status.get("completionTime") or end.get("lastTransitionTime"),
    )


def view_pod(body: Body) -> PodView:
    meta, status = body["metadata"], body.get("status") or {}
    state = _container_state(status)
    ended, waiting = state.get("terminated"), state.get("waiting") or {}
    scheduled = _condition(status, "PodScheduled")
    disruption = _condition(status, "DisruptionTarget")
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        created=meta["creationTimestamp"],
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP"),
        started=(ended or state.get("running") or {}).get("startedAt"),
        running="running" in state,
        terminated=_terminated(ended) if ended else None,
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else None,
        reason=status.get("reason"),
        message=status.get("message"),
        disrupted=disruption.get("message") if disruption.get("status") == "True" else None,
    )


def _terminated(state: Body) -> Terminated:
    return Terminated(
        exit_code=state.get("exitCode", 0),
        reason=state.get("reason"),
        message=state.get("message") or "",
        started=state.get("startedAt"),
        finished=state.get("finishedAt"),
    )


def _container_state(status: Body) -> Body:
    for container in status.get("containerStatuses") or ():
        if container.get("name") == names.CONTAINER_NAME:
            return container.get("state") or {}
    return {}


def _condition(status: Body, kind: str) -> Body:
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), {})


def _ended(status: Body) -> Body:
    for kind in ("Complete", "Failed"):
        condition = _condition(status, kind)
        if condition.get("status") == "True":
            return condition
    return {}


def _ordinal(meta: Body) -> int:
    text = (meta.get("labels") or {}).get(names.LABEL_ORDINAL, "")
    return int(text) if text.isdecimal() else 1


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
