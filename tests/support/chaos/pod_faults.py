"""Faults of worker pods and their Jobs: deleted, evicted, killed, out of memory."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.support.chaos.fault import (
    GPU_NODE,
    Fault,
    NothingToDisturbError,
    on_node,
    signal_container,
    some_worker_container,
    some_worker_pod,
)
from tests.support.stack.kube import CommandError, run

# It fills the worker's memory limit from within the worker's own group, and makes the worker the one that the kernel
# kills. The group's folder is named after the container; cgroup v1 has it below memory.
FILL_MEMORY = """
group=$(find /sys/fs/cgroup/memory /sys/fs/cgroup -type d -name "$1" 2> /dev/null | head -n 1)
for pid in $(cat "$group/cgroup.procs"); do echo 1000 > "/proc/$pid/oom_score_adj"; done
timeout 30 sh -c 'echo $$ > "$1/cgroup.procs"; exec tail /dev/zero' sh "$group" || true
"""


def once(act: Callable[[random.Random], None]) -> Callable[[random.Random], AbstractContextManager[None]]:
    """Return the `inject` of a fault that happens at once and needs no mending."""

    @contextmanager
    def inject(draw: random.Random) -> Iterator[None]:
        try:
            act(draw)
        except CommandError as error:
            raise NothingToDisturbError(str(error)) from error
        yield

    return inject


def delete_pod(draw: random.Random) -> None:
    """Delete a worker pod as `kubectl delete pod` does."""
    _kubectl_on_pod(some_worker_pod(draw)["metadata"], "delete", "pod", "--wait=false")


def force_delete_pod(draw: random.Random) -> None:
    """Remove a worker pod from the API server while its container may go on."""
    _kubectl_on_pod(some_worker_pod(draw)["metadata"], "delete", "pod", "--grace-period=0", "--force", "--wait=false")


def evict_pod(draw: random.Random) -> None:
    """Evict a worker pod with the Eviction API, as drains and autoscalers do."""
    metadata = some_worker_pod(draw)["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    run("kubectl", "--request-timeout=10s", "create", "--raw", path, "-f", "-", text=json.dumps(eviction))


def delete_job(draw: random.Random) -> None:
    """Delete the Job of a worker pod, as a cleanup controller might."""
    metadata = some_worker_pod(draw)["metadata"]
    job = metadata["labels"]["batch.kubernetes.io/job-name"]
    run("kubectl", "--request-timeout=10s", "delete", "job", job, "-n", metadata["namespace"], "--wait=false")


def kill_worker(draw: random.Random) -> None:
    """Send SIGKILL to a worker."""
    signal_container(GPU_NODE, some_worker_container(draw))


def fill_memory(draw: random.Random) -> None:
    """Fill a worker's memory limit, so that the kernel kills the worker."""
    on_node(GPU_NODE, FILL_MEMORY, some_worker_container(draw))


def _kubectl_on_pod(metadata: dict[str, str], *words: str) -> None:
    run("kubectl", "--request-timeout=10s", *words, metadata["name"], "-n", metadata["namespace"])


POD_FAULTS = (
    Fault("pod deleted", once(delete_pod)),
    Fault("pod deleted by force", once(force_delete_pod)),
    Fault("pod evicted", once(evict_pod)),
    Fault("Job deleted", once(delete_job)),
    Fault("worker killed", once(kill_worker)),
    Fault("worker out of memory", once(fill_memory)),
)
