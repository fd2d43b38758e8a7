"""Resources come to the same end if operator or worker are killed at any moment."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helm import NAMESPACE, RELEASE
from tests.support.job_namespace import PATIENCE, JobNamespace
from tests.support.stack.images import existing_cluster
from tests.support.stack.kube import get, kubectl, run, until
from tests.support.stack.release import ensure_release, operator_pods

KILLS = 6
# In seconds. A dead operator's lease ends soon, so that the next one acts before it is killed too.
LEASE_SECONDS = 4
# Fields that differ from run to run of the same job.
OF_THE_RUN = (
    "conditions",
    "jobRef",
    "queuedTime",
    "startTime",
    "completionTime",
    "queueSeconds",
    "wallSeconds",
    "rtfx",
    "progress",
)


@pytest.fixture
def short_lease(namespace: JobNamespace, values: dict[str, Any]) -> Iterator[None]:
    """Install the release with a lease of LEASE_SECONDS."""
    ensure_release({**values, "tuning": {"leaseSeconds": LEASE_SECONDS}})
    yield
    ensure_release(values)


def kill_operator() -> None:
    """Send SIGKILL to the operator, and replace its pod, since the kubelet waits longer before each restart of a pod."""
    sigkill_operator()
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    kubectl("delete", "pods", "-n", NAMESPACE, "-l", selector, "--grace-period=0", "--force")


def sigkill_operator() -> None:
    """Send SIGKILL to the operator from the node, since a process in the container can't kill PID 1."""
    if existing_cluster():
        return  # its nodes can't be reached, but the pod is deleted by force
    for pod in operator_pods():
        where = "jsonpath={.spec.nodeName} {.status.containerStatuses[0].containerID}"
        node, _, container = kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", where, check=False).partition(" ")
        if container:
            task = container.removeprefix("containerd://")
            run("docker", "exec", node, "ctr", "-n", "k8s.io", "task", "kill", "-s", "SIGKILL", task, check=False)


def leader() -> str:
    """Return the holder of the lease."""
    lease = get("lease", RELEASE, NAMESPACE)
    assert lease is not None
    holder: str = lease["spec"]["holderIdentity"]
    return holder


def outcome(status: dict[str, Any]) -> dict[str, Any]:
    """Return the status without the fields that differ between runs."""
    left = {key: value for key, value in status.items() if key not in OF_THE_RUN}
    left["results"] = [{k: v for k, v in result.items() if k != "key"} for result in status["results"]]
    left.pop("reportKey", None)
    return left


@pytest.mark.usefixtures("short_lease")
def test_an_operator_killed_again_and_again_leaves_one_job_each_and_the_same_result(namespace: JobNamespace) -> None:
    namespace.apply("undisturbed")
    expected = namespace.ended("undisturbed")
    assert expected["phase"] == "Complete", expected
    draw = random.Random(20)
    leaders = {leader()}
    for number in range(KILLS):
        namespace.apply(f"disturbed-{number}")
        if number % 2:  # once another one leads; else also while none does
            until(lambda: leader() not in leaders, PATIENCE, "another operator to lead")
        leaders.add(leader())
        time.sleep(draw.uniform(0, 5))
        kill_operator()
    assert len(leaders) >= KILLS / 2
    for number in range(KILLS):
        status = namespace.ended(f"disturbed-{number}")
        assert len(namespace.jobs(f"disturbed-{number}")) == 1
        assert len(namespace.pods(f"disturbed-{number}")) == 1
        assert outcome(status) == outcome(expected)


def test_a_worker_pod_that_is_deleted_is_retried_and_completes(namespace: JobNamespace) -> None:
    namespace.apply("deleted-pod", "long.wav")
    namespace.reaches("deleted-pod", "Running", "transcribe")
    (pod,) = namespace.pods("deleted-pod")
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", namespace.name, "--wait=false")
    until(
        lambda: [p for p in namespace.pods("deleted-pod") if p["metadata"]["uid"] != pod["metadata"]["uid"]],
        PATIENCE,
        "a second pod",
    )
    status = namespace.ended("deleted-pod")
    assert status["phase"] == "Complete", status
    assert status["attempt"] == 1  # a worker that was asked to stop has not failed


def test_progress_is_seen_while_a_job_runs(namespace: JobNamespace) -> None:
    namespace.apply("slow", "long.wav")
    status = namespace.reaches("slow", "Running", "transcribe")
    until(
        lambda: 0 < namespace.status("slow").get("progress", {}).get("percent", 0) < 100,
        PATIENCE,
        "progress between 0 and 100 %",
    )
    assert status["progress"]["secondsTotal"] == pytest.approx(1800, rel=0.1)
    kubectl("delete", "tj", "slow", "-n", namespace.name)
