"""What the Job of one phase of the work over many files has of the spec and of the settings.

The phases plan and collect read and write S3 alone. They run no model, so that their one pod may go to any node that the
resource's pods may go to, with what little it needs, and waits in no queue for a GPU.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from transcription_api import names
from transcription_api.spec import Device, DevicePolicy, ModelCache, Spec

from transcription_operator.config import Config
from transcription_operator.worker_settings import GPU_RESOURCE

# Of the pods of the phases plan and collect. Rows of 100,000 files are held in memory; headers of media are read.
RESOURCES = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}
# Limits that they have as the pods that transcribe do: a quota of the namespace may ask every pod for one.
SHARED_LIMITS = ("cpu", "ephemeral-storage")
# Labels of nodes that any image needs, with a GPU or without one. Other labels are taken to choose GPU nodes.
PLATFORM_LABELS = ("kubernetes.io/os", "kubernetes.io/arch")
# Seconds that the phase collect has at the least where spec.activeDeadlineSeconds is set: the account of what is there is
# written although the time for transcribing is over.
COLLECT_SECONDS = 1800


def limit_spec(spec: Spec, phase: str | None) -> Spec:
    """The spec whose fields the Job of the phase has. The task of its workers is the resource's own, whatever the phase."""
    if phase in (None, names.PHASE_TRANSCRIBE):
        return spec
    given = spec.device
    gpu_taints = (GPU_RESOURCE, given.resource_name)
    device = Device(
        policy=DevicePolicy.CPU,
        resources=RESOURCES | {"limits": RESOURCES["limits"] | _shared_limits(given.resources)},
        priority_class_name=given.priority_class_name,
        node_selector=_platform(given.node_selector),
        tolerations=tuple(item for item in given.tolerations if item.get("key") not in gpu_taints),
    )
    model = dataclasses.replace(spec.model, cache=ModelCache())
    return dataclasses.replace(spec, device=device, model=model, queue_name=None)


def limit_config(config: Config, phase: str | None) -> Config:
    """The settings without those for nodes with GPUs."""
    if phase in (None, names.PHASE_TRANSCRIBE):
        return config
    given = config.worker
    gpu_taints = (GPU_RESOURCE, given.resource_name)
    worker = dataclasses.replace(
        given,
        runtime_class_name="",
        node_selector=_platform(given.node_selector),
        tolerations=tuple(item for item in given.tolerations if item.key not in gpu_taints),
        limit_memory=False,
    )
    limits = _shared_limits(config.worker_resources)
    return dataclasses.replace(config, worker=worker, worker_resources={"limits": limits} if limits else {})


def _platform(labels: Mapping[str, str]) -> dict[str, str]:
    return _only(labels, PLATFORM_LABELS)


def _shared_limits(resources: Mapping[str, Any]) -> dict[str, Any]:
    return _only(resources.get("limits") or {}, SHARED_LIMITS)


def _only(given: Mapping[str, Any], kept: Iterable[str]) -> dict[str, Any]:
    return {name: given[name] for name in kept if name in given}


def phase_image(config: Config, phase: str | None) -> dict[str, Any]:
    """The container's image, its pull policy and its command. Each phase is a command of the worker's program."""
    if phase in (None, names.PHASE_TRANSCRIBE) or not config.planner_image:
        return {"image": config.images[0].reference, "imagePullPolicy": config.worker_image_pull_policy}
    return {
        "image": config.planner_image,
        "imagePullPolicy": config.planner_image_pull_policy,
        "command": ["transcription-worker", "run"],
    }
