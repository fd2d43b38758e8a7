"""The worker's own end counts, whatever another container of its pod does: one that a mesh injected, for example."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, encode_report, failure
from transcription_api.status import Phase
from transcription_operator.models.objects import PodView
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.plan import Plan

from tests.support.decisions import GOOD, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, FINISHED, STARTED, config, job, pod

SOON = parse_time(FINISHED) + timedelta(seconds=5)
LATER = parse_time(FINISHED) + timedelta(seconds=31)
UNREACHABLE = failure(reasons.ENDPOINT_UNREACHABLE, "no answer")
NO_SUCH_KEY = failure(reasons.NO_SUCH_KEY, "no such key")
PROXY_RUNS = {"name": "istio-proxy", "state": {"running": {"startedAt": STARTED}}}
PROXY_FAILED = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}


def pod_beside(proxy: dict[str, Any], report: Report | None, code: int, phase: str = "Running", **meta: Any) -> PodView:
    """Return a pod whose worker has ended and that has another container before the worker's."""
    message = encode_report(report).decode() if report else ""
    ended = {"exitCode": code, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    worker = {"name": names.CONTAINER_NAME, "state": {"terminated": ended}}
    return pod(meta=meta, phase=phase, containerStatuses=[proxy, worker])


RUNNING = job(active=1, ready=0)


def test_a_result_is_complete_although_a_sidecar_never_ends_and_its_job_is_deleted() -> None:
    finished = pod_beside(PROXY_RUNS, GOOD, exit_codes.OK)
    status, plan = settled(observe(job=RUNNING, pods=(finished,)), LATER)
    assert (status.phase, status.completion_time, status.rtfx) == (Phase.COMPLETE, FINISHED, 10.0)
    assert "istio-proxy" in condition(status, "Complete").message
    assert plan.delete_jobs == (RUNNING,)


def test_an_operator_that_crashed_before_it_deleted_the_job_of_an_endless_sidecar_deletes_it_later() -> None:
    finished = pod_beside(PROXY_RUNS, GOOD, exit_codes.OK)
    status, _ = settled(observe(job=RUNNING, pods=(finished,)), LATER)
    assert decide(observe(status=status, job=RUNNING), config(), LATER).delete_jobs == (RUNNING,)


def test_a_sidecar_has_half_a_minute_to_end_by_itself() -> None:
    finished = pod_beside(PROXY_RUNS, GOOD, exit_codes.OK)
    status, plan = settled(observe(job=RUNNING, pods=(finished,)), SOON)
    assert status.phase is not Phase.COMPLETE
    assert plan.delete_jobs == ()
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 25


def test_a_permanent_failure_beside_an_endless_sidecar_fails_and_frees_the_gpu() -> None:
    failed = pod_beside(PROXY_RUNS, NO_SUCH_KEY, exit_codes.SOURCE_NOT_FOUND)
    status, plan = settled(observe(job=RUNNING, pods=(failed,)), LATER)
    assert status.failure is not None
    assert (status.failure.reason, status.failure.exit_code) == ("NoSuchKey", exit_codes.SOURCE_NOT_FOUND)
    assert plan.delete_jobs == (RUNNING,)


def test_a_transient_failure_beside_an_endless_sidecar_is_retried_after_its_pod_is_deleted() -> None:
    failed = pod_beside(PROXY_RUNS, UNREACHABLE, exit_codes.UNREACHABLE)
    status, plan = settled(observe(job=RUNNING, pods=(failed,)), LATER)
    assert (status.phase, condition(status, "Running").reason) == (Phase.PENDING, "Retrying")
    assert "attempt 1 failed with EndpointUnreachable: no answer" in condition(status, "Running").message
    assert (plan.delete_pods, plan.delete_jobs) == ((failed,), ())


def test_a_pod_that_is_being_deleted_is_not_deleted_again() -> None:
    failed = pod_beside(PROXY_RUNS, UNREACHABLE, exit_codes.UNREACHABLE, deletionTimestamp="2026-01-01T10:06:01Z")
    plan = decide(observe(job=RUNNING, pods=(failed,)), config(), LATER)
    assert plan.status is not None
    assert plan == Plan(status=plan.status, events=plan.events, requeue_after_seconds=plan.requeue_after_seconds)


def test_the_last_attempt_beside_an_endless_sidecar_fails_with_its_reason_and_count() -> None:
    failed = pod_beside(PROXY_RUNS, UNREACHABLE, exit_codes.UNREACHABLE)
    last = job(active=1, failed=1)
    status, plan = settled(observe({"retries": 1}, job=last, pods=(failed,)), LATER)
    assert status.failure is not None
    assert status.failure.message == "no answer (after 2 attempts)"
    assert (status.attempt, plan.delete_jobs) == (2, (last,))


def test_a_worker_without_a_report_beside_an_endless_sidecar_is_not_called_complete() -> None:
    status, plan = settled(observe(job=RUNNING, pods=(pod_beside(PROXY_RUNS, None, exit_codes.OK),)), LATER)
    assert status.failure is not None
    assert status.failure.reason == "ResultIncomplete"
    assert plan.delete_jobs == (RUNNING,)


def test_a_whole_result_is_complete_although_a_sidecar_failed_its_pod() -> None:
    """The report proves the objects. The Job would transcribe again."""
    finished = pod_beside(PROXY_FAILED, GOOD, exit_codes.OK, phase="Failed")
    retrying = job(active=1, failed=1)
    status, plan = settled(observe(job=retrying, pods=(finished,)), SOON)
    assert (status.phase, status.language) == (Phase.COMPLETE, "pt")
    assert plan.delete_jobs == (retrying,)


def test_a_whole_result_is_complete_although_its_job_failed_for_a_sidecar() -> None:
    finished = pod_beside(PROXY_FAILED, GOOD, exit_codes.OK, phase="Failed")
    ended = job(ended="Failed", reason="BackoffLimitExceeded", failed=1)
    status, plan = settled(observe({"retries": 0}, job=ended, pods=(finished,)), SOON)
    assert status.phase is Phase.COMPLETE
    assert plan.delete_jobs == ()


def test_a_whole_result_counts_although_a_later_pod_of_the_job_failed() -> None:
    finished = pod_beside(PROXY_FAILED, GOOD, exit_codes.OK, phase="Failed")
    later = dataclasses.replace(
        pod_beside(PROXY_RUNS, UNREACHABLE, exit_codes.UNREACHABLE, phase="Failed"), created=STARTED
    )
    ended = job(ended="Failed", reason="BackoffLimitExceeded", failed=2)
    status, _ = settled(observe({"retries": 1}, job=ended, pods=(finished, later)), SOON)
    assert status.phase is Phase.COMPLETE


def test_a_result_written_before_the_kubelet_evicted_its_pod_is_complete() -> None:
    state = {"exitCode": 0, "message": encode_report(GOOD).decode(), "startedAt": STARTED, "finishedAt": FINISHED}
    finished = pod({"terminated": state}, phase="Failed", reason="Evicted", message="The node was low on memory.")
    status, _ = settled(observe(job=job(active=0), pods=(finished,)), SOON)
    assert status.phase is Phase.COMPLETE


def test_a_worker_that_ended_well_in_a_pod_that_a_sidecar_failed_is_retried_by_name_without_a_report() -> None:
    failed = pod_beside(PROXY_FAILED, None, exit_codes.OK, phase="Failed")
    status, _ = settled(observe(job=job(failed=1), pods=(failed,)), SOON)
    assert condition(status, "Running").reason == "Retrying"
    assert "container istio-proxy ended with exit code 1" in condition(status, "Running").message


def waiting_for(init: dict[str, Any]) -> tuple[str, str]:
    worker = {"name": names.CONTAINER_NAME, "state": {"waiting": {"reason": "PodInitializing"}}}
    held = pod(phase="Pending", initContainerStatuses=[init], containerStatuses=[worker])
    found = condition(settled(observe(job=RUNNING, pods=(held,)))[0], "Running")
    return found.reason, found.message


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ({"running": {"startedAt": CREATED}}, "WaitingForPod", "init container istio-init runs"),
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}},
            "ImagePullFailed",
            "init container istio-init: ImagePullBackOff",
        ),
        (
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
            "ContainerNotStarted",
            "init container istio-init: CrashLoopBackOff: back-off 5m0s",
        ),
    ],
)
def test_an_init_container_that_holds_the_worker_back_is_named(state: dict[str, Any], reason: str, words: str) -> None:
    found = waiting_for({"name": "istio-init", "state": state})
    assert found[0] == reason
    assert words in found[1]


def test_a_native_sidecar_that_has_started_does_not_hide_the_next_init_container() -> None:
    proxy = {"name": "istio-proxy", "started": True, "state": {"running": {"startedAt": CREATED}}}
    worker = {"name": names.CONTAINER_NAME, "state": {"waiting": {"reason": "PodInitializing"}}}
    second = {"name": "wait-for-dns", "state": {"running": {"startedAt": CREATED}}}
    spec = {"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}, {"name": "wait-for-dns"}]}
    held = pod(None, {}, spec, phase="Pending", initContainerStatuses=[proxy, second], containerStatuses=[worker])
    status, _ = settled(observe(job=RUNNING, pods=(held,)))
    assert "init container wait-for-dns runs" in condition(status, "Running").message


def test_an_init_container_that_failed_its_pod_is_named_in_the_failure() -> None:
    init = {"name": "istio-init", "state": {"terminated": {"exitCode": 3, "reason": "Error", "message": "iptables"}}}
    failed = pod(phase="Failed", initContainerStatuses=[init])
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=4), pods=(failed,)))
    assert status.failure is not None
    assert status.failure.reason == "WorkerFailed"
    assert "container istio-init ended with exit code 3" in status.failure.message
