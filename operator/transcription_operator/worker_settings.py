"""What the administrator sets for the pods of all workers: the chart's values below `worker`, given as JSON.

Each default is the chart's. Errors name the field as in the chart, the value and what was expected.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transcription_api import names
from transcription_api.codec import InvalidFieldError, from_json_strictly, to_json
from transcription_api.s3 import DNS_SUBDOMAIN

GPU_RESOURCE = "nvidia.com/gpu"
# User and group of the worker's image; set so that an image with another default runs as the same user.
WORKER_UID = 65532

# Variables that every worker gets.
BASE_VARIABLES = (names.ENV_TASK, names.ENV_LOG_FORMAT, names.ENV_LOG_LEVEL, "HOME", "XDG_CACHE_HOME")
# Python's urllib and botocore read these names in small letters first, other programs in capitals alone.
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# k8s.io/apimachinery's resource.Quantity.
_QUANTITY = r"([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
# An extended resource, as in k8s.io/kubernetes/pkg/apis/core/helper: a domain other than Kubernetes' own, and a name.
_EXTENDED_RESOURCE = r"(?!requests\.)(?![^/]*kubernetes\.io/)[a-z0-9][-a-z0-9.]{0,243}/[A-Za-z0-9][-A-Za-z0-9_.]{0,62}"
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_NAME = rf"([a-z0-9][-a-z0-9.]{{0,252}}/)?{_LABEL_VALUE}"
_PROXY_URL = r"https?://[^/?#@\s]+/?"
_VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True)
class Toleration:
    """A taint that the worker's pod tolerates, as in Kubernetes' own type."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


@dataclass(frozen=True)
class EnvVar:
    """A variable of the worker's environment, as in Kubernetes' own type."""

    name: str
    value: str | None = None
    value_from: dict[str, Any] | None = None


@dataclass(frozen=True)
class Proxy:
    """HTTP proxies between workers and S3 or the download of a model. Empty: none."""

    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""


@dataclass(frozen=True)
class CABundle:
    """The ConfigMap of each resource's namespace that holds the certificates workers trust. Empty: the image's own."""

    config_map_name: str = ""
    key: str = "ca-bundle.crt"

    @property
    def path(self) -> str:
        """The file in the worker's container. It names the ConfigMap, so that an error about the file does too."""
        return f"{names.CA_BUNDLE_DIR}/{self.config_map_name}/{self.key}"


@dataclass(frozen=True)
class SizeLimits:
    """The most that the pod's own volumes may hold, as quantities. Empty: as much as the node has."""

    # The audio as it is in S3, and 115 MB for each hour and channel of it once it is decoded.
    scratch: str = "20Gi"
    # The checkpoint of spec.model.name or s3, at most 6.2 GB for large in float32, and faster-whisper's copy of it.
    model_cache: str = "20Gi"
    # Next to nothing: temporary files go to the scratch volume.
    tmp: str = "1Gi"


def _restricted() -> dict[str, Any]:
    """Return what the restricted Pod Security Standard asks for, and a group that may write to the volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": WORKER_UID,
        "runAsGroup": WORKER_UID,
        "fsGroup": WORKER_UID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Settings of all workers' pods. The fields of a resource's spec.device take precedence."""

    pod_security_context: dict[str, Any] = field(default_factory=_restricted)
    host_users: bool = True  # false: a user namespace of its own, where nodes support it
    resource_name: str = GPU_RESOURCE  # what spec.device.gpus counts
    # As the nodes' label nvidia.com/gpu.product has it, where all GPUs are alike; it decides how much CPU is requested.
    gpu_product: str = ""
    size_limits: SizeLimits = SizeLimits()
    limit_memory: bool = (
        True  # by the size of the model, where neither the settings nor the resource say anything of memory
    )
    runtime_class_name: str = ""
    priority_class_name: str = ""
    node_selector: dict[str, Any] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    extra_env: tuple[EnvVar, ...] = ()
    proxy: Proxy = Proxy()
    ca_bundle: CABundle = CABundle()

    @property
    def has_proxy(self) -> bool:
        """Whether any proxy is set."""
        return bool(self.proxy.http_proxy or self.proxy.https_proxy)


