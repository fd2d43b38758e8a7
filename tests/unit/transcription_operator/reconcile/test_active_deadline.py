"""spec.activeDeadlineSeconds is of all attempts and Jobs together, without pauses, and its failure names what took the time."""

from datetime import datetime
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import Progress, failure
from transcription_api.status import Failure, Phase, Status
from transcription_operator.models.objects import JobView, view_job
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import ObservedProgress

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, STARTED, config, ended_pod, job, pod

SPEC = {"activeDeadlineSeconds": 600}
RUNNING = pod({"running": {"startedAt": STARTED}}, phase="Running")
EXCEEDED = job(ended="Failed", reason="DeadlineExceeded", failed=1)


def at(minute: int, second: int = 0) -> datetime:
    """Return a time after CREATED, which is 10:00."""
    return parse_time(f"2026-01-01T10:{minute:02}:{second:02}Z")


def text(minute: int) -> str:
    return f"2026-01-01T10:{minute:02}:00Z"


def job_with(suspend: bool, ordinal: int = 1, created: str = CREATED, **status: Any) -> JobView:
    """Return a Job whose Suspended condition is `suspended` or `resumed`, with the time of it, if one is given."""
    conditions = status.pop("conditions", []) + [
        {"type": "Suspended", "status": value, "lastTransitionTime": status.pop(name)}
        for name, value in (("suspended", "True"), ("resumed", "False"))
        if name in status
    ]
    meta = {
        "name": f"interview-x-{ordinal}",
        "namespace": "team-a",
        "uid": f"job-{ordinal}",
        "resourceVersion": "8",
        "creationTimestamp": created,
        "labels": {"transcription.dev/ordinal": str(ordinal)},
        "ownerReferences": [{"uid": "uid-1", "controller": True}],
    }
    return view_job({"metadata": meta, "spec": {"suspend": suspend}, "status": {"conditions": conditions, **status}})


def failed(status: Status) -> Failure:
    assert status.failure is not None
    assert status.failure.reason == "DeadlineExceeded"
    return status.failure


def test_a_job_that_was_never_scheduled_is_not_told_to_take_a_faster_device() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(pod(conditions=[scheduled]),)))
    found = failed(settled(observe(SPEC, before, job=EXCEEDED), at(11))[0])
    assert "no worker started" in found.message
    assert "0/3 nodes: no GPU" in found.message
    assert "faster device" not in found.advice
    assert "nodes" in found.advice


def test_the_schedulers_words_outlive_the_pod_that_the_job_controller_deletes_before_it_calls_the_job_failed() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(pod(conditions=[scheduled]),)))
    target = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}
    deleting = job_with(suspend=False, startTime=CREATED, conditions=[target])
    between, _ = settled(observe(SPEC, before, job=deleting), at(10))
    found = failed(settled(observe(SPEC, between, job=EXCEEDED), at(11))[0])
    assert "0/3 nodes: no GPU" in found.message


@pytest.mark.parametrize("deleted", [True, False])
def test_the_schedulers_words_outlive_the_pod_also_before_the_job_shows_that_it_ends(deleted: bool) -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(pod(conditions=[scheduled]),)))
    going = (pod(conditions=[scheduled], meta={"deletionTimestamp": text(11)}),) if deleted else ()
    between = decide(observe(SPEC, before, job=job(active=1), pods=going), config(), at(10)).status or before
    found = failed(settled(observe(SPEC, between, job=EXCEEDED), at(11))[0])
    assert "0/3 nodes: no GPU" in found.message


def test_a_worker_that_was_too_slow_is_told_how_far_it_came_and_what_else_took_time() -> None:
    progress = ObservedProgress(Progress("transcribe", 40.0, 100.0), STARTED)
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(RUNNING,), progress=progress))
    stopped = ended_pod(failure(reasons.INTERRUPTED, "SIGTERM"), exit_codes.INTERRUPTED)
    found = failed(settled(observe(SPEC, before, job=EXCEEDED, pods=(stopped,)), at(11))[0])
    assert "the first worker started 1m00s after the Job was created" in found.message
    assert "40% of the audio" in found.message
    assert "faster device" in found.advice


