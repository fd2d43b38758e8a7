"""What a fault is, and how commands run in the containers that are the cluster's nodes."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from hack.cluster.kind import CONTROL_PLANE, GPU_NODE, PLAIN_NODE
from tests.support.stack.kube import CommandError, run

__all__ = ["CONTROL_PLANE", "GPU_NODE", "PLAIN_NODE", "Fault", "NothingToDisturbError", "kubectl_soon", "on_node"]

# In seconds, for one request while the API server may be away.
REQUEST_SECONDS = 10
# In seconds, for a command that has to succeed in the end, since it mends what was disturbed.
MENDING_SECONDS = 240


class NothingToDisturbError(RuntimeError):
    """There is nothing of the kind that the fault disturbs, for example no worker that runs."""


@dataclass(frozen=True)
class Fault:
    """A disturbance. Within the block of `inject` the cluster is disturbed; afterwards it is mended.

    `seconds` is how long the block should last: 0 for what happens at once. `inject` raises NothingToDisturbError if it
    cannot be done now.
    """

    name: str
    inject: Callable[[random.Random], AbstractContextManager[None]]
    seconds: float = 0


def on_node(node: str, script: str, *arguments: str, check: bool = True) -> str:
    """Run shell text as root on a node, whose container must not be paused."""
    return run("docker", "exec", node, "sh", "-ec", script, "sh", *arguments, check=check)


def kubectl_soon(*arguments: str, text: str | None = None, seconds: float = MENDING_SECONDS) -> str:
    """Run kubectl until it succeeds, since the API server may be away.

    Raises:
        CommandError: it did not succeed in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return run("kubectl", f"--request-timeout={REQUEST_SECONDS}s", *arguments, text=text)
        except CommandError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def running_containers(node: str, container: str) -> list[str]:
    """Return the ids of the running containers of that name on a node, as containerd knows them: no API server is asked."""
    of_name = f'labels."io.kubernetes.container.name"=={container}'
    named = set(on_node(node, 'ctr -n k8s.io containers list -q "$1"', of_name).split())
    tasks = [line.split() for line in on_node(node, "ctr -n k8s.io tasks list").splitlines()[1:]]
    return sorted(task[0] for task in tasks if task[0] in named and task[2] == "RUNNING")


def signal_container(node: str, container_id: str, signal: str = "SIGKILL") -> None:
    """Send a signal to a container's first process; a container that has ended meanwhile is no error."""
    on_node(node, 'ctr -n k8s.io tasks kill -s "$1" "$2"', signal, container_id, check=False)


def running_worker_pods() -> list[dict[str, Any]]:
    """Return the worker pods of all namespaces that run and are not being deleted."""
    chosen = ["-l", "app.kubernetes.io/component=worker", "--field-selector=status.phase=Running"]
    listed = run("kubectl", f"--request-timeout={REQUEST_SECONDS}s", "get", "pods", "-A", *chosen, "-o", "json")
    return [pod for pod in json.loads(listed)["items"] if "deletionTimestamp" not in pod["metadata"]]


def some_worker_pod(draw: random.Random) -> dict[str, Any]:
    """Return one running worker pod.

    Raises:
        NothingToDisturbError: none runs, or the API server is away.
    """
    try:
        pods = running_worker_pods()
    except CommandError as error:
        raise NothingToDisturbError(str(error)) from error
    if not pods:
        raise NothingToDisturbError("no worker runs")
    return draw.choice(pods)


def some_worker_container(draw: random.Random) -> str:
    """Return the id of one running worker container on the GPU node.

    Raises:
        NothingToDisturbError: none runs, or the node is paused.
    """
    try:
        found = running_containers(GPU_NODE, "worker")
    except (CommandError, subprocess.TimeoutExpired) as error:
        raise NothingToDisturbError(str(error)) from error
    if not found:
        raise NothingToDisturbError("no worker runs")
    return draw.choice(found)