def parse_worker_settings(text: str) -> WorkerSettings:
    """Read the settings.

    Raises:
        ValueError: The text is no JSON, or a field does not fit (codec.InvalidFieldError).
    """
    settings = from_json_strictly(WorkerSettings, json.loads(text), "worker")
    for path, value, pattern, expected in _patterns(settings):
        if not re.fullmatch(pattern, value):
            raise InvalidFieldError(path, value, expected)
    _check_extra_env(settings)
    return settings


def _patterns(settings: WorkerSettings) -> Iterator[tuple[str, str, str, str]]:
    """Yield each text with its path, the pattern that it must match, and a description of that."""
    name = f"({DNS_SUBDOMAIN})?"
    yield (
        "worker.resourceName",
        settings.resource_name,
        _EXTENDED_RESOURCE,
        f"an extended resource, as in {GPU_RESOURCE}",
    )
    product = "a GPU's name as in NVIDIA-H100-80GB-HBM3, or nothing"
    yield "worker.gpuProduct", settings.gpu_product, f"({_LABEL_VALUE})?", product
    yield "worker.runtimeClassName", settings.runtime_class_name, name, "the name of a RuntimeClass, or nothing"
    yield "worker.priorityClassName", settings.priority_class_name, name, "the name of a PriorityClass, or nothing"
    yield (
        "worker.caBundle.configMapName",
        settings.ca_bundle.config_map_name,
        name,
        "the name of a ConfigMap, or nothing",
    )
    yield "worker.caBundle.key", settings.ca_bundle.key, "[-._a-zA-Z0-9]{1,253}", "a key of the ConfigMap"
    quantity = "a quantity as in 20Gi, or nothing"
    for key, limit in to_json(settings.size_limits).items():
        yield f"worker.sizeLimits.{key}", limit, f"({_QUANTITY})?", quantity
    url = "a URL as in http://proxy.example.com:3128, without user name or password"
    yield "worker.proxy.httpProxy", settings.proxy.http_proxy, f"({_PROXY_URL})?", url
    yield "worker.proxy.httpsProxy", settings.proxy.https_proxy, f"({_PROXY_URL})?", url
    yield from _scheduling_patterns(settings)


def _scheduling_patterns(settings: WorkerSettings) -> Iterator[tuple[str, str, str, str]]:
    for key, value in settings.node_selector.items():
        yield "worker.nodeSelector", key, _LABEL_NAME, "names of labels"
        yield f"worker.nodeSelector.{key}", str(value), f"({_LABEL_VALUE})?", "the value of a label"
        if not isinstance(value, str):
            raise InvalidFieldError(f"worker.nodeSelector.{key}", value, "a string")
    for index, toleration in enumerate(settings.tolerations):
        path = f"worker.tolerations[{index}]"
        yield f"{path}.operator", toleration.operator or "Equal", "Equal|Exists", "Equal or Exists"
        effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
        yield f"{path}.effect", toleration.effect or effects[0], "|".join(effects), f"one of {', '.join(effects)}"


def _check_extra_env(settings: WorkerSettings) -> None:
    taken = {*BASE_VARIABLES}
    taken |= set(PROXY_VARIABLES) if settings.has_proxy else set()
    taken |= set(names.CA_VARIABLES) if settings.ca_bundle.config_map_name else set()
    for index, variable in enumerate(settings.extra_env):
        path = f"worker.extraEnv[{index}]"
        if not re.fullmatch(_VARIABLE_NAME, variable.name):
            raise InvalidFieldError(f"{path}.name", variable.name, "letters, digits and _, and no digit first")
        if variable.name in taken or variable.name.startswith("TRANSCRIPTION_"):
            raise InvalidFieldError(
                f"{path}.name", variable.name, "a name that the operator does not set, and only once"
            )
        if (variable.value is None) == (variable.value_from is None):
            raise InvalidFieldError(path, variable.name, "exactly one of value and valueFrom")
        taken.add(variable.name)
