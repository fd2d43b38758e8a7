"""Two hundred resources are handled at once."""

import json
from typing import Any

from tests.support.helm import NAMESPACE
from tests.support.job_namespace import PATIENCE, JobNamespace
from tests.support.stack.kube import kubectl, list_items, until
from tests.support.stack.release import operator_pods

COUNT = 200
# MiB that the operator may grow by while it holds COUNT more resources and their Jobs.
GROWTH = 30


def operator_memory() -> float:
    """Return the resident memory of the operator's process in MiB, from /proc."""
    total = 0.0
    for pod in operator_pods():
        status = kubectl("exec", pod, "-n", NAMESPACE, "--", "cat", "/proc/1/status")
        total += int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    return total


def phases(namespace: JobNamespace) -> list[str]:
    """Return the phase of every resource in the namespace."""
    return [item.get("status", {}).get("phase", "") for item in list_items("transcriptionjobs", namespace.name)]


def test_two_hundred_at_once_are_done_or_queued_without_duplicates_and_memory_stays_flat(
    namespace: JobNamespace,
) -> None:
    before = operator_memory()
    manifests: list[dict[str, Any]] = [
        # There are two GPUs, so two resources run and the others queue.
        namespace.manifest(
            f"many-{n:03}", namespace.spec(f"many-{n:03}", "english.wav", device={"policy": "PreferGPU"})
        )
        for n in range(COUNT)
    ]
    kubectl(
        "apply", "--server-side", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    )
    until(lambda: all(phases(namespace)) and len(phases(namespace)) == COUNT, PATIENCE, "a phase in every resource")
    until(lambda: phases(namespace).count("Complete") >= 4, PATIENCE, "four to complete")
    assert set(phases(namespace)) <= {"Pending", "Running", "Complete"}
    owners = [job["metadata"]["ownerReferences"][0]["uid"] for job in list_items("jobs", namespace.name)]
    assert len(owners) == len(set(owners)) == COUNT
    assert operator_memory() - before <= GROWTH
