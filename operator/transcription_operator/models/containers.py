"""The containers of a pod beside the worker's: those that a service mesh or an admission webhook has added."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from transcription_api import names

Body = Mapping[str, Any]


class InitContainer(NamedTuple):
    """An init container that has not ended well, so that the worker's container does not start."""

    name: str
    waiting_reason: str | None  # None while it runs
    waiting_message: str | None


def unfinished_init_container(pod: Body) -> InitContainer | None:
    """The first init container of a pod that the worker's container waits for, or None."""
    native = _native_sidecars(pod)
    for container in (pod.get("status") or {}).get("initContainerStatuses") or ():
        state = container.get("state") or {}
        started = container.get("started") and container["name"] in native
        if "terminated" not in state and not started:
            waiting = state.get("waiting") or {}
            return InitContainer(container["name"], waiting.get("reason"), waiting.get("message"))
    return None


def _native_sidecars(pod: Body) -> set[str]:
    """The init containers that run beside the worker and that Kubernetes ends after it."""
    containers = (pod.get("spec") or {}).get("initContainers") or ()
    return {container["name"] for container in containers if container.get("restartPolicy") == "Always"}


def running_sidecars(pod: Body) -> tuple[str, ...]:
    """The names of the running containers beside the worker's."""
    return tuple(name for name, state in _others(pod) if "running" in state)


def failed_sidecars(pod: Body) -> tuple[str, ...]:
    """For each container beside the worker's, init containers too, that ended with another exit code than 0: which and how."""
    return tuple(_end(name, state["terminated"]) for name, state in _others(pod) if _failed(state))


def _failed(state: Body) -> bool:
    return bool((state.get("terminated") or {}).get("exitCode"))


def _end(name: str, terminated: Body) -> str:
    return f"container {name} ended with exit code {terminated['exitCode']} ({terminated.get('reason') or 'no reason given'})"


def _others(pod: Body) -> Iterator[tuple[str, Body]]:
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            if container.get("name") != names.CONTAINER_NAME:
                yield container["name"], container.get("state") or {}
