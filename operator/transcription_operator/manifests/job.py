"""Render the batch/v1 Job of a resource from its spec and the operator's settings.

The Job is created once and never applied again, since a queue such as Kueue may change it.
"""

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
# GPU nodes often carry this taint to keep other pods away. On nodes without it the toleration does nothing.
GPU_TOLERATION = {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}
# Seconds from SIGTERM to SIGKILL. The worker ends within 10 seconds of SIGTERM.
TERMINATION_GRACE_SECONDS = 30
# User and group of the worker's image; set here so that an image with another default runs as the same user.
WORKER_UID = 65532
# Used unless the settings or the spec say otherwise. openai-whisper's models from tiny to small fit into them on a CPU; on a
# GPU the host needs memory mainly while it loads the checkpoint.
DEFAULT_REQUESTS = {"cpu": "1", "memory": "2Gi"}
# Characters. The name must be a DNS label, since the pods' names and their label job-name are made from it.
JOB_NAME_LIMIT = 63
# Characters of the resource's name that are kept: the rest is "-", 8 of the digest, "-" and up to 4 digits of the ordinal.
NAME_KEPT = JOB_NAME_LIMIT - 14


def job_name(resource: Resource, ordinal: int) -> str:
    """The name of a resource's Job: always the same for the same resource and ordinal, and different for any other."""
    digest = hashlib.sha256(resource.uid.encode()).hexdigest()[:8]
    kept = resource.key.name.replace(".", "-")[:NAME_KEPT].strip("-")
    return f"{kept}-{digest}-{ordinal}"


def render_job(resource: Resource, spec: Spec, ordinal: int, config: Config) -> Manifest:
    """The manifest of a resource's Job. `ordinal` counts the Jobs of the resource from 1."""
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
                "metadata": {"labels": labels, "annotations": annotations | _NO_DISRUPTION},
                "spec": _pod_spec(resource, spec, config),
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
        "podFailurePolicy": {"rules": [_IGNORE_DISRUPTION, _FAIL_ON_PERMANENT]},
    }
    if spec.queue_name:
        rendered["suspend"] = True  # the queue resumes it
    if spec.active_deadline_seconds is not None:
        rendered["activeDeadlineSeconds"] = spec.active_deadline_seconds
    return rendered


# Preemption, a drain or a lost node is not a failure of the worker. This rule comes first, so that the exit code of such a
# pod does not fail the Job either.
_IGNORE_DISRUPTION = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
_FAIL_ON_PERMANENT = {
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
        # The kubelet would add environment variables for each Service of the namespace, and the worker reads none of them.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": _POD_SECURITY,
        "containers": [_container(resource, spec, config, mounts)],
        "volumes": volumes,
        **{name: value for name, value in optional.items() if value},
    }


# What the restricted Pod Security Standard asks for, and a group that may write to the volumes.
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
            {"name": names.ENV_LOG_FORMAT, "value": config.log_format},
            {"name": names.ENV_LOG_LEVEL, "value": config.log_level},
            # The root filesystem is read-only, so the caches of libraries go to the scratch volume.
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


# Fields that may change while the worker runs.
_MUTABLE = ("suspend", "ttlSecondsAfterFinished")
# Fields that the manifest itself has. An environment variable has at most 128 KiB (Linux's MAX_ARG_STRLEN), which the
# longest texts of all fields together would exceed.
_OF_THE_POD = ("nodeSelector", "tolerations", "resources", "runtimeClassName", "priorityClassName", "resourceName")


def _task(resource: Resource) -> str:
    """The worker's task: the fields of the spec that the worker reads."""
    spec = {name: value for name, value in resource.spec.items() if name not in _MUTABLE}
    if "device" in spec:
        spec["device"] = {name: value for name, value in spec["device"].items() if name not in _OF_THE_POD}
    return encode_task(Task(resource.key.namespace, resource.key.name, resource.uid, spec))


def _resources(spec: Spec, config: Config) -> Manifest:
    """The spec's amounts take precedence over the settings', and those over the defaults. Only device.gpus sets the GPUs."""
    layers = (config.worker_resources, spec.device.resources)
    limits = _merged(layers, "limits")
    # Kubernetes takes a limit without a request as the request too; a default request above that limit would be invalid.
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
