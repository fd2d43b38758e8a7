"""A suspension is ended by whoever made it, and neither a queue nor a pause uses up Jobs or attempts."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import failure
from transcription_api.status import DisruptionCounts, Phase, Status
from transcription_operator.models.objects import JobView, view_job
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import JobRejection

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, STARTED, config, ended_pod, job, pod

MARK = {"transcription.dev/suspended-by-spec": "true"}
QUEUED = {names.LABEL_QUEUE: "default"}
RUNNING_POD = pod({"running": {"startedAt": STARTED}}, phase="Running")


def created_job(status: Status | None = None, spec: dict[str, Any] | None = None, **of_job: Any) -> JobView:
    """Return the Job that is created for a resource with this status."""
    manifest = decide(observe(spec, status=status), config(), NOW).create_job
    assert manifest is not None
    meta = {"uid": f"uid-of-{manifest['metadata']['name']}", "resourceVersion": "9", "creationTimestamp": CREATED}
    return view_job(manifest | {"metadata": manifest["metadata"] | meta, "status": of_job})


def running(status: Status | None = None) -> Status:
    """Return the status of a resource whose worker runs in Job number one."""
    return settled(observe(status=status, job=job(active=1, ready=1), pods=(RUNNING_POD,)))[0]


@pytest.mark.parametrize("labels", [{}, QUEUED], ids=["manageJobsWithoutQueueName", "default LocalQueue"])
def test_a_job_that_a_queue_suspended_although_no_queue_is_named_waits_for_it(labels: dict[str, str]) -> None:
    status, plan = settled(observe(job=job(suspend=True, labels=labels)))
    assert plan.suspend_job is None
    assert (status.phase, condition(status, "Suspended").reason) == (Phase.PENDING, "WaitingForQueue")
    expected = "waits in queue default" if labels else "suspended by somebody else, such as a queue"
    assert expected in condition(status, "Suspended").message


def test_the_job_of_a_single_file_waits_with_the_queues_words_and_they_are_asked_for_again_ever_later() -> None:
    queued = job(suspend=True, labels=QUEUED)
    status, plan = settled(observe(job=queued, queue_reason="ClusterQueue gpus is inactive"))
    assert condition(status, "Suspended").message.endswith("waits in queue default; ClusterQueue gpus is inactive")
    pauses = [
        decide(observe(status=status, job=queued), config(), parse_time(CREATED) + timedelta(seconds=waited))
        for waited in (1, 100, 10_000)
    ]
    assert plan.requeue_after_seconds == 300.0  # it has its words
    assert [plan.requeue_after_seconds for plan in pauses] == [3.0, 100.0, 300.0]


def test_a_running_job_that_a_queue_evicts_waits_and_goes_on_as_the_same_attempt() -> None:
    status, plan = settled(observe(status=running(), job=job(suspend=True)))
    assert (plan.suspend_job, plan.create_job) == (None, None)
    assert condition(status, "Running").reason == "WaitingForQueue"
    status, _ = settled(observe(status=status, job=job(active=1), pods=(RUNNING_POD,)))
    assert (status.phase, status.attempt) == (Phase.RUNNING, 1)
    assert status.job_ref is not None
    assert status.job_ref.ordinal == 1


def test_a_job_that_somebody_suspended_by_hand_is_not_resumed_when_the_spec_changes_otherwise() -> None:
    status, _ = settled(observe(status=running(), job=job(suspend=True)))
    plan = decide(observe({"ttlSecondsAfterFinished": 5}, status, job=job(suspend=True)), config(), NOW)
    assert plan.suspend_job is None


def test_a_suspension_of_ours_is_ended_even_if_the_operator_died_before_it_wrote_the_status() -> None:
    marked = job(suspend=True, annotations=MARK)
    assert decide(observe(status=running(), job=marked), config(), NOW).suspend_job == (marked, False)


def test_a_suspension_by_an_operator_that_wrote_no_mark_is_ended() -> None:
    unmarked = job(suspend=True)
    status, _ = settled(observe({"suspend": True}, settled(observe({"suspend": True}))[0], job=unmarked))
    assert condition(status, "Suspended").reason == "SuspendedBySpec"
    assert decide(observe(status=status, job=unmarked), config(), NOW).suspend_job == (unmarked, False)
    refused = JobRejection(reasons.JOB_NOT_UPDATED, "denied")
    status, _ = settled(observe(status=status, job=unmarked, rejection=refused))
    assert decide(observe(status=status, job=unmarked), config(), NOW).suspend_job == (unmarked, False)


@pytest.mark.parametrize(
    "others",
    [
        job(active=1, annotations=MARK),  # somebody has resumed what we had suspended
        job(active=1, labels=QUEUED),
        job(suspend=True),
        job(suspend=True, labels=QUEUED),
    ],
)
def test_pausing_a_job_that_somebody_else_may_resume_deletes_it(others: JobView) -> None:
    status, plan = settled(observe({"suspend": True}, running(), job=others))
    assert (plan.suspend_job, plan.delete_jobs) == (None, (others,))
    assert (status.phase, condition(status, "Suspended").reason) == (Phase.SUSPENDED, "SuspendedBySpec")


def test_a_paused_job_that_somebody_deletes_is_made_anew_on_resumption_and_not_called_lost() -> None:
    status, _ = settled(observe({"suspend": True}, running(), job=job(suspend=True, annotations=MARK)))
    assert decide(observe({"suspend": True}, status), config(), NOW).create_job is None
    made = created_job(status)
    status, plan = settled(observe(status=status, job=made))
    assert (status.attempt, made.ordinal) == (1, 2)
    assert [event.reason for event in plan.events] == ["JobCreated"]


def test_a_resource_can_be_paused_in_its_queue_any_number_of_times() -> None:
    queue = {"queueName": "gpus"}
    status, made = None, created_job(spec=queue)
    for ordinal in range(1, 31):
        assert made.ordinal == ordinal
        status, _ = settled(observe(queue, status, job=dataclasses.replace(made, suspended=False, started=CREATED)))
        assert status.attempt == 1
        status, plan = settled(observe(queue | {"suspend": True}, status, job=made))
        assert plan.delete_jobs == (made,)
        made = created_job(status, queue)
    # One that is deleted from outside after that is followed by another one, as ever.
    status, _ = settled(observe(queue, status, job=made))
    assert created_job(status, queue).ordinal == 32


def test_jobs_that_vanish_between_pauses_still_end_in_a_failure() -> None:
    status: Status | None = None
    for _ in range(10):
        status, _ = settled(observe(status=status, job=created_job(status, startTime=CREATED)))
        paused, _ = settled(observe({"suspend": True}, status))
        status, _ = settled(observe(status=paused, job=created_job(paused, startTime=CREATED)))
    assert status is not None
    failed, _ = settled(observe(status=status))
    assert failed.failure is not None
    assert failed.failure.reason == "JobsKeepVanishing"


def test_a_job_that_was_deleted_from_outside_is_no_attempt_and_its_failed_pods_are() -> None:
    status = running()
    assert settled(observe(status=status, job=created_job(status, startTime=CREATED)))[0].attempt == 1
    unreachable = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE)
    status, _ = settled(observe(job=job(failed=2), pods=(unreachable,)))
    assert status.attempt == 3
    follower = created_job(status, startTime=CREATED, active=1)
    status, _ = settled(observe(status=status, job=follower, pods=(RUNNING_POD,)))
    assert status.attempt == 3
    assert "attempt 3 of 6" in condition(status, "Running").message


def test_evictions_of_earlier_jobs_are_counted_once() -> None:
    counts = DisruptionCounts(evicted=2, last_pod_created=CREATED)
    status, _ = settled(observe(status=dataclasses.replace(running(), disruptions=counts), job=job(active=1)))
    assert status.attempt == 3
    follower = created_job(status, startTime=CREATED)
    assert settled(observe(status=status, job=follower))[0].attempt == 3


@pytest.mark.parametrize("number", ["-1", "x", "", "9" * 30, "1.5", "²"])
def test_numbers_that_somebody_wrote_into_a_jobs_annotations_do_no_harm(number: str) -> None:
    given = {names.ANNOTATION_FIRST_ATTEMPT: number, names.ANNOTATION_LOST_JOBS: number}
    found = job(2, active=1, annotations=given)
    assert (found.first_attempt, found.lost) == (2, 1)


def test_a_worker_that_was_asked_to_stop_is_begun_again_and_did_not_fail() -> None:
    stopped = ended_pod(failure(reasons.INTERRUPTED, "SIGTERM"), exit_codes.INTERRUPTED)
    status, _ = settled(observe(job=job(), pods=(stopped,)))
    assert status.attempt == 1
    assert "attempt 1 is begun again after Interrupted" in condition(status, "Running").message
