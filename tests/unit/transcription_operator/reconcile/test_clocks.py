"""Clocks that differ, and times that nobody can have meant, change nothing of what happens to a resource."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytest
from transcription_api import exit_codes
from transcription_api.codec import to_json
from transcription_api.report import Report, WrittenObject
from transcription_api.spec import Format
from transcription_api.status import Phase, Status
from transcription_operator.models.objects import PodView, Resource
from transcription_operator.models.times import format_time, parse_time, seconds_between
from transcription_operator.observability.metrics import Metrics
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.decisions import NOW
from tests.support.kubernetes_objects import (
    CREATED,
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

REPORT = Report(objects=(WrittenObject(Format.JSON, 10, "a"), WrittenObject(Format.TXT, 5, "b")))
WRONG_BY_TEN_MINUTES = pytest.mark.parametrize("minutes", [-10, 10])


def moved(time: str, minutes: int) -> str:
    return format_time(parse_time(time) + timedelta(minutes=minutes))


def decided(found: Resource, now: datetime = NOW, **observed: Any) -> Plan:
    if (newest := observed.get("job")) is not None:
        observed.setdefault("jobs", (newest,))
    return decide(observed_state(found, **observed), config(), now)


def status_of(plan: Plan) -> Status:
    assert plan.status is not None
    return plan.status


def stored(status: Status | dict[str, Any], **spec: Any) -> Resource:
    return resource(SPEC | spec, status if isinstance(status, dict) else to_json(status))


def completed(now: datetime = NOW, minutes: int = 0) -> Status:
    """Return the status of a resource whose Job the Job controller completed, by its own clock."""
    done = dataclasses.replace(job(ended="Complete", succeeded=1), outcome_time=moved(FINISHED, minutes))
    return status_of(decided(resource(SPEC), now, job=done, pods=(ended_pod(REPORT),)))


def node_pod(minutes: int, state: str = "running") -> PodView:
    """Return a pod of a node whose clock is wrong; the node says when it took the pod, the apiserver when it bound it."""
    times = {"startedAt": moved(STARTED, minutes), "finishedAt": moved(FINISHED, minutes), "exitCode": 75}
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED}
    phase = "Running" if state == "running" else "Failed"
    return pod({state: times}, phase=phase, startTime=moved(CREATED, minutes), conditions=[bound])


@WRONG_BY_TEN_MINUTES
def test_a_node_whose_clock_is_wrong_changes_no_time_of_the_status(minutes: int) -> None:
    running = job(active=1, ready=1)
    right = status_of(decided(resource(SPEC), job=running, pods=(node_pod(0),)))
    assert (right.start_time, right.queue_seconds) == (STARTED, 60)
    assert status_of(decided(resource(SPEC), job=running, pods=(node_pod(minutes),))) == right


@WRONG_BY_TEN_MINUTES
def test_a_node_whose_clock_is_wrong_changes_nothing_between_two_attempts(minutes: int) -> None:
    retried = job(failed=1)
    right = status_of(decided(resource(SPEC), job=retried, pods=(node_pod(0, "terminated"),)))
    assert status_of(decided(resource(SPEC), job=retried, pods=(node_pod(minutes, "terminated"),))) == right


def test_a_start_by_a_clock_that_is_ahead_is_not_in_the_future() -> None:
    """Nothing but the node says when the worker started."""
    ahead = pod({"running": {"startedAt": "2026-01-01T10:30:00Z"}}, phase="Running")
    status = status_of(decided(resource(SPEC), job=job(active=1, ready=1), pods=(ahead,)))
    assert status.start_time == format_time(NOW)
    assert status.queue_seconds == 360
    later = decided(stored(status), NOW + timedelta(minutes=1), job=job(active=1, ready=1), pods=(ahead,))
    assert later.status is None


@WRONG_BY_TEN_MINUTES
def test_a_run_ends_after_it_started_whatever_the_job_controllers_clock_says(minutes: int) -> None:
    status = completed(minutes=minutes)
    assert status.start_time is not None
    assert status.completion_time is not None
    assert seconds_between(status.start_time, status.completion_time) >= 0
    assert status.completion_time <= format_time(NOW)
    assert status.queue_seconds is not None
    assert status.queue_seconds >= 0


@WRONG_BY_TEN_MINUTES
def test_a_resource_is_not_deleted_before_its_time_because_of_the_job_controllers_clock(minutes: int) -> None:
    found = stored(completed(minutes=minutes), ttlSecondsAfterFinished=120)
    early = decided(found, NOW + timedelta(seconds=119))
    assert not early.delete_resource
    assert early.requeue_after_seconds is not None
    assert early.requeue_after_seconds <= 1
    assert decided(found, NOW + timedelta(seconds=120)).delete_resource


def test_a_clock_that_was_ahead_when_a_resource_ended_does_not_keep_it_for_ever() -> None:
    """An operator of an earlier version stored the times of a clock that was wrong."""
    ahead = to_json(completed()) | {"completionTime": "2036-01-01T00:00:00Z"}
    ahead["conditions"] = [item | {"lastTransitionTime": "2036-01-01T00:00:00Z"} for item in ahead["conditions"]]
    plan = decided(stored(ahead, ttlSecondsAfterFinished=30))
    assert plan.requeue_after_seconds == 30 or plan.status is not None


@pytest.mark.parametrize("minutes", [-10, 10, 60 * 24 * 365 * 20])
def test_a_job_controllers_clock_that_is_wrong_does_not_end_the_wait_for_a_pod(minutes: int) -> None:
    new = dataclasses.replace(job(), started=moved(CREATED, minutes))
    soon = parse_time(CREATED) + timedelta(seconds=60)
    plan = decided(resource(SPEC | {"pendingDeadlineSeconds": 120}), soon, job=new)
    assert plan.delete_jobs == ()
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 60
    late = decided(resource(SPEC | {"pendingDeadlineSeconds": 120}), soon + timedelta(seconds=60), job=new)
    assert [item.uid for item in late.delete_jobs] == [new.uid]


def test_a_paused_job_whose_controllers_clock_is_behind_is_given_its_whole_wait() -> None:
    """A queue held the Job for an hour and then resumed it; the Job controller's clock is ten minutes behind."""
    queued = stored({}, queueName="gpus", pendingDeadlineSeconds=120)
    held = status_of(decided(queued, parse_time(CREATED), job=job(suspend=True)))
    resumed = parse_time(CREATED) + timedelta(hours=1)
    behind = format_time(resumed - timedelta(minutes=10))
    resumption = {"type": "Suspended", "status": "False", "reason": "JobResumed", "lastTransitionTime": behind}
    running = job(startTime=behind, conditions=[resumption])
    found = stored(held, queueName="gpus", pendingDeadlineSeconds=120)
    status = status_of(decided(found, resumed, job=running))
    assert status.phase is Phase.PENDING
    found = stored(status, queueName="gpus", pendingDeadlineSeconds=120)
    assert decided(found, resumed + timedelta(seconds=119), job=running).delete_jobs == ()
    late = decided(found, resumed + timedelta(seconds=120), job=running)
    assert [item.uid for item in late.delete_jobs] == [running.uid]


