"""What is wrong after the faults: resources that did not end as they must, Jobs without a resource, an operator that ended itself."""

import json
from collections import Counter
from typing import Any

from tests.support.chaos.stream import FORMATS, Kind
from tests.support.helm import NAMESPACE, RELEASE
from tests.support.job_namespace import ENDED, JobNamespace
from tests.support.stack.kube import CommandError, list_items, run

KILLED = "killed"
# By design: a replica that cannot renew its lease ends, since another may lead.
LEASE_LOST = "ended itself, since its lease was lost"


def wrong_resources(
    namespace: JobNamespace,
    kinds: dict[str, Kind],
    resources: dict[str, dict[str, Any]],
    expected: dict[str, dict[str, str]],
) -> list[str]:
    """Return a sentence for each resource that is lost, stuck, or ended otherwise than it must.

    `expected` has the texts of the undisturbed run by key of the audio and format.
    """
    found = []
    for name, kind in kinds.items():
        problem = _problem(namespace, name, kind, resources.get(name), expected.get(kind.key, {}))
        if problem:
            found.append(f"{name}: {problem}")
    return found


def _problem(
    namespace: JobNamespace, name: str, kind: Kind, resource: dict[str, Any] | None, expected: dict[str, str]
) -> str | None:
    if resource is None:
        return "the resource is lost"
    status = resource.get("status", {})
    if status.get("phase") not in ENDED:
        return f"stuck: {json.dumps(status)[:1500]}"
    reason = status.get("failure", {}).get("reason")
    if reason != kind.reason:
        return f"ended with {reason}, expected {kind.reason}: {json.dumps(status)[:1500]}"
    if kind.reason is None and texts(namespace, name, kind.key) != expected:
        return "its text is not that of the undisturbed run"
    return None


def texts(namespace: JobNamespace, name: str, key: str) -> dict[str, str]:
    """Return the results of a resource of the stream, by format."""
    stem = key.removesuffix(".wav")
    return {item: namespace.text(f"{namespace.name}/{name}/{stem}.{item}") for item in FORMATS}


def left_behind(namespace: JobNamespace, resources: dict[str, dict[str, Any]]) -> list[str]:
    """Return a sentence for each Job without a resource, and for each pod that is not finished."""
    uids = {resource["metadata"]["uid"] for resource in resources.values()}
    jobs = list_items("jobs", namespace.name)
    orphans = [job for job in jobs if not {o["uid"] for o in job["metadata"].get("ownerReferences", ())} & uids]
    pods = [pod for pod in list_items("pods", namespace.name) if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    return [f"Job {job['metadata']['name']} has no resource" for job in orphans] + [
        f"pod {pod['metadata']['name']} is {pod['status']['phase']}" for pod in pods
    ]


class OperatorEnds:
    """How the operator's containers ended, sampled often, since a pod tells only of its container's last end."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], str] = {}  # by the pod's uid and its number of restarts

    def sample(self) -> None:
        """Look at the operator's pods; nothing is learnt while the API server is away."""
        chosen = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
        try:
            listed = run("kubectl", "--request-timeout=5s", "get", "pods", "-n", NAMESPACE, "-l", chosen, "-o", "json")
            for pod in json.loads(listed)["items"]:
                self._note(pod)
        except CommandError:
            return

    def _note(self, pod: dict[str, Any]) -> None:
        for container in pod["status"].get("containerStatuses", ()):
            key = (pod["metadata"]["uid"], container["restartCount"])
            ended = container.get("lastState", {}).get("terminated")
            if ended and key not in self._seen:
                self._seen[key] = _how_it_ended(pod["metadata"]["name"], ended)

    def counted(self) -> Counter[str]:
        """Return how often it ended in each way."""
        return Counter(self._seen.values())

    def unexplained(self) -> list[str]:
        """Return the ends that no fault explains."""
        return sorted(set(self._seen.values()) - {KILLED, LEASE_LOST})


def _how_it_ended(pod: str, ended: dict[str, Any]) -> str:
    if ended["exitCode"] == 137 and ended.get("reason") != "OOMKilled":
        return KILLED
    log = run("kubectl", "--request-timeout=5s", "logs", pod, "-n", NAMESPACE, "--previous", "--tail=20")
    if ended["exitCode"] == 1 and "is lost" in log and "Traceback" not in log:
        return LEASE_LOST
    return f"exit code {ended['exitCode']} ({ended.get('reason', '')}): {log[-1500:]}"