def test_attempts_that_failed_before_are_named() -> None:
    lost = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE)
    before, _ = settled(observe(SPEC, job=job(failed=2), pods=(lost,)))
    ended = job(ended="Failed", reason="DeadlineExceeded", failed=3)
    found = failed(settled(observe(SPEC, before, job=ended, pods=(lost,)), at(11))[0])
    assert "3 attempts" in found.message
    assert "EndpointUnreachable: no answer" in found.message


def test_the_job_after_one_that_somebody_deleted_gets_the_rest_of_the_time() -> None:
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(RUNNING,)))
    plan = decide(observe(SPEC, before), config(), at(7))
    assert plan.create_job is not None
    assert plan.create_job["spec"]["activeDeadlineSeconds"] == 180


def test_no_job_is_made_once_the_time_is_used_up() -> None:
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(RUNNING,)))
    status, plan = settled(observe(SPEC, before), at(10))
    assert plan.create_job is None
    assert "the first worker started 1m00s after" in failed(status).message


def test_the_time_of_a_pause_does_not_count_and_that_before_it_does() -> None:
    """The Job's own clock begins anew when it is resumed."""
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(RUNNING,)), at(5))
    paused = job_with(True, suspended=text(6))
    suspended, _ = settled(observe({**SPEC, "suspend": True}, before, job=paused), at(8))
    resumed = job_with(False, resumed=text(30), startTime=text(30), active=1)
    running, plan = settled(observe(SPEC, suspended, job=resumed, pods=(pod(),)), at(30))
    assert running.phase is Phase.PENDING
    assert plan.requeue_after_seconds is not None
    later = decide(observe(SPEC, running, job=resumed, pods=(pod(),)), config(), at(33, 59))
    assert later.delete_jobs == ()
    status, plan = settled(observe(SPEC, running, job=resumed, pods=(pod(),)), at(34, 1))
    assert failed(status)
    assert plan.delete_jobs == (resumed,)


def test_a_deadline_of_a_resumed_job_is_not_slept_through() -> None:
    before, _ = settled(observe(SPEC, job=job(active=1), pods=(RUNNING,)), at(9))
    paused = job_with(True, suspended="2026-01-01T10:09:30Z")
    suspended, _ = settled(observe({**SPEC, "suspend": True}, before, job=paused), at(9, 30))
    resumed = job_with(False, resumed=text(30), startTime=text(30), active=1, ready=1)
    _, plan = settled(observe(SPEC, suspended, job=resumed, pods=(RUNNING,)), at(30, 30))
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 30


def test_the_job_that_a_queue_admits_after_a_suspension_gets_the_rest_of_the_time() -> None:
    spec = {**SPEC, "queueName": "gpus"}
    before, _ = settled(observe(spec, job=job(active=1), pods=(RUNNING,)), at(4))
    leaving = job_with(False, startTime=CREATED)
    suspended, plan = settled(observe({**spec, "suspend": True}, before, job=leaving), at(5))
    assert plan.delete_jobs == (leaving,)
    plan = decide(observe(spec, suspended), config(), at(50))
    assert plan.create_job is not None
    assert plan.create_job["spec"]["activeDeadlineSeconds"] == 300


def test_a_job_that_waits_for_its_queue_uses_no_time() -> None:
    spec = {**SPEC, "queueName": "gpus"}
    waiting, _ = settled(observe(spec, job=job_with(True, suspended=CREATED)), at(1))
    admitted = job_with(False, resumed=text(40), startTime=text(40), active=1)
    status, plan = settled(observe(spec, waiting, job=admitted, pods=(pod(),)), at(41))
    assert (status.phase, plan.delete_jobs) == (Phase.PENDING, ())
    assert condition(status, "Running").reason == "WaitingForPod"


def test_without_a_deadline_nothing_is_counted_against_one() -> None:
    before, _ = settled(observe(job=job(active=1), pods=(RUNNING,)))
    plan = decide(observe(status=before), config(), NOW)
    assert plan.create_job is not None
    assert "activeDeadlineSeconds" not in plan.create_job["spec"]
