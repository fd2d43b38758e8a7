"""Which Jobs and pods are ours: labels can be set by anybody, and so can an owner reference with a uid that was seen elsewhere.

A Job is ours if its controller is a TranscriptionJob of its own namespace and it has the name that the operator gives to
the Job of that resource with that ordinal. A pod is ours if its controller is such a Job. The Job that deletes results is the one
exception: see `deletion_owner`.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from transcription_api import names
from transcription_api.spec import MAX_SHARDS

Body = Mapping[str, Any]

# Characters. The name must be a DNS label, since the pods' names and their label job-name are made from it.
JOB_NAME_LIMIT = 63
# Characters of the resource's name that are kept: the rest is "-", 8 of the digest, "-" and up to 4 digits of the ordinal.
NAME_KEPT = JOB_NAME_LIMIT - 14
# Characters by which the name of a Job with shards is shorter: its pods' hostnames have "-" and the index of their shard after
# it, and the apiserver refuses a Job whose last hostname is no DNS label (ValidateJob of Kubernetes 1.37).
INDEX_CHARACTERS = len(f"-{MAX_SHARDS - 1}")
# Of the Job that deletes a resource's results, which comes before those that are counted.
DELETION_ORDINAL = 0
_ORDINAL = re.compile("[1-9][0-9]{0,3}")


class Key(NamedTuple):
    """Namespace and name of a TranscriptionJob: an item of the work queue."""

    namespace: str
    name: str


class Owner(NamedTuple):
    """A TranscriptionJob, told apart from an earlier one of its name."""

    key: Key
    uid: str


def job_name(owner: Owner, ordinal: int, phase: str | None = None) -> str:
    """The name of a resource's Job: always the same for the same resource, ordinal and phase, and different for any other."""
    digest = hashlib.sha256(owner.uid.encode()).hexdigest()[:8]
    characters = NAME_KEPT - INDEX_CHARACTERS if phase == names.PHASE_TRANSCRIBE else NAME_KEPT
    kept = owner.key.name.replace(".", "-")[:characters].strip("-")
    return f"{kept}-{digest}-{ordinal}"


def job_ordinal(meta: Body) -> int:
    """The ordinal in a Job's label, or 0 if it has none that the operator can have written."""
    text = (meta.get("labels") or {}).get(names.LABEL_ORDINAL, "")
    return int(text) if _ORDINAL.fullmatch(text) else 0


def job_owner(meta: Body) -> Owner | None:
    """The resource to which a Job with this metadata belongs, or None if it is not a Job of ours."""
    if (owner := deletion_owner(meta)) is not None:
        return owner
    reference, ordinal = _controller(meta), job_ordinal(meta)
    group = str(reference.get("apiVersion")).partition("/")[0]
    if (group, reference.get("kind")) != (names.GROUP, names.KIND) or ordinal == 0:
        return None
    owner = Owner(Key(meta["namespace"], reference["name"]), reference["uid"])
    phase = (meta.get("labels") or {}).get(names.LABEL_PHASE)
    return owner if meta["name"] == job_name(owner, ordinal, phase) else None


def deletion_owner(meta: Body) -> Owner | None:
    """The resource whose results a Job with this metadata deletes, or None if it is no such Job.

    It outlives the resource, so that it has no owner reference, and is known by its labels and its name. Whoever may create
    such a Job may run it, too: the operator lets it run and does nothing else with it.
    """
    labels, name = meta.get("labels") or {}, (meta.get("annotations") or {}).get(names.ANNOTATION_NAME)
    if labels.get(names.LABEL_PHASE) != names.PHASE_DELETE or not name or meta.get("ownerReferences"):
        return None
    owner = Owner(Key(meta["namespace"], name), labels.get(names.LABEL_UID, ""))
    return owner if meta["name"] == job_name(owner, DELETION_ORDINAL) else None


def is_pod_of(meta: Body, namespace: str, job: str, uid: str) -> bool:
    """Whether a pod with this metadata belongs to the Job with this namespace, name and uid."""
    reference = _controller(meta)
    kind = (reference.get("apiVersion"), reference.get("kind"))
    return kind == ("batch/v1", "Job") and (meta.get("namespace"), reference["name"], reference["uid"]) == (
        namespace,
        job,
        uid,
    )


def _controller(meta: Body) -> Body:
    """The owner reference with controller: true, of which an object has at most one."""
    return next((item for item in meta.get("ownerReferences") or () if item.get("controller") is True), {})
