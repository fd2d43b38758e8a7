"""Only time in which a pod is really awaited counts for spec.pendingDeadlineSeconds."""

from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure
from transcription_api.status import Phase, Status
from transcription_operator.models.objects import JobView, PodView, view_job
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, FINISHED, STARTED, config, ended_pod, job, pod

# The Job started six minutes before NOW.
SPEC = {"pendingDeadlineSeconds": 120}
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API"}
UNREACHABLE = failure(reasons.ENDPOINT_UNREACHABLE, "no answer")


def running_before() -> Status:
    """Return the status of a resource whose worker ran."""
    running = pod({"running": {"startedAt": STARTED}}, phase="Running")
    return settled(observe(SPEC, job=job(active=1, ready=1), pods=(running,)))[0]


def phase_of(found: JobView, *pods: PodView, status: Status | None = None) -> Phase | None:
    return settled(observe(SPEC, status, job=found, pods=pods))[0].phase


def test_a_drained_pod_that_takes_its_time_to_end_is_not_awaited() -> None:
    assert phase_of(job(terminating=1), status=running_before()) is Phase.PENDING


def test_a_pod_that_is_deleted_before_it_started_is_not_awaited() -> None:
    going = pod(meta={"deletionTimestamp": "2026-01-01T10:06:20Z"}, conditions=[DRAINED])
    assert phase_of(job(terminating=1), going) is Phase.PENDING


def test_the_pods_of_a_job_that_only_has_a_terminating_one_are_worth_listing() -> None:
    assert job(terminating=1).has_pods


def test_a_drained_pod_that_is_gone_starts_a_fresh_count_for_the_next_one() -> None:
    status, _ = settled(observe(SPEC, running_before(), job=job()))
    assert (status.phase, condition(status, "Running").last_transition_time) == (Phase.PENDING, "2026-01-01T10:06:00Z")
    later = observe(SPEC, status, job=job())
    assert decide(later, config(), NOW + timedelta(seconds=119)).status is None
    failed = decide(later, config(), NOW + timedelta(seconds=121)).status
    assert failed is not None
    assert failed.failure is not None
    assert failed.failure.reason == "PendingDeadlineExceeded"


def test_the_wait_for_the_next_pod_is_counted_from_the_end_of_the_drained_one() -> None:
    ended = pod(
        {"terminated": {"exitCode": 143, "startedAt": STARTED, "finishedAt": "2026-01-01T10:05:30Z"}},
        meta={"deletionTimestamp": "2026-01-01T10:06:00Z"},
        phase="Failed",
        conditions=[DRAINED],
    )
    status, plan = settled(observe(SPEC, running_before(), job=job(), pods=(ended,)))
    assert (status.phase, condition(status, "Running").last_transition_time) == (Phase.PENDING, "2026-01-01T10:05:30Z")
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 90


def resuming_job(**status: Any) -> JobView:
    """Return a Job that was paused for five minutes and whose spec.suspend is false again."""
    paused = {"type": "Suspended", "status": "True", "reason": "JobSuspended", "lastTransitionTime": STARTED}
    meta = {
        "name": "interview-x-1",
        "namespace": "team-a",
        "uid": "job-1",
        "resourceVersion": "8",
        "creationTimestamp": CREATED,
    }
    body = {"metadata": meta, "spec": {"suspend": False}, "status": {"conditions": [paused], **status}}
    return view_job(body)


@pytest.mark.parametrize("start", [{"startTime": CREATED}, {}], ids=["up to 1.35", "from 1.36"])
def test_a_pause_that_is_longer_than_the_deadline_is_not_waiting_for_a_pod(start: dict[str, str]) -> None:
    status, plan = settled(observe(SPEC, job=resuming_job(**start)))
    assert status.phase is Phase.PENDING
    assert plan.delete_jobs == ()


def test_the_pause_between_two_attempts_is_not_waiting_for_a_pod() -> None:
    """The Job controller waits for 40 s after the third failure."""
    lost = ended_pod(UNREACHABLE, exit_codes.UNREACHABLE)
    spec = {"pendingDeadlineSeconds": 30}
    status, _ = settled(observe(spec, job=job(failed=3), pods=(lost,)), parse_time(FINISHED) + timedelta(seconds=60))
    assert condition(status, "Running").reason == "Retrying"


def test_a_second_pod_that_never_comes_ends_the_wait() -> None:
    """A quota or an admission webhook may refuse the pods of a Job."""
    lost = ended_pod(UNREACHABLE, exit_codes.UNREACHABLE)
    later = parse_time(FINISHED) + timedelta(seconds=180)
    status, plan = settled(observe(SPEC, job=job(failed=1), pods=(lost,)), later)
    assert status.failure is not None
    assert status.failure.reason == "PendingDeadlineExceeded"
    assert "the Job has no pod" in status.failure.message
    assert len(plan.delete_jobs) == 1


def test_a_worker_that_has_succeeded_is_not_awaited_again() -> None:
    done = pod({"terminated": {"exitCode": 0, "startedAt": CREATED, "finishedAt": STARTED}}, phase="Succeeded")
    assert decide(observe(SPEC, running_before(), job=job(), pods=(done,)), config(), NOW).delete_jobs == ()
