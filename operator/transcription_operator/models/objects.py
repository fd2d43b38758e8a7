"""Kubernetes objects, reduced to the fields that decisions need: this is what the informer's cache keeps in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api import names
from transcription_api.status import ConditionType

from transcription_operator.models.json_text import decode_json, encode_json
from transcription_operator.models.ownership import Key, Owner, job_ordinal, job_owner
from transcription_operator.models.pods import PodView, TerminatedState, find_condition, view_pod

# The views that the other modules work with are imported from here, with what they are made of.
__all__ = [
    "Body",
    "JobView",
    "Key",
    "Owner",
    "PodView",
    "Resource",
    "TerminatedState",
    "view_job",
    "view_pod",
    "view_resource",
]

Body = Mapping[str, Any]
# Digits of a number that fits into the int32 of a status.
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Resource:
    """A TranscriptionJob. Spec and status are kept as JSON text: 5,000 of them fit in a few megabytes."""

    key: Key
    uid: str
    version: int  # resourceVersion
    generation: int
    created: str
    deleting: bool
    phase: str  # status.phase, empty before the first reconcile
    reason: str  # of the failure, else of the condition Running; empty before the first reconcile
    spec_json: bytes
    status_json: bytes

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as the apiserver stores it, parsed on each call."""
        return decode_json(self.spec_json)  # type: ignore[no-any-return]

    @property
    def owner(self) -> Owner:
        """The resource as the owner of its Jobs."""
        return Owner(self.key, self.uid)


@dataclass(frozen=True, slots=True)
class JobView:
    """A batch/v1 Job of the operator. `outcome` is Complete or Failed once the Job has finished."""

    namespace: str
    name: str
    uid: str
    version: int
    owner: Owner | None  # None if it is not a Job of ours; see `models.ownership`
    ordinal: int
    first_attempt: int  # the number of the attempt that its first pod is
    lost: int  # Jobs before it that were deleted from outside, or whose report was lost
    phase: str | None  # of the work over many files, one of names.PHASES; None for the Job of a single one
    image: str  # of the worker
    completions: int  # how many pods have to succeed: of many files, the shards
    parallelism: int
    given_parallelism: int  # what the operator gave the Job; somebody else may have changed it since
    created: str
    deleting: bool
    suspended: bool
    suspended_by_spec: bool  # the operator has suspended it; somebody else may have resumed it since
    queue: str | None  # the Kueue queue in its labels, which Kueue sets itself where a namespace has a default queue
    # status.startTime: when the Job was last resumed, by the Job controller's clock. Up to Kubernetes 1.35 it stays during
    # a pause.
    started: str | None
    suspended_since: str | None  # since when the Job controller holds the Job suspended, whatever the spec says by now
    was_suspended: bool  # whether the Job controller has ever suspended it
    active: int  # pods that have not ended and are not being deleted
    ready: int
    failed: int
    succeeded: int
    failed_indexes: int  # shards that have no attempt left
    terminating: int  # pods that are being deleted and have not ended
    outcome: str | None = None
    outcome_reason: str | None = None
    outcome_message: str | None = None
    outcome_time: str | None = None  # by the Job controller's clock
    # Whether the Job controller has decided how the Job ends, and only waits for the ends of pods that it deletes.
    concluding: bool = False

    @property
    def has_shards(self) -> bool:
        """Whether the Job has an index, and so a pod, for each shard of many files."""
        return self.phase == names.PHASE_TRANSCRIBE

    @property
    def deletes_results(self) -> bool:
        """Whether the Job deletes the results of a resource, and is not part of its work."""
        return self.phase == names.PHASE_DELETE

    @property
    def has_pods(self) -> bool:
        """Whether the Job's status counts any pod, so that listing them is worth a request."""
        return bool(self.active or self.terminating or self.failed or self.succeeded or self.outcome)

    @property
    def awaits_pod(self) -> bool:
        """Whether the Job controller is to create a pod, and none is there yet."""
        busy = self.active or self.terminating or self.succeeded or self.concluding or self.outcome is not None
        return not busy and self.started is not None and not self.suspended and not self.resuming

    @property
    def resuming(self) -> bool:
        """Whether the spec no longer suspends the Job but the Job controller has not resumed it yet."""
        return not self.suspended and self.suspended_since is not None


