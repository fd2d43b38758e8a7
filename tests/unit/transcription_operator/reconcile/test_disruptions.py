"""Evictions for a pod's own use count as attempts; drains, preemptions and lost nodes do not."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure
from transcription_api.status import Phase, Status
from transcription_operator.models.objects import PodView
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.decide import decide

from tests.support.decisions import GOOD, NOW, condition, observe, settled
from tests.support.kubernetes_objects import FINISHED, STARTED, config, ended_pod, job, pod

# The messages are the kubelet's, of pkg/kubelet/eviction/helpers.go.
MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
    "Container worker was using 9Gi, request is 2Gi, has larger consumption of memory. "
)
OTHERS_MEMORY = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
# The kubelet counts no volumes here, so that a full scratch volume is not seen in the message.
DISK = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. "
TASK_LIMIT = 'Usage of EmptyDir volume "scratch" exceeds the limit "10Gi". '


def evicted(message: str, number: int = 1) -> PodView:
    """Return a pod that the kubelet evicted under pressure, the `number`th of its Job."""
    target = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": message}
    return _ended(number, phase="Failed", reason="Evicted", message=message, conditions=[target])


def drained(number: int = 1) -> PodView:
    """Return a pod that was drained, the `number`th of its Job."""
    target = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API",
    }
    return _ended(number, {"deletionTimestamp": FINISHED}, phase="Failed", conditions=[target])


def _ended(number: int, meta: dict[str, Any] | None = None, **status: Any) -> PodView:
    created = format_time(NOW - timedelta(seconds=300 - number))
    meta = {"name": f"interview-x-1-{number}", "uid": f"pod-{number}", "creationTimestamp": created, **(meta or {})}
    ended = {"exitCode": 143, "startedAt": STARTED, "finishedAt": FINISHED}
    return pod({"terminated": ended}, meta, **status)


def after(*pods: PodView, retries: int = 1, failed: int = 0, status: Status | None = None) -> Status:
    return settled(observe({"retries": retries}, status, job=job(failed=failed), pods=pods))[0]


@pytest.mark.parametrize(("message", "reason"), [(MEMORY, "OutOfMemory"), (DISK, "NoSpaceLeft")])
def test_a_pod_that_is_evicted_for_its_own_use_on_one_node_after_another_fails(message: str, reason: str) -> None:
    first = after(evicted(message, 1))
    assert (first.phase, first.attempt) == (Phase.PENDING, 2)
    assert condition(first, "Running").reason == "Retrying"
    running = job(active=1)
    last = observe({"retries": 1}, first, job=running, pods=(evicted(message, 1), evicted(message, 2)))
    status, plan = settled(last)
    assert status.failure is not None
    assert (status.failure.reason, status.attempt) == (reason, 2)
    assert "(after 2 attempts)" in status.failure.message
    assert plan.delete_jobs == (running,)


def test_evictions_are_counted_although_their_pods_are_gone() -> None:
    first = after(evicted(MEMORY, 1))
    again = after(status=first)
    assert again.attempt == 2
    assert after(evicted(MEMORY, 2), status=again).phase is Phase.FAILED


def test_an_eviction_is_counted_once_however_often_it_is_seen() -> None:
    status = after(evicted(MEMORY, 1), retries=3)
    for _ in range(3):
        plan = decide(observe({"retries": 3}, status, job=job(), pods=(evicted(MEMORY, 1),)), config(), NOW)
        assert plan.status is None
    assert status.attempt == 2


def test_evictions_and_failures_of_the_worker_are_counted_together() -> None:
    unreachable = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE)
    status = after(unreachable, evicted(MEMORY, 2), failed=1)
    assert status.failure is not None
    assert (status.failure.reason, status.attempt) == ("OutOfMemory", 2)


def test_an_eviction_for_a_limit_of_the_pod_is_counted_by_its_job_alone() -> None:
    """The kubelet sets no DisruptionTarget for it, so that the Job's policy does not ignore it."""
    limit = _ended(1, phase="Failed", reason="Evicted", message=TASK_LIMIT)
    status = after(limit, retries=3, failed=1)
    assert status.attempt == 2
    assert "NoSpaceLeft" in condition(status, "Running").message


@pytest.mark.parametrize("gone", [evicted(OTHERS_MEMORY), drained()], ids=["others' memory", "drained"])
def test_a_disruption_for_the_sake_of_others_is_no_attempt(gone: PodView) -> None:
    status = after(gone, retries=0)
    assert (status.phase, status.attempt, condition(status, "Running").reason) == (Phase.PENDING, 1, "Retrying")
    assert "Interrupted" in condition(status, "Running").message


def test_five_disruptions_in_a_row_are_told_but_fail_nothing() -> None:
    four = after(*(drained(number) for number in range(1, 5)), retries=0)
    assert "disrupted" not in condition(four, "Running").message.partition("; ")[2]
    observed = observe({"retries": 0}, four, job=job(), pods=(drained(5),))
    status, plan = settled(observed)
    assert status.phase is Phase.PENDING
    assert "5 pods were disrupted" in condition(status, "Running").message
    assert [event.reason for event in plan.events if event.type == "Warning"] == ["RepeatedlyDisrupted"]


def test_a_worker_that_runs_after_five_disruptions_still_tells_of_them() -> None:
    five = after(*(drained(number) for number in range(1, 6)))
    running = pod({"running": {"startedAt": FINISHED}}, phase="Running")
    status, plan = settled(observe({"retries": 1}, five, job=job(active=1), pods=(running,)))
    assert condition(status, "Running").status == "True"
    assert "5 pods were disrupted" in condition(status, "Running").message
    assert plan.events == ()


def test_the_next_job_goes_on_counting() -> None:
    first = after(evicted(MEMORY, 1))
    second = dataclasses.replace(evicted(MEMORY, 2), name="interview-x-2-1")
    status, _ = settled(observe({"retries": 1}, first, job=job(2), pods=(second,)))
    assert status.phase is Phase.FAILED


def test_a_whole_result_completes_after_evictions() -> None:
    first = after(evicted(MEMORY, 1))
    done = job(ended="Complete", succeeded=1)
    status, _ = settled(observe({"retries": 1}, first, job=done, pods=(evicted(MEMORY, 1), ended_pod(GOOD))))
    assert (status.phase, status.attempt) == (Phase.COMPLETE, 2)
