"""The requests and limits of the worker's container."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from transcription_api.spec import DEFAULT_MODEL, DevicePolicy, EngineKind, Spec

from transcription_operator.config import Config
from transcription_operator.manifests.front_end import cpu_quantity, front_end_cpus, front_end_gib
from transcription_operator.worker_settings import GPU_RESOURCE

# Used unless the settings or the spec say otherwise. openai-whisper's models from tiny to small fit into them on a CPU. On a
# GPU the host needs memory while it loads the checkpoint, and CPU and memory to decode audio as fast as the GPU takes it.
DEFAULT_CPUS, DEFAULT_GIB = 1, 2
CPU, MEMORY = "cpu", "memory"
# The pod's name for the claim that is made of spec.device.resourceClaimTemplateName.
GPU_CLAIM = "gpu"
EPHEMERAL_STORAGE = "ephemeral-storage"

# GB of the files that openai-whisper downloads, by the first word of the model's name; they hold float16.
CHECKPOINT_GB = {"tiny": 0.08, "base": 0.15, "small": 0.48, "medium": 1.53, "large": 3.09, "turbo": 1.62}
# The default limit of memory: four times the file, and a base. Three times is what the weights take at most, as in the file
# and in float32 (docs/performance.md, Loading). What else is there does not grow with the audio, and batches grow only as far
# as the limit leaves room. The fourth and the base were chosen generously, and not measured on a GPU. Each GPU of a pod has a
# process with a model of its own.
BASE_GIB = 4


def gpu_resource(spec: Spec, config: Config) -> str:
    """The name of the resource that spec.device.gpus counts: a whole GPU, a part of one, or one that is shared."""
    return spec.device.resource_name or config.worker.resource_name


def render_resources(spec: Spec, config: Config) -> dict[str, Any]:
    """The spec's amounts take precedence over the settings', and those over the defaults. Only device.gpus sets the GPUs."""
    layers = (config.worker_resources, spec.device.resources)
    limits = _merged(layers, "limits")
    stated = _merged(layers, "requests")
    gpu = gpu_resource(spec, config)
    cpus = front_end_cpus(spec, config, gpu) or Fraction(DEFAULT_CPUS)
    further = front_end_gib(cpus)
    default = {CPU: cpu_quantity(cpus), MEMORY: f"{DEFAULT_GIB * spec.device.gpus + further}Gi"}
    # Kubernetes takes a limit without a request as the request too; a default request above that limit would be invalid.
    requests = {name: amount for name, amount in default.items() if name not in limits}
    requests |= stated
    if config.worker.limit_memory and MEMORY not in limits and MEMORY not in stated:
        limits |= _memory_limit(spec, further)
    for amounts in (requests, limits):
        amounts.pop(GPU_RESOURCE, None)
        amounts.pop(gpu, None)
    if spec.device.policy is not DevicePolicy.CPU and not has_claim(spec):
        requests[gpu] = limits[gpu] = str(spec.device.gpus)
    rendered: dict[str, Any] = {"claims": [{"name": GPU_CLAIM}]} if has_claim(spec) else {}
    return rendered | {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def has_claim(spec: Spec) -> bool:
    """Whether the GPU comes by a resource claim, and not by an extended resource that is counted."""
    return spec.device.policy is not DevicePolicy.CPU and spec.device.resource_claim_template_name is not None


def scratch_limit(spec: Spec, config: Config) -> str:
    """The most that the scratch volume may hold: as much as the container may use of the node's disk, where that is given."""
    limits = _merged((config.worker_resources, spec.device.resources), "limits")
    return str(limits.get(EPHEMERAL_STORAGE, config.worker.size_limits.scratch))


def _memory_limit(spec: Spec, front_end: int) -> dict[str, str]:
    """The limit that follows from the model, and the front end's GiB. A model without a known name counts as large.

    Engines other than batched hold the whole recording in memory, whose length is not known: for them there is none.
    """
    if spec.engine is not EngineKind.BATCHED:
        return {}
    model = spec.model
    name = "large" if model.s3 or model.volume else model.name or DEFAULT_MODEL
    kind = "turbo" if name.endswith("turbo") else name.partition(".")[0].partition("-")[0]
    engines = spec.device.gpus * (BASE_GIB + math.ceil(4 * CHECKPOINT_GB[kind]))
    return {MEMORY: f"{engines + front_end}Gi"}


def _merged(layers: tuple[Mapping[str, Any], ...], part: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer.get(part) or {}
    return merged
