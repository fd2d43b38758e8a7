"""Render the worker's container: its image, environment and rights."""

from collections.abc import Iterator
from typing import Any

from transcription_api import names
from transcription_api.codec import to_json
from transcription_api.spec import Spec
from transcription_api.task import Task, task_variables

from transcription_operator.config import Config
from transcription_operator.manifests.phase import phase_image
from transcription_operator.manifests.requests_and_limits import render_resources
from transcription_operator.models.objects import Resource

Manifest = dict[str, Any]

_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# Fields that may change while the worker runs.
_MUTABLE = ("suspend", "parallelism", "ttlSecondsAfterFinished", "deletionPolicy")
# Fields that the manifest itself has. An environment variable has at most 128 KiB (Linux's MAX_ARG_STRLEN), which the
# longest texts of all fields together would exceed.
_OF_THE_POD = (
    *("nodeSelector", "tolerations", "resources", "runtimeClassName", "priorityClassName", "resourceName"),
    *("minMemory", "resourceClaimTemplateName"),
)


def render_container(
    resource: Resource, spec: Spec, config: Config, mounts: list[Manifest], phase: str | None = None
) -> Manifest:
    """The container of a resource's worker. `phase` is the Job's."""
    return {
        "name": names.CONTAINER_NAME,
        **phase_image(config, phase),
        "env": [
            *({"name": name, "value": value} for name, value in task_variables(_task(resource, phase))),
            *({"name": name, "value": _literal(value)} for name, value in _variables(config)),
            # Here Kubernetes' references to other variables are the administrator's to use.
            *to_json(config.worker.extra_env),
        ],
        "ports": [{"name": "progress", "containerPort": names.PROGRESS_PORT}],
        "resources": render_resources(spec, config),
        "securityContext": _SECURITY,
        "terminationMessagePath": names.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _task(resource: Resource, phase: str | None) -> Task:
    """The worker's task: the fields of the spec that the worker reads."""
    spec = {name: value for name, value in resource.spec.items() if name not in _MUTABLE}
    if "device" in spec:
        spec["device"] = {name: value for name, value in spec["device"].items() if name not in _OF_THE_POD}
    if phase not in (None, names.PHASE_PLAN) and "keys" in spec["source"]["s3"]:
        # The plan has them, and they may be many.
        listed = {name: value for name, value in spec["source"]["s3"].items() if name != "keys"}
        spec["source"] = spec["source"] | {"s3": listed}
    return Task(resource.key.namespace, resource.key.name, resource.uid, spec, phase)


def _variables(config: Config) -> Iterator[tuple[str, str]]:
    worker = config.worker
    yield names.ENV_LOG_FORMAT, config.log_format
    yield names.ENV_LOG_LEVEL, config.log_level
    yield names.ENV_TERMINATION_GRACE_SECONDS, str(names.TERMINATION_GRACE_SECONDS)
    # The root filesystem is read-only, so the caches of libraries go to the scratch volume.
    yield "HOME", names.SCRATCH_DIR
    yield "XDG_CACHE_HOME", f"{names.SCRATCH_DIR}/.cache"
    if worker.has_proxy:
        proxies = {"http_proxy": worker.proxy.http_proxy, "https_proxy": worker.proxy.https_proxy}
        proxies["no_proxy"] = worker.proxy.no_proxy
        for name, value in proxies.items():
            yield name, value
            yield name.upper(), value
    if worker.ca_bundle.config_map_name:
        for name in names.CA_VARIABLES:
            yield name, worker.ca_bundle.path


def _literal(value: str) -> str:
    """Escape what the kubelet would take for a reference to another variable."""
    return value.replace("$", "$$")
