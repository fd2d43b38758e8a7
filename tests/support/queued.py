"""A resource whose Job waits in a queue of Kueue, on a cluster."""

import json
from typing import Any

from tests.support.job_namespace import PATIENCE, JobNamespace, condition
from tests.support.stack.kube import kubectl, until

# Until the status has new words of Kueue, which are asked for less and less often.
SAID_SECONDS = 120


def change(namespace: JobNamespace, name: str, **spec: Any) -> None:
    """Change fields of the resource's spec."""
    kubectl("patch", "tj", name, "-n", namespace.name, "--type=merge", "-p", json.dumps({"spec": spec}))


def waits_saying(namespace: JobNamespace, name: str, words: str) -> dict[str, Any]:
    """Wait until the resource waits in its queue with these words of Kueue, and return its status."""

    def said() -> dict[str, Any] | None:
        status = namespace.status(name)
        suspended = condition(status, "Suspended")
        waits = (suspended.get("status"), suspended.get("reason")) == ("True", "WaitingForQueue")
        return status if waits and words in suspended["message"] else None

    try:
        status: dict[str, Any] = until(said, SAID_SECONDS, f"{name} to say {words!r}")
    except TimeoutError as error:
        raise AssertionError(f"{error}: {namespace.status(name)}") from None
    assert status["phase"] == "Pending"
    return status


def job_of(namespace: JobNamespace, name: str, phase: str | None = None) -> dict[str, Any]:
    """Wait until the resource has a Job of this phase, and return it."""

    def found() -> dict[str, Any] | None:
        labelled = (
            job for job in namespace.jobs(name) if job["metadata"]["labels"].get("transcription.dev/phase") == phase
        )
        return next(labelled, None)

    job: dict[str, Any] = until(found, PATIENCE, f"a Job of {name} in phase {phase}")
    return job
