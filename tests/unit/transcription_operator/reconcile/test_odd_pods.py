"""Pods that end or wait in an unusual way are told by what happened to them."""

import dataclasses
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.status import Phase
from transcription_operator.models.objects import PodView

from tests.support.decisions import condition, observe, settled
from tests.support.kubernetes_objects import FINISHED, STARTED, job, pod

RUNNING = {"running": {"startedAt": STARTED}}
LATER = {"name": "interview-x-1-fghij", "uid": "pod-2", "creationTimestamp": "2026-01-01T10:04:00Z"}


def ended(gone: PodView) -> tuple[str, str, str]:
    """Return reason, message and advice of a resource whose Job has failed with this pod."""
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=4), pods=(gone,)))
    assert status.failure is not None
    return status.failure.reason, status.failure.message, status.failure.advice


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed"),
        ("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu"),
        ("OutOfnvidia.com/gpu", "Pod was rejected: Node didn't have enough resource: nvidia.com/gpu"),
        ("UnexpectedAdmissionError", "Pod was rejected: no healthy devices present; cannot allocate unhealthy devices"),
        ("NodeShutdown", "Pod was rejected as the node is shutting down."),
    ],
)
def test_a_pod_that_its_node_rejected_is_not_told_as_a_failure_of_the_worker(reason: str, message: str) -> None:
    found, words, advice = ended(pod(phase="Failed", reason=reason, message=message))
    assert found == "PodRejected"
    assert f"node node-1 rejected pod interview-x-1-abcde: {reason}: {message}" in words
    assert "log" not in advice


def test_a_rejected_pod_is_tried_again() -> None:
    rejected = pod(phase="Failed", reason="UnexpectedAdmissionError", message="Pod was rejected: unhealthy devices")
    status, _ = settled(observe(job=job(failed=1), pods=(rejected,)))
    assert (status.phase, condition(status, "Running").reason) == (Phase.PENDING, "Retrying")
    assert "PodRejected" in condition(status, "Running").message


def test_a_pod_that_the_kubelet_preempted_for_a_critical_one_is_a_disruption() -> None:
    target = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": "Pod was preempted",
    }
    gone = pod(
        phase="Failed", reason="Preempting", message="Preempted in order to admit critical pod", conditions=[target]
    )
    status, _ = settled(observe({"retries": 0}, job=job(), pods=(gone,)))
    assert (status.phase, status.attempt) == (Phase.PENDING, 1)
    assert "Interrupted" in condition(status, "Running").message


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"exitCode": 137, "reason": "ContainerStatusUnknown"}, "node node-1 lost the container"),
        ({"exitCode": 137, "reason": "Error"}, "killed by SIGKILL"),
    ],
)
def test_a_worker_that_was_killed_without_a_report_says_by_whom(state: dict[str, Any], words: str) -> None:
    found, message, _ = ended(pod({"terminated": {**state, "finishedAt": FINISHED}}, phase="Failed"))
    assert found == "WorkerFailed"
    assert words in message


def test_a_pod_with_scheduling_gates_is_told_by_their_names() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    spec = {"nodeName": None, "schedulingGates": [{"name": "example.com/quota"}]}
    status, _ = settled(observe(job=job(active=1), pods=(pod(None, {}, spec, conditions=[gated]),)))
    running = condition(status, "Running")
    assert running.reason == "WaitingForPod"
    assert "held by the scheduling gate example.com/quota" in running.message


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_the_kubelet_cannot_create_is_told_by_name(reason: str) -> None:
    held = pod({"waiting": {"reason": reason, "message": "why"}}, phase="Pending")
    status, _ = settled(observe(job=job(active=1), pods=(held,)))
    assert condition(status, "Running").reason == "ContainerNotStarted"
    assert f"{reason}: why" in condition(status, "Running").message


def test_the_advice_on_an_image_that_cannot_be_pulled_has_the_models_image_too() -> None:
    assert "spec.model.volume.image" in reasons.IMAGE_PULL_FAILED.advice


def test_of_two_pods_the_one_that_stays_is_shown_and_polled() -> None:
    leaving = pod(RUNNING, {"deletionTimestamp": "2026-01-01T10:06:20Z"}, phase="Running", podIP="10.0.0.1")
    staying = pod(RUNNING, LATER, phase="Running", podIP="10.0.0.2")
    for pods in ((leaving, staying), (staying, leaving)):
        status, plan = settled(observe(job=job(active=1, terminating=1), pods=pods))
        assert plan.poll_pods == (staying,)
        assert staying.name in condition(status, "Running").message


def test_a_worker_that_runs_is_shown_and_polled_although_its_job_has_a_second_pod_that_waits() -> None:
    """The Job controller may make two pods when it starts anew, and deletes one of them."""
    running = pod(RUNNING, phase="Running", podIP="10.0.0.1")
    waiting = pod(None, LATER, phase="Pending")
    for pods in ((running, waiting), (waiting, running)):
        status, plan = settled(observe({"pendingDeadlineSeconds": 1}, job=job(active=2, ready=1), pods=pods))
        assert (status.phase, plan.poll_pods) == (Phase.RUNNING, (running,))
        assert running.name in condition(status, "Running").message


def test_a_pod_that_waits_is_shown_while_an_older_one_is_deleted() -> None:
    leaving = pod(RUNNING, {"deletionTimestamp": "2026-01-01T10:06:20Z"}, phase="Running", podIP="10.0.0.1")
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    waiting = pod(None, LATER, phase="Pending", conditions=[scheduled])
    status, plan = settled(observe(job=job(active=1, terminating=1), pods=(leaving, waiting)))
    assert (status.phase, condition(status, "Running").reason) == (Phase.PENDING, "Unschedulable")
    assert plan.poll_pods == ()


def test_the_pending_deadline_names_the_init_container_that_held_the_worker_back() -> None:
    init = {"name": "istio-init", "state": {"running": {"startedAt": STARTED}}}
    held = pod({"waiting": {"reason": "PodInitializing"}}, phase="Pending", initContainerStatuses=[init])
    status, _ = settled(observe({"pendingDeadlineSeconds": 60}, job=job(active=1), pods=(held,)))
    assert status.failure is not None
    assert "init container istio-init runs" in status.failure.message


def test_a_job_whose_parallelism_somebody_has_set_to_0_is_said_to_wait_for_that() -> None:
    paused = dataclasses.replace(job(), parallelism=0)
    status, _ = settled(observe(job=paused))
    assert "has parallelism 0, which somebody has set" in condition(status, "Running").message


def test_a_pod_without_a_claim_of_its_template_is_said_to_wait_for_that() -> None:
    """The scheduler does not look at such a pod: no condition says that its template is missing (Kubernetes 1.34 or later)."""
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    unmade = pod(spec={"nodeName": None, "resourceClaims": claims}, phase="Pending")
    status, _ = settled(observe(job=job(active=1), pods=(unmade,)))
    words = "waits for its claim of the ResourceClaimTemplate one-gpu, which must exist"
    assert words in condition(status, "Running").message
    made = [{"name": "gpu", "resourceClaimName": "interview-x-1-abcde-gpu-7k2"}]
    waiting = pod(spec={"nodeName": None, "resourceClaims": claims}, phase="Pending", resourceClaimStatuses=made)
    status, _ = settled(observe(job=job(active=1), pods=(waiting,)))
    assert words not in condition(status, "Running").message
