"""A Job that completed while nobody looked, and whose report is gone, is followed by one that finds its results in S3."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.report import failure
from transcription_api.status import Phase, Status
from transcription_operator.models.objects import JobView, PodView, view_job
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import JobRejection, ObservedState

from tests.support.decisions import GOOD, NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, STARTED, config, ended_pod, job, pod

COMPLETE = job(ended="Complete", succeeded=1)
RUNNING_POD = pod({"running": {"startedAt": STARTED}}, phase="Running")
MUTE_POD = ended_pod(None)
FAILED_POD = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), 80)


def stored(observed: ObservedState) -> Status:
    """Return the status that is decided first; the next decision rests on it."""
    status = decide(observed, config(), NOW).status
    assert status is not None
    return status


def next_job(status: Status, spec: dict[str, Any] | None = None, *earlier: JobView, **of_job: Any) -> JobView:
    """Return the Job that is created to look for the results of the last of the earlier ones, or of `COMPLETE`."""
    jobs = earlier or (COMPLETE,)
    manifest = decide(observe(spec, status, job=jobs[-1], jobs=jobs), config(), NOW).create_job
    assert manifest is not None
    meta = manifest["metadata"] | {"uid": "next", "resourceVersion": "9", "creationTimestamp": CREATED}
    return view_job(manifest | {"metadata": meta, "status": {"startTime": CREATED} | of_job})


@pytest.mark.parametrize("pods", [(), (MUTE_POD,), (FAILED_POD,), (pod(phase="Succeeded"),)])
def test_a_complete_job_whose_report_is_gone_is_not_a_failed_resource(pods: tuple[PodView, ...]) -> None:
    observed = observe(job=COMPLETE, pods=pods)
    plan = decide(observed, config(), NOW)
    assert plan.status is not None
    assert (plan.status.phase, plan.status.failure) == (Phase.PENDING, None)
    assert condition(plan.status, "Running").reason == "ReportLost"
    assert ("Warning", "ReportLost") in [(event.type, event.reason) for event in plan.events]
    assert plan.requeue_after_seconds
    again = decide(observe(status=plan.status, job=COMPLETE, pods=pods), config(), NOW)
    assert again.create_job is not None
    assert again.create_job["metadata"]["name"].endswith("-2")


def test_the_next_job_finds_the_results_and_completes_the_resource_in_the_same_attempt() -> None:
    status = stored(observe(job=COMPLETE))
    second = next_job(status)
    status, plan = settled(observe(status=status, job=second, jobs=(COMPLETE, second)))
    assert [event.reason for event in plan.events] == ["JobCreated"]  # the first Job was not deleted from outside
    assert condition(status, "Running").reason == "WaitingForPod"
    end = {"type": "Complete", "status": "True", "lastTransitionTime": STARTED}
    done = next_job(stored(observe(job=COMPLETE)), conditions=[end], succeeded=1)
    reused = ended_pod(dataclasses.replace(GOOD, reused=True))
    status, _ = settled(observe(status=status, job=done, jobs=(COMPLETE, done), pods=(reused,)))
    assert (status.phase, status.reused, status.attempt) == (Phase.COMPLETE, True, 1)


def test_reports_that_never_arrive_end_in_a_failure() -> None:
    jobs = tuple(job(ordinal, ended="Complete", succeeded=1) for ordinal in (1, 2, 3))
    status, plan = settled(observe(job=jobs[-1], jobs=jobs, pods=(MUTE_POD,)))
    assert plan.create_job is None
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == ("ResultIncomplete", "the worker left no report")


def test_a_resource_that_lost_jobs_before_still_has_its_results_found() -> None:
    late = job(6, ended="Complete", succeeded=1)
    status = stored(observe(job=late))
    assert next_job(status, None, late).ordinal == 7


def test_a_paused_resource_has_no_job_made_to_look_for_its_results_until_it_is_resumed() -> None:
    paused = {"suspend": True}
    status, plan = settled(observe(paused, job=COMPLETE))
    assert (status.phase, plan.create_job, plan.suspend_job) == (Phase.SUSPENDED, None, None)
    status = stored(observe(status=status, job=COMPLETE))
    assert condition(status, "Running").reason == "ReportLost"
    assert next_job(status).ordinal == 2


def test_a_refusal_of_the_next_job_is_told_and_the_next_job_is_tried_again() -> None:
    lost = stored(observe(job=COMPLETE))
    refused = JobRejection(reasons.JOB_NOT_CREATED, "exceeded quota")
    status, _ = settled(observe(status=lost, job=COMPLETE, rejection=refused))
    assert condition(status, "Running").reason == "JobNotCreated"
    plan = decide(observe(status=status, job=COMPLETE), config(), NOW + timedelta(minutes=1))
    assert (plan.status, plan.create_job is not None) == (None, True)


def test_a_report_that_is_there_is_read_even_if_other_pods_are_mute() -> None:
    status, _ = settled(observe(job=COMPLETE, pods=(MUTE_POD, ended_pod(GOOD))))
    assert status.phase is Phase.COMPLETE


def test_a_job_that_was_deleted_after_its_worker_had_ended_well_is_followed_by_one_that_finds_the_results() -> None:
    status, _ = settled(observe(job=job(active=1), pods=(RUNNING_POD,)))
    plan = decide(observe(status=status), config(), NOW)
    assert plan.create_job is not None
    assert status.failure is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Container worker for pod team-a/x failed with exit code 65 matching FailJob rule at index 1", 65),
        ("Job has reached the specified backoff limit", None),
    ],
)
def test_a_failed_job_without_pods_has_failed_and_keeps_the_exit_code_that_is_known(
    message: str, code: int | None
) -> None:
    failed = dataclasses.replace(job(ended="Failed", reason="PodFailurePolicy", failed=1), outcome_message=message)
    status, _ = settled(observe(job=failed))
    assert status.failure is not None
    assert (status.failure.reason, status.failure.exit_code) == ("WorkerFailed", code)
    assert message in status.failure.message
