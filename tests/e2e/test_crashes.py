"""Operator and worker killed at any moment: the same end."""

import random
import time
from typing import Any

import pytest

from hack.stack.images import existing_cluster
from hack.stack.kube import kubectl, run, until
from hack.stack.release import NAMESPACE, RELEASE, operator_pods
from tests.e2e.bench import Bench

KILLS = 10
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


def sigkill_operator() -> None:
    """SIGKILL to the operator's process, from the node: PID 1 is out of reach of a kill from inside."""
    if existing_cluster():
        return  # no way into its nodes; the pod is deleted by force all the same
    for pod in operator_pods():
        where = "jsonpath={.spec.nodeName} {.status.containerStatuses[0].containerID}"
        node, _, container = kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", where, check=False).partition(" ")
        if container:
            task = container.removeprefix("containerd://")
            run("docker", "exec", node, "ctr", "-n", "k8s.io", "task", "kill", "-s", "SIGKILL", task, check=False)


def outcome(status: dict[str, Any]) -> dict[str, Any]:
    """The status without what is the run's own."""
    left = {key: value for key, value in status.items() if key not in OF_THE_RUN}
    left["results"] = [{k: v for k, v in result.items() if k != "key"} for result in status["results"]]
    left.pop("reportKey", None)
    return left


def test_an_operator_killed_ten_times_leaves_one_job_and_the_same_result(bench: Bench) -> None:
    bench.apply("undisturbed")
    expected = bench.ended("undisturbed")
    assert expected["phase"] == "Complete", expected
    draw = random.Random(20)
    bench.apply("disturbed")
    for _ in range(KILLS):
        time.sleep(draw.uniform(0, 3))
        sigkill_operator()
        # The kubelet waits longer before each start; a deleted pod's successor starts at once.
        kubectl(
            "delete",
            "pods",
            "-n",
            NAMESPACE,
            "-l",
            f"app.kubernetes.io/instance={RELEASE}",
            "--grace-period=0",
            "--force",
        )
    status = bench.ended("disturbed")
    assert len(bench.jobs("disturbed")) == 1
    assert len(bench.pods("disturbed")) == 1
    assert outcome(status) == outcome(expected)


def test_a_worker_pod_that_is_deleted_is_retried_and_completes(bench: Bench) -> None:
    bench.apply("deleted-pod", "long.wav")
    bench.reaches("deleted-pod", "Running", "transcribe")
    (pod,) = bench.pods("deleted-pod")
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", bench.namespace, "--wait=false")
    until(
        lambda: [p for p in bench.pods("deleted-pod") if p["metadata"]["uid"] != pod["metadata"]["uid"]],
        120,
        "a second pod",
    )
    status = bench.ended("deleted-pod")
    assert status["phase"] == "Complete", status
    assert status["attempt"] == 2


def test_progress_is_seen_while_a_job_runs(bench: Bench) -> None:
    bench.apply("slow", "long.wav")
    status = bench.reaches("slow", "Running", "transcribe")
    until(
        lambda: 0 < bench.status("slow").get("progress", {}).get("percent", 0) < 100,
        120,
        "progress between 0 and 100 %",
    )
    assert status["progress"]["secondsTotal"] == pytest.approx(1200, rel=0.1)
    kubectl("delete", "tj", "slow", "-n", bench.namespace)
