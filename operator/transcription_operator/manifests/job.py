"""Render a batch/v1 Job of a resource from its spec and the operator's settings.

The Job is created once and never applied again, since a queue such as Kueue may change it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from transcription_api import exit_codes, names
from transcription_api.spec import Spec

from transcription_operator.config import Config
from transcription_operator.manifests.phase import limit_config, limit_spec
from transcription_operator.manifests.pod import render_pod_spec
from transcription_operator.models.objects import Resource
from transcription_operator.models.ownership import job_name

Manifest = dict[str, Any]

MAX_INT32 = 2**31 - 1


def render_job(
    resource: Resource,
    spec: Spec,
    ordinal: int,
    config: Config,
    counts: Mapping[str, int] = MappingProxyType({}),
    phase: str | None = None,
    shards: int = 1,
) -> Manifest:
    """The manifest of a resource's Job. `ordinal` counts the Jobs of the resource from 1.

    `counts` are numbers that the Job takes over from those before it, by annotation. `phase` is one of names.PHASES for
    a Job over many files; in the phase transcribe it has an index for each of so many shards.
    """
    spec, config = limit_spec(spec, phase), limit_config(config, phase)
    labels = _labels(resource, ordinal) | ({names.LABEL_PHASE: phase} if phase is not None else {})
    queue = {names.LABEL_QUEUE: spec.queue_name} if spec.queue_name else {}
    annotations = {names.ANNOTATION_NAME: resource.key.name}
    sharded = _sharded(spec, shards) if phase == names.PHASE_TRANSCRIBE else {}
    given = {names.ANNOTATION_PARALLELISM: sharded["parallelism"]} if sharded else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": resource.key.namespace,
            "name": job_name(resource.owner, ordinal, phase),
            "labels": labels | queue,
            "annotations": annotations | {name: str(count) for name, count in (*counts.items(), *given.items())},
            "ownerReferences": [_owner(resource)],
        },
        "spec": _job_spec(spec)
        | sharded
        | {
            "template": {
                "metadata": {"labels": labels, "annotations": annotations | _NO_DISRUPTION},
                "spec": render_pod_spec(resource, spec, config, phase),
            }
        },
    }


# A transcription that is interrupted starts again from the beginning, so autoscalers must not remove its node.
_NO_DISRUPTION = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


def _labels(resource: Resource, ordinal: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "transcription-worker",
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/managed-by": "transcription-operator",
        names.LABEL_UID: resource.uid,
        names.LABEL_ORDINAL: str(ordinal),
    }


def _owner(resource: Resource) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": resource.key.name,
        "uid": resource.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _job_spec(spec: Spec) -> Manifest:
    rendered: Manifest = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": spec.retries,
        # Replace a pod only after it has failed, so that two pods never write the same results.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [_IGNORE_DISRUPTION, _FAIL_ON_PERMANENT, _IGNORE_SIGTERM]},
    }
    if spec.queue_name:
        rendered["suspend"] = True  # the queue resumes it
    if spec.active_deadline_seconds is not None:
        rendered["activeDeadlineSeconds"] = spec.active_deadline_seconds
    return rendered


def _sharded(spec: Spec, shards: int) -> Manifest:
    """Fields of the Job that has an index for each shard. The attempts of a shard use up none of another's.

    A shard whose attempts are used up fails, and the others go on: the account tells which of its files have no results.
    """
    return {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": desired_parallelism(spec, shards),
        "backoffLimitPerIndex": spec.retries,
        "backoffLimit": MAX_INT32,  # which Kubernetes sets with a limit for each index
    }


def desired_parallelism(spec: Spec, shards: int) -> int:
    """How many pods of a Job with so many shards may run at a time."""
    return min(spec.parallelism, shards)


# Preemption, a drain or a lost node is not a failure of the worker, nor is the end of a pod that never got a node. This rule
# comes first, so that the exit code of such a pod does not fail the Job either.
_IGNORE_DISRUPTION = {
    "action": "Ignore",
    "onPodConditions": [
        {"type": "DisruptionTarget", "status": "True"},
        {"type": "PodScheduled", "status": "False"},
    ],
}
# A worker that was asked to stop did not fail either. The Job controller counts the pods that it deletes when a Job is
# suspended, so that a queue that suspends Jobs again and again would use up their retries.
_IGNORE_SIGTERM = {
    "action": "Ignore",
    "onExitCodes": {
        "containerName": names.CONTAINER_NAME,
        "operator": "In",
        "values": [exit_codes.INTERRUPTED],
    },
}
_FAIL_ON_PERMANENT = {
    "action": "FailJob",
    "onExitCodes": {
        "containerName": names.CONTAINER_NAME,
        "operator": "In",
        "values": sorted(exit_codes.PERMANENT),
    },
}
