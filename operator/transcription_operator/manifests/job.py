"""The Job of a resource: a pure function of spec and settings. Written once and never reapplied, since queues may change it."""

import hashlib
from collections.abc import Mapping
from typing import Any

from transcription_api import exit_codes, names
from transcription_api.spec import DevicePolicy, Spec
from transcription_api.task import Task, encode_task

from transcription_operator.config import Config
from transcription_operator.manifests.volumes import render_volumes
from transcription_operator.models.objects import Resource

Manifest = dict[str, Any]

GPU_RESOURCE = "nvidia.com/gpu"
# GPU pools carry this taint so that other pods stay away; a device plugin's nodes without it are tolerated just the same.
GPU_TOLERATION = {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}
# Seconds from SIGTERM to SIGKILL; the worker ends within 10.
TERMINATION_GRACE_SECONDS = 30
# The image's user and group, also where the image says otherwise.
WORKER_UID = 65532
# Below the administrator's and the spec's: openai-whisper's tiny to small fit; a GPU pod's memory is mostly the checkpoint.
DEFAULT_REQUESTS = {"cpu": "1", "memory": "2Gi"}
# A DNS label; the pods' names and the job-name label come from it.
JOB_NAME_LIMIT = 63
# Characters of the name kept: the limit less "-", 8 of the digest, "-" and four digits of ordinal.
NAME_KEPT = JOB_NAME_LIMIT - 14


def job_name(resource: Resource, ordinal: int) -> str:
    """Deterministic: the same resource and ordinal give the same name, another resource never does."""
    digest = hashlib.sha256(resource.uid.encode()).hexdigest()[:8]
    kept = resource.key.name.replace(".", "-")[:NAME_KEPT].strip("-")
    return f"{kept}-{digest}-{ordinal}"


def render_job(resource: Resource, spec: Spec, ordinal: int, config: Config) -> Manifest:
    """The batch/v1 Job number `ordinal` of a resource."""
    labels = _labels(resource, ordinal)
    queue = {names.LABEL_QUEUE: spec.queue_name} if spec.queue_name else {}
    annotations = {names.ANNOTATION_NAME: resource.key.name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": resource.key.namespace,
            "name": job_name(resource, ordinal),
            "labels": labels | queue,
            "annotations": annotations,
            "ownerReferences": [_owner(resource)],
        },
        "spec": _job_spec(spec)
        | {
            "template": {
                "metadata": {"labels": labels, "annotations": annotations | _KEEP_THE_NODE},
                "spec": _pod_spec(resource, spec, config),
            }
        },
    }


# A transcription that is moved starts again from the beginning: autoscalers leave its node alone.
_KEEP_THE_NODE = {
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
        # A successor only once the failed pod is gone: two pods never write the same results.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [_DISRUPTION_IS_IGNORED, _PERMANENT_FAILS]},
    }
    if spec.queue_name:
        rendered["suspend"] = True  # the queue unsuspends it
    if spec.active_deadline_seconds is not None:
        rendered["activeDeadlineSeconds"] = spec.active_deadline_seconds
    return rendered


# Preemption, drains and lost nodes are nobody's failure; this rule stands first, so an exit code of such a pod is ignored too.
_DISRUPTION_IS_IGNORED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
_PERMANENT_FAILS = {
    "action": "FailJob",
    "onExitCodes": {
        "containerName": names.CONTAINER_NAME,
        "operator": "In",
        "values": sorted(exit_codes.PERMANENT),
    },
}


def _pod_spec(resource: Resource, spec: Spec, config: Config) -> Manifest:
    volumes, mounts = render_volumes(spec, config)
    device = spec.device
    optional: Mapping[str, Any] = {
        "serviceAccountName": spec.service_account_name,
        "imagePullSecrets": [{"name": name} for name in config.worker_image_pull_secrets],
        "runtimeClassName": device.runtime_class_name,
        "priorityClassName": device.priority_class_name,
        "nodeSelector": device.node_selector,
        "tolerations": _tolerations(spec),
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        # One variable for each Service of the namespace would be read by the kubelet and the worker for nothing.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": _POD_SECURITY,
        "containers": [_container(resource, spec, config, mounts)],
        "volumes": volumes,
        **{name: value for name, value in optional.items() if value},
    }


# The restricted Pod Security Standard, and a group that may write to the volumes.
_POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": WORKER_UID,
    "runAsGroup": WORKER_UID,
    "fsGroup": WORKER_UID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _container(resource: Resource, spec: Spec, config: Config, mounts: list[Manifest]) -> Manifest:
    return {
        "name": names.CONTAINER_NAME,
        "image": config.worker_image,
        "imagePullPolicy": config.worker_image_pull_policy,
        "env": [
            {"name": names.ENV_TASK, "value": _task(resource)},
            # The root filesystem is read-only: caches of libraries go where the audio goes.
            {"name": "HOME", "value": names.SCRATCH_DIR},
            {"name": "XDG_CACHE_HOME", "value": f"{names.SCRATCH_DIR}/.cache"},
        ],
        "ports": [{"name": "progress", "containerPort": names.PROGRESS_PORT}],
        "resources": _resources(spec, config),
        "securityContext": _CONTAINER_SECURITY,
        "terminationMessagePath": names.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _task(resource: Resource) -> str:
    """What may change later is not the worker's business."""
    spec = {key: value for key, value in resource.spec.items() if key not in ("suspend", "ttlSecondsAfterFinished")}
    return encode_task(Task(resource.key.namespace, resource.key.name, resource.uid, spec))


def _resources(spec: Spec, config: Config) -> Manifest:
    """The spec's amounts over the administrator's over the defaults; GPUs by device.gpus alone."""
    layers = (config.worker_resources, spec.device.resources)
    limits = _merged(layers, "limits")
    # A limit without a request is the request too, and may be below the default.
    requests = {name: amount for name, amount in DEFAULT_REQUESTS.items() if name not in limits}
    requests |= _merged(layers, "requests")
    for amounts in (requests, limits):
        amounts.pop(GPU_RESOURCE, None)
    if spec.device.policy is not DevicePolicy.CPU:
        requests[GPU_RESOURCE] = limits[GPU_RESOURCE] = str(spec.device.gpus)
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def _merged(layers: tuple[Mapping[str, Any], ...], part: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer.get(part) or {}
    return merged


def _tolerations(spec: Spec) -> list[Manifest]:
    own = [] if spec.device.policy is DevicePolicy.CPU else [GPU_TOLERATION]
    return own + [item for item in spec.device.tolerations if item not in own]
