"""The requests and limits of the worker's container."""

from collections.abc import Mapping
from typing import Any

from transcription_api.spec import DevicePolicy, Spec

from transcription_operator.config import Config
from transcription_operator.worker_settings import GPU_RESOURCE

# Used unless the settings or the spec say otherwise. openai-whisper's models from tiny to small fit into them on a CPU; on a
# GPU the host needs memory mainly while it loads the checkpoint.
DEFAULT_REQUESTS = {"cpu": "1", "memory": "2Gi"}


def gpu_resource(spec: Spec, config: Config) -> str:
    """The name of the resource that spec.device.gpus counts: a whole GPU, a part of one, or one that is shared."""
    return spec.device.resource_name or config.worker.resource_name


def render_resources(spec: Spec, config: Config) -> dict[str, dict[str, Any]]:
    """The spec's amounts take precedence over the settings', and those over the defaults. Only device.gpus sets the GPUs."""
    layers = (config.worker_resources, spec.device.resources)
    limits = _merged(layers, "limits")
    # Kubernetes takes a limit without a request as the request too; a default request above that limit would be invalid.
    requests = {name: amount for name, amount in DEFAULT_REQUESTS.items() if name not in limits}
    requests |= _merged(layers, "requests")
    gpu = gpu_resource(spec, config)
    for amounts in (requests, limits):
        amounts.pop(GPU_RESOURCE, None)
        amounts.pop(gpu, None)
    if spec.device.policy is not DevicePolicy.CPU:
        requests[gpu] = limits[gpu] = str(spec.device.gpus)
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def _merged(layers: tuple[Mapping[str, Any], ...], part: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer.get(part) or {}
    return merged
