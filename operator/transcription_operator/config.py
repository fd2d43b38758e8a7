"""The operator's settings, read from environment variables TRANSCRIPTION_<FIELD> and checked before anything starts."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transcription_api.codec import InvalidFieldError

from transcription_operator.worker_images import WorkerImage, parse_worker_images
from transcription_operator.worker_settings import WorkerSettings, parse_worker_settings

PREFIX = "TRANSCRIPTION_"
LOG_FORMATS = ("json", "text")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


class ConfigError(ValueError):
    """A setting is invalid. The message names the variable, its value and what was expected."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{variable(name)}: got {value!r}, expected {expected}")


class ConfigFieldError(ConfigError):
    """A field of a setting that is an object is invalid."""

    def __init__(self, name: str, error: InvalidFieldError) -> None:
        ValueError.__init__(self, f"{variable(name)}: {error}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings and their defaults. In the environment a list is separated by commas, and an object is JSON."""

    worker_image: str
    # The images to choose from, and what each needs of a node. Empty: worker_image, of which nothing more is known.
    worker_images: tuple[WorkerImage, ...] = ()
    worker_image_pull_policy: str = "IfNotPresent"
    # Of the phases plan and collect; empty for the worker's. The chart names the operator's own image, which has what they need.
    planner_image: str = ""
    planner_image_pull_policy: str = "IfNotPresent"
    worker_image_pull_secrets: tuple[str, ...] = ()  # names, in the resource's namespace
    # Requests and limits of the worker's container; those of spec.device.resources take precedence.
    worker_resources: dict[str, dict[str, str]] = field(default_factory=dict)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    namespaces: tuple[str, ...] = ()  # to watch; empty: all
    queue_workers: int = 16  # resources reconciled at the same time
    resync_seconds: float = 300.0  # between two full lists
    progress_seconds: float = 10.0  # between two polls of a worker's progress
    sidecar_grace_seconds: float = 30.0  # from a worker's end until its pod is ended although another container goes on
    log_format: str = "json"
    log_level: str = "INFO"
    node_cache_path: str | None = None  # folder on the nodes for spec.model.cache.type: Node; None: such a spec fails
    allowed_endpoints: tuple[str, ...] = ()  # hosts that endpointURL may name, with * as a wildcard; empty: any
    lease_name: str = "transcription-operator"
    lease_namespace: str = "default"
    lease_seconds: float = 15.0  # after this time without a renewal another replica may lead
    pod_name: str = "transcription-operator"  # the lease's holderIdentity, different for each replica
    http_port: int = 8081  # /healthz, /readyz, /metrics
    read_nodes: bool = (
        False  # whether the operator may list nodes, to choose an image and to say which label keeps a pod waiting
    )

    @property
    def images(self) -> tuple[WorkerImage, ...]:
        """The worker's images, of which the first is taken where nothing is known of nodes."""
        return self.worker_images or (WorkerImage(self.worker_image),)


def variable(name: str) -> str:
    """The environment variable of a field: http_port is read from TRANSCRIPTION_HTTP_PORT."""
    return PREFIX + name.upper()


def parse_config(environment: Mapping[str, str]) -> Config:
    """Read the settings. A variable that is empty counts as absent.

    Raises:
        ConfigError: a value is invalid, or TRANSCRIPTION_WORKER_IMAGE is missing.
    """
    given: dict[str, Any] = {}
    for item in dataclasses.fields(Config):
        text = environment.get(variable(item.name), "").strip()
        if text:
            given[item.name] = PARSERS[item.name](item.name, text)
    if "worker_image" not in given:
        raise ConfigError("worker_image", "", "the worker's image")
    return Config(**given)


Parser = Callable[[str, str], Any]


def _text(_name: str, text: str) -> str:
    return text


def _list(_name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(low: float) -> Parser:
    def parse(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(name, text, "a number") from None
        if not low <= value < float("inf"):
            raise ConfigError(name, text, f"a number of at least {low}")
        return value

    return parse


def _integer(low: int, high: int) -> Parser:
    def parse(name: str, text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ConfigError(name, text, f"an integer from {low} to {high}")
        return int(text)

    return parse


def _one_of(choices: tuple[str, ...]) -> Parser:
    def parse(name: str, text: str) -> str:
        if text not in choices:
            raise ConfigError(name, text, f"one of {', '.join(choices)}")
        return text

    return parse


def _folder(name: str, text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise ConfigError(name, text, "an absolute path without ..")
    return text


def _resources(name: str, text: str) -> dict[str, dict[str, str]]:
    expected = 'JSON such as {"requests": {"cpu": "1"}, "limits": {"memory": "8Gi"}}'
    try:
        value = json.loads(text)
    except ValueError:
        raise ConfigError(name, text, expected) from None
    if not isinstance(value, dict) or not set(value) <= {"requests", "limits"}:
        raise ConfigError(name, text, expected)
    if not all(isinstance(part, dict) for part in value.values()):
        raise ConfigError(name, text, expected)
    return {part: {key: str(item) for key, item in amounts.items()} for part, amounts in value.items()}


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(name, text, "true or false")
    return text == "true"


def _images(name: str, text: str) -> tuple[WorkerImage, ...]:
    try:
        return parse_worker_images(text)
    except InvalidFieldError as error:
        raise ConfigFieldError(name, error) from error
    except ValueError as error:
        raise ConfigError(name, text, 'JSON such as [{"reference": "worker:1", "cuda": "13.2"}]') from error


def _worker(name: str, text: str) -> WorkerSettings:
    try:
        return parse_worker_settings(text)
    except InvalidFieldError as error:
        raise ConfigFieldError(name, error) from error
    except ValueError as error:
        raise ConfigError(name, text, 'JSON such as {"nodeSelector": {"pool": "gpu"}}') from error


PARSERS: Mapping[str, Parser] = {
    "worker_image": _text,
    "worker_image_pull_policy": _one_of(PULL_POLICIES),
    "worker_images": _images,
    "planner_image": _text,
    "planner_image_pull_policy": _one_of(PULL_POLICIES),
    "worker_image_pull_secrets": _list,
    "worker_resources": _resources,
    "worker": _worker,
    "namespaces": _list,
    "queue_workers": _integer(1, 256),
    "resync_seconds": _number(1),
    "progress_seconds": _number(0.1),
    "sidecar_grace_seconds": _number(0),
    "log_format": _one_of(LOG_FORMATS),
    "log_level": _one_of(LOG_LEVELS),
    "node_cache_path": _folder,
    "allowed_endpoints": _list,
    "lease_name": _text,
    "lease_namespace": _text,
    "lease_seconds": _number(2),
    "pod_name": _text,
    "http_port": _integer(1, 65535),
    "read_nodes": _boolean,
}
