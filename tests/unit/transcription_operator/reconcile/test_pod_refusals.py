"""A Job whose pods the apiserver refuses says so in its words, and only as long as they are refused."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure
from transcription_operator.models.job_events import JobEvent, view_job_event
from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.pod_refusals import pod_refusal

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, ended_pod, job, pod

WORDS = (
    'pods "interview-4a49acf8-1" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2'
)
REFUSED = "Error creating: " + WORDS.replace("interview-4a49acf8-1", "interview-4a49acf8-1-8fk2w")


def event(message: str = REFUSED, reason: str = "FailedCreate", minute: int = 2) -> JobEvent:
    """Return an event of the Job, which started at minute 0; it is minute 6 now."""
    return JobEvent(reason, message, f"2026-01-01T10:{minute:02}:00Z")


def created(minute: int) -> JobEvent:
    return event("Created pod: interview-4a49acf8-1-77777", "SuccessfulCreate", minute)


def observe_job(found: JobView, *events: JobEvent, pods: tuple[PodView, ...] = (), **spec: Any) -> ObservedState:
    return observe(spec, job=found, pods=pods, pod_refusal=pod_refusal(found, pods, events))


def reason_and_message(found: JobView, *events: JobEvent, pods: tuple[PodView, ...] = ()) -> tuple[str, str]:
    status, _ = settled(observe_job(found, *events, pods=pods))
    running = condition(status, "Running")
    return running.reason, running.message


def test_a_refused_pod_is_told_in_the_words_of_the_apiserver_with_a_warning() -> None:
    status, plan = settled(observe_job(job(), event()))
    assert (condition(status, "Running").reason, condition(status, "Running").message) == ("PodNotCreated", WORDS)
    assert ("Warning", "PodNotCreated", WORDS) in [(item.type, item.reason, item.message) for item in plan.events]
    assert plan.requeue_after_seconds


@pytest.mark.parametrize("name", ["interview-4a49acf8-1-8fk2w", "interview-4a49acf8-1-zzzzz", "interview-4a49acf8-1-"])
def test_each_try_says_the_same_although_each_pod_has_another_name(name: str) -> None:
    refused = event("(combined from similar events): Error creating: " + WORDS.replace("interview-4a49acf8-1", name))
    assert reason_and_message(job(), refused) == ("PodNotCreated", WORDS)


def test_the_newest_words_are_told() -> None:
    events = (event(minute=4), event('Error creating: serviceaccount "x" not found', minute=5), event(minute=3))
    assert reason_and_message(job(), *events)[1] == 'serviceaccount "x" not found'


def test_a_pod_that_is_there_at_last_makes_the_reason_disappear() -> None:
    assert reason_and_message(job(active=1), event(), pods=(pod(),))[0] == "WaitingForPod"


def test_a_refusal_before_the_job_was_resumed_is_not_the_present_one() -> None:
    resumed = job(startTime="2026-01-01T10:05:00Z")
    assert reason_and_message(resumed, event(minute=4))[0] == "WaitingForPod"


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((event(minute=1), created(2)), "Retrying"),
        ((created(2), event(minute=3)), "PodNotCreated"),
        ((event(minute=3),), "Retrying"),  # no event is left that says when the pod was made
    ],
)
def test_after_a_pod_was_made_and_lost_only_a_later_refusal_is_told(events: tuple[JobEvent, ...], told: str) -> None:
    lost = ended_pod(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE)
    assert reason_and_message(job(failed=1), *events, pods=(lost,))[0] == told


def test_the_pending_deadline_counts_and_its_failure_has_the_words() -> None:
    observed = observe_job(job(), event(), pendingDeadlineSeconds=300)
    status, plan = settled(observed)
    assert status.failure is not None
    assert status.failure.reason == "PendingDeadlineExceeded"
    assert status.failure.message == f"no worker started within 300 s: {WORDS}"
    assert plan.delete_jobs


def test_a_job_that_waits_in_a_quota_for_hours_is_looked_at_once_a_minute() -> None:
    _, plan = settled(observe_job(job(), event()), NOW + timedelta(hours=3))
    assert plan.requeue_after_seconds == 60


@pytest.mark.parametrize("time", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_an_event_that_somebody_forged_stops_nothing(time: str) -> None:
    forged = dataclasses.replace(event(), time=time)
    assert reason_and_message(job(), forged)[0] == "WaitingForPod"


@pytest.mark.parametrize(
    ("times", "time"),
    [
        ({"lastTimestamp": "2026-01-01T10:02:00Z", "eventTime": None}, "2026-01-01T10:02:00Z"),
        ({"eventTime": "2026-01-01T10:02:00.5Z", "lastTimestamp": None}, "2026-01-01T10:02:00.5Z"),
        (
            {"eventTime": CREATED, "series": {"count": 9, "lastObservedTime": "2026-01-01T10:05:00Z"}},
            "2026-01-01T10:05:00Z",
        ),
        ({}, CREATED),
    ],
)
def test_an_event_of_either_version_of_the_api_has_the_time_of_its_last_occurrence(times: Any, time: str) -> None:
    viewed = view_job_event({"metadata": {"creationTimestamp": CREATED}, "reason": "FailedCreate"} | times)
    assert viewed.time == time
    assert datetime.fromisoformat(viewed.time)
