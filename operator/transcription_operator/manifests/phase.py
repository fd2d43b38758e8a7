"""What the Job of one phase of the work over many files has of the spec and of the settings.

The phases plan and collect read and write S3 alone. They run no model, so that their one pod may go to any node, with what
little it needs, and waits in no queue for a GPU.
"""

import dataclasses
from typing import Any

from transcription_api import names
from transcription_api.spec import Device, DevicePolicy, ModelCache, Spec

from transcription_operator.config import Config

# Of the pods of the phases plan and collect. Rows of 100,000 files are held in memory; headers of media are read.
RESOURCES = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}
# Seconds that the phase collect has at the least where spec.activeDeadlineSeconds is set: the account of what is there is
# written although the time for transcribing is over.
COLLECT_SECONDS = 1800


def limit_spec(spec: Spec, phase: str | None) -> Spec:
    """The spec whose fields the Job of the phase has. The task of its workers is the resource's own, whatever the phase."""
    if phase in (None, names.PHASE_TRANSCRIBE):
        return spec
    device = Device(policy=DevicePolicy.CPU, resources=RESOURCES, priority_class_name=spec.device.priority_class_name)
    model = dataclasses.replace(spec.model, cache=ModelCache())
    return dataclasses.replace(spec, device=device, model=model, queue_name=None)


def limit_config(config: Config, phase: str | None) -> Config:
    """The settings without those for nodes with GPUs."""
    if phase in (None, names.PHASE_TRANSCRIBE):
        return config
    worker = dataclasses.replace(
        config.worker, runtime_class_name="", node_selector={}, tolerations=(), limit_memory=False
    )
    return dataclasses.replace(config, worker=worker, worker_resources={})


def phase_image(config: Config, phase: str | None) -> dict[str, Any]:
    """The container's image, its pull policy and its command. Each phase is a command of the worker's program."""
    if phase in (None, names.PHASE_TRANSCRIBE) or not config.planner_image:
        return {"image": config.images[0].reference, "imagePullPolicy": config.worker_image_pull_policy}
    return {
        "image": config.planner_image,
        "imagePullPolicy": config.planner_image_pull_policy,
        "command": ["transcription-worker", "run"],
    }
