"""A status and a plan are decided from an observed state; deciding again from the stored status changes nothing."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import DeviceUsed, Report, failure
from transcription_api.status import Phase
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import JobRejection
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.succession import MAX_LOST_JOBS

from tests.support.decisions import GOOD, NOW, condition, observe, settled
from tests.support.kubernetes_objects import (
    FINISHED,
    SPEC,
    STARTED,
    config,
    ended_pod,
    job,
    observed_state,
    pod,
    resource,
)

RUNNING_POD = pod({"running": {"startedAt": STARTED}}, phase="Running", podIP="10.0.0.1")


def test_a_new_resource_gets_job_number_one() -> None:
    plan = decide(observe(), config(), NOW)
    assert plan.create_job is not None
    assert plan.create_job["metadata"]["name"].endswith("-1")


def test_a_resource_that_is_being_deleted_is_left_alone() -> None:
    going = resource(SPEC, deletionTimestamp=FINISHED)
    assert decide(observed_state(going), config(), NOW) == Plan()


def test_a_job_without_pods_is_pending() -> None:
    status, plan = settled(observe(job=job(active=1), pods=(pod(),)))
    assert status.phase is Phase.PENDING
    assert condition(status, "Running").reason == "WaitingForPod"
    assert plan.requeue_after_seconds


def test_the_schedulers_words_are_shown() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    status, _ = settled(observe(job=job(active=1), pods=(pod(conditions=[scheduled]),)))
    assert condition(status, "Running").reason == "Unschedulable"
    assert "0/3 nodes: no GPU" in condition(status, "Running").message


def test_a_running_worker_is_polled_and_its_start_is_the_containers() -> None:
    status, plan = settled(observe(job=job(active=1, ready=1), pods=(RUNNING_POD,)))
    assert (status.phase, status.start_time, status.attempt) == (Phase.RUNNING, STARTED, 1)
    assert status.queue_seconds == 60
    assert plan.poll_pods == (RUNNING_POD,)


def test_a_job_that_is_complete_with_every_object_confirmed_completes_the_resource() -> None:
    status, plan = settled(observe(job=job(ended="Complete", succeeded=1), pods=(ended_pod(GOOD),)))
    assert (status.phase, status.rtfx, status.completion_time) == (Phase.COMPLETE, 10.0, FINISHED)
    assert [item.key for item in status.results] == ["out/01.json", "out/01.txt"]
    assert [event.reason for event in plan.events] == ["JobCreated", "ResultsVerified"]


@pytest.mark.parametrize(
    "report",
    [dataclasses.replace(GOOD, objects=GOOD.objects[:1]), failure(reasons.INTERNAL_ERROR, "but exit code 0")],
)
def test_a_job_that_succeeded_without_confirming_every_object_is_a_failure(report: Report) -> None:
    status, _ = settled(observe(job=job(ended="Complete", succeeded=1), pods=(ended_pod(report),)))
    assert status.phase is Phase.FAILED
    assert status.failure is not None
    assert status.failure.reason == "ResultIncomplete"


def test_a_permanent_failure_keeps_the_workers_words_and_advice() -> None:
    said = failure(reasons.NO_SUCH_KEY, "source: 'x.wav' in bucket 'audio'")
    gone = ended_pod(said, exit_codes.SOURCE_NOT_FOUND)
    status, _ = settled(observe(job=job(ended="Failed", reason="PodFailurePolicy", failed=1), pods=(gone,)))
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == ("NoSuchKey", "source: 'x.wav' in bucket 'audio'")
    assert status.failure.advice == reasons.NO_SUCH_KEY.advice
    assert status.attempt == 1


def test_between_two_attempts_the_last_failure_is_shown_as_retrying() -> None:
    lost = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE)
    status, _ = settled(observe(job=job(failed=1), pods=(lost,)))
    assert condition(status, "Running").reason == "Retrying"
    assert "EndpointUnreachable: no answer" in condition(status, "Running").message
    assert (status.phase, status.attempt) == (Phase.PENDING, 2)


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        (pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, phase="Failed"), "OutOfMemory"),
        (pod({"terminated": {"exitCode": 139, "reason": "Error"}}, phase="Failed"), "WorkerFailed"),
        (pod(phase="Failed", reason="Evicted", message="ephemeral local storage exceeded"), "NoSpaceLeft"),
    ],
)
def test_a_worker_that_left_no_report_is_explained_by_the_kubelet(gone: Any, reason: str) -> None:
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=4), pods=(gone,)))
    assert status.failure is not None
    assert status.failure.reason == reason
    assert "after 4 attempts" in status.failure.message


def test_a_cpu_that_took_over_is_degraded_only_where_a_gpu_was_preferred() -> None:
    device = DeviceUsed("cpu", fallback_reason="GPUDriverMissing", fallback_message="no libcuda.so.1")
    pods = (ended_pod(dataclasses.replace(GOOD, device=device)),)
    done = job(ended="Complete", succeeded=1)
    status, _ = settled(observe({"device": {"policy": "PreferGPU"}}, job=done, pods=pods))
    assert condition(status, "Degraded").reason == "CPUFallback"
    status, _ = settled(observe(job=done, pods=pods))
    assert [item.type for item in status.conditions if item.type == "Degraded"] == []


def test_a_job_that_somebody_deleted_is_followed_by_the_next_number() -> None:
    status, _ = settled(observe(job=job(active=1), pods=(RUNNING_POD,)))
    plan = decide(observe(status=status), config(), NOW)
    assert plan.create_job is not None
    assert plan.create_job["metadata"]["name"].endswith("-2")


def test_jobs_that_keep_vanishing_end_in_a_failure() -> None:
    status, _ = settled(observe(job=job(MAX_LOST_JOBS, active=1), pods=(RUNNING_POD,)))
    status, _ = settled(observe(status=status))
    assert status.failure is not None
    assert status.failure.reason == "JobsKeepVanishing"


def test_a_resource_that_has_ended_runs_nothing_again_even_if_its_job_is_gone() -> None:
    status, _ = settled(observe(job=job(ended="Complete", succeeded=1), pods=(ended_pod(GOOD),)))
    assert decide(observe(status=status), config(), NOW) == Plan()


def test_a_suspended_resource_has_no_job_made() -> None:
    status, plan = settled(observe({"suspend": True}))
    assert plan.create_job is None
    assert (status.phase, condition(status, "Suspended").reason) == (Phase.SUSPENDED, "SuspendedBySpec")


def test_suspending_suspends_the_job_but_with_a_queue_deletes_it() -> None:
    running = job(active=1)
    assert decide(observe({"suspend": True}, job=running), config(), NOW).suspend_job == (running, True)
    plan = decide(observe({"suspend": True, "queueName": "gpus"}, job=running), config(), NOW)
    assert (plan.suspend_job, plan.delete_jobs) == (None, (running,))


def test_a_queues_suspension_is_never_undone() -> None:
    status, plan = settled(observe({"queueName": "gpus"}, job=job(suspend=True)))
    assert plan.suspend_job is None
    assert condition(status, "Suspended").reason == "WaitingForQueue"


def test_a_pod_that_no_node_takes_in_time_fails_and_its_job_goes() -> None:
    waiting = job(active=1)
    status, plan = settled(observe({"pendingDeadlineSeconds": 300}, job=waiting, pods=(pod(),)))
    assert status.failure is not None
    assert status.failure.reason == "PendingDeadlineExceeded"
    assert plan.delete_jobs == (waiting,)


def test_a_finished_resource_goes_when_its_time_has_come_and_not_before() -> None:
    seen = NOW - timedelta(seconds=60)
    status, _ = settled(observe(job=job(ended="Complete", succeeded=1), pods=(ended_pod(GOOD),)), seen)
    assert decide(observe({"ttlSecondsAfterFinished": 30}, status), config(), NOW).delete_resource
    later = decide(observe({"ttlSecondsAfterFinished": 90}, status), config(), NOW)
    assert (later.delete_resource, later.requeue_after_seconds) == (False, 30)


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"retries": "three"}, "InvalidSpec", "spec.retries: got 'three', expected an integer"),
        ({"model": {"cache": {"type": "Node"}}}, "NodeCacheDisabled", "spec.model.cache.type"),
    ],
)
def test_a_spec_that_cannot_be_used_fails_without_a_job(spec: dict[str, Any], reason: str, words: str) -> None:
    status, plan = settled(observe(spec))
    assert plan.create_job is None
    assert (status.phase, condition(status, "Accepted").status) == (Phase.FAILED, "False")
    assert status.failure is not None
    assert status.failure.reason == reason
    assert words in status.failure.message


def test_an_endpoint_that_is_not_allowed_is_refused_and_named() -> None:
    plan = decide(observe(), config(allowed_endpoints="*.storage.svc"), NOW)
    assert plan.status is not None
    assert plan.status.failure is not None
    assert plan.status.failure.reason == "EndpointNotAllowed"
    assert "spec.source.s3.endpointURL: got host 's3.amazonaws.com'" in plan.status.failure.message


def test_a_job_that_the_apiserver_refuses_for_now_is_tried_again() -> None:
    status, plan = settled(observe(rejection=JobRejection(reasons.JOB_NOT_CREATED, "exceeded quota")))
    assert (status.phase, condition(status, "Running").reason) == (Phase.PENDING, "JobNotCreated")
    assert plan.requeue_after_seconds


def test_a_name_that_belongs_to_another_is_a_failure() -> None:
    status, _ = settled(observe(rejection=JobRejection(reasons.JOB_NAME_TAKEN, "Job x is not ours")))
    assert status.phase is Phase.FAILED