def view_resource(body: Body) -> Resource:
    """Take what is needed of a TranscriptionJob. Raises KeyError or ValueError if no apiserver can have stored it."""
    meta, status = body["metadata"], body.get("status")
    status = status if isinstance(status, dict) else {}
    return Resource(
        key=Key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 1),
        created=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        phase=_text(status.get("phase")),
        reason=_reason(status),
        spec_json=encode_json(body.get("spec") or {}),
        status_json=encode_json(status),
    )


def view_job(body: Body) -> JobView:
    """Take what is needed of a batch/v1 Job. Raises KeyError or ValueError if no apiserver can have stored it."""
    meta, status = body["metadata"], body.get("status") or {}
    finished, suspension = _finished_condition(status), find_condition(status, "Suspended")
    # Pods that have terminated and that the Job controller has not added to its counts yet.
    uncounted = status.get("uncountedTerminatedPods") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    ordinal = job_ordinal(meta)
    return JobView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        owner=job_owner(meta),
        ordinal=ordinal,
        # A Job of an earlier version has neither annotation: it counted each Job as lost, and as an attempt.
        first_attempt=_number(annotations.get(names.ANNOTATION_FIRST_ATTEMPT), ordinal),
        lost=_number(annotations.get(names.ANNOTATION_LOST_JOBS), max(ordinal - 1, 0)),
        phase=labels.get(names.LABEL_PHASE),
        image=_worker_image(body),
        completions=(body.get("spec") or {}).get("completions") or 1,
        parallelism=(parallelism := (body.get("spec") or {}).get("parallelism", 1)),
        given_parallelism=_number(annotations.get(names.ANNOTATION_PARALLELISM), parallelism),
        created=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        suspended=bool(body.get("spec", {}).get("suspend")),
        suspended_by_spec=names.ANNOTATION_SUSPENDED in annotations,
        queue=labels.get(names.LABEL_QUEUE),
        was_suspended=bool(suspension),
        started=status.get("startTime"),
        suspended_since=suspension.get("lastTransitionTime") if suspension.get("status") == "True" else None,
        active=status.get("active") or 0,
        ready=status.get("ready") or 0,
        failed=(status.get("failed") or 0) + len(uncounted.get("failed") or ()),
        succeeded=(status.get("succeeded") or 0) + len(uncounted.get("succeeded") or ()),
        failed_indexes=_count_indexes(status.get("failedIndexes") or ""),
        terminating=status.get("terminating") or 0,
        outcome=finished.get("type"),
        outcome_reason=finished.get("reason"),
        outcome_message=finished.get("message"),
        outcome_time=status.get("completionTime") or finished.get("lastTransitionTime"),
        concluding=any(
            find_condition(status, kind).get("status") == "True" for kind in ("FailureTarget", "SuccessCriteriaMet")
        ),
    )


def _worker_image(job: Body) -> str:
    containers = (job.get("spec") or {}).get("template", {}).get("spec", {}).get("containers") or ()
    return next((item.get("image") or "" for item in containers if item["name"] == names.CONTAINER_NAME), "")


def _finished_condition(status: Body) -> Body:
    for kind in ("Complete", "Failed"):
        condition = find_condition(status, kind)
        if condition.get("status") == "True":
            return condition
    return {}


def _reason(status: Body) -> str:
    """A newer version may store other types under these names."""
    failure, conditions = status.get("failure"), status.get("conditions")
    if isinstance(failure, dict) and _text(failure.get("reason")):
        return _text(failure["reason"])
    running = ConditionType.RUNNING.value
    items = conditions if isinstance(conditions, list) else ()
    found = (item for item in items if isinstance(item, dict) and item.get("type") == running)
    return _text(next(found, {}).get("reason"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(text: str | None, default: int) -> int:
    """The number in an annotation, which anybody who may change Jobs may have written."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= MAX_DIGITS else default


def _count_indexes(text: str) -> int:
    """How many indexes a Job's status names, as in 1,3-5."""
    count = 0
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count