ABSURD = [
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "2026-01-01T10:00:00",
    "2026-01-01t10:00:00z",
    "soon",
]


@pytest.mark.parametrize("time", ABSURD)
@pytest.mark.parametrize("field", ["queuedTime", "startTime", "completionTime"])
def test_a_stored_time_that_nobody_can_mean_neither_stops_nor_delays_a_resource(field: str, time: str) -> None:
    """The CRD's format lets most of them pass, and whoever may write the status may write them."""
    found = stored({field: time})
    plan = decided(found, job=job(active=1, ready=1), pods=(pod({"running": {"startedAt": STARTED}}, phase="Running"),))
    status = status_of(plan)
    assert status.phase is Phase.RUNNING
    assert status.queue_seconds is None or status.queue_seconds >= 0
    again = decided(
        stored(status), job=job(active=1, ready=1), pods=(pod({"running": {"startedAt": STARTED}}, phase="Running"),)
    )
    assert again.status is None


@pytest.mark.parametrize("time", ABSURD)
def test_a_finished_resource_whose_stored_times_are_absurd_is_still_deleted_in_time(time: str) -> None:
    broken = to_json(completed()) | {"completionTime": time}
    broken["conditions"] = [item | {"lastTransitionTime": time} for item in broken["conditions"]]
    found = stored(broken, ttlSecondsAfterFinished=60)
    plan, now = decided(found), NOW
    for _ in range(10):
        if plan.delete_resource:
            return
        if plan.status is not None:
            found = stored(plan.status, ttlSecondsAfterFinished=60)
        now += timedelta(seconds=plan.requeue_after_seconds or 0)
        plan = decided(found, now)
    pytest.fail(f"still there: {plan}")


def test_an_earlier_start_with_a_fraction_of_a_second_is_not_replaced_by_a_later_one() -> None:
    found = stored({"startTime": "2026-01-01T10:01:00.5Z", "queuedTime": CREATED})
    running = (pod({"running": {"startedAt": "2026-01-01T10:01:01Z"}}, phase="Running"),)
    status = status_of(decided(found, job=job(active=1, ready=1), pods=running))
    assert parse_status(stored(status).status_json).start_time == "2026-01-01T10:01:00.5Z"


@WRONG_BY_TEN_MINUTES
def test_no_metric_of_a_duration_is_negative(minutes: int) -> None:
    metrics = Metrics()
    metrics.status_written(Status(), completed(minutes=minutes))
    for name in ("queue_wait_seconds_sum", "run_seconds_sum"):
        labels = {"phase": "Complete"} if name == "run_seconds_sum" else {}
        value = metrics.registry.get_sample_value(f"transcription_{name}", labels)
        assert value is not None
        assert value >= 0


def test_a_failure_that_a_clock_ahead_stamped_is_over_at_once() -> None:
    ended = {"exitCode": exit_codes.UNREACHABLE, "startedAt": STARTED, "finishedAt": "2026-01-01T11:00:00Z"}
    lost = pod({"terminated": ended}, phase="Failed")
    status = status_of(decided(resource(SPEC), job=job(failed=1), pods=(lost,)))
    running = next(item for item in status.conditions if item.type == "Running")
    assert running.last_transition_time == format_time(NOW)
