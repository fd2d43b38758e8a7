"""What others say of a Job is read only while it has no pod, and at last once a minute, or each five while it is queued."""

import dataclasses
from datetime import timedelta
from typing import Any, cast

import pytest
from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.models.job_events import JobEvent
from transcription_operator.models.objects import JobView
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide

from tests.support.decisions import observe
from tests.support.kubernetes_objects import config, job

EVENT = JobEvent("FailedCreate", "Error creating: no", "2026-01-01T10:02:00Z")


class Events:
    """A client whose apiserver has one event of each Job, or refuses to list them."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.now, self.lists, self.error = 1000.0, 0, error

    async def list_job_events(self, _: JobView) -> tuple[JobEvent, ...]:
        self.lists += 1
        if self.error is not None:
            raise self.error
        return (EVENT,)

    async def queue_reason(self, _: JobView) -> str | None:
        self.lists += 1
        if self.error is not None:
            raise self.error
        return "ClusterQueue gpus is inactive"

    async def list_queue_events(self, _: JobView) -> tuple[JobEvent, ...]:
        self.lists += 1
        return (dataclasses.replace(EVENT, reason="Pending", message="insufficient quota"),)

    def reader(self) -> JobEventReader:
        return JobEventReader(cast(KubernetesClient, self), lambda: self.now)


async def test_a_job_that_gets_its_pod_at_once_costs_no_request() -> None:
    events = Events()
    assert await events.reader().read(job()) == ()
    assert events.lists == 0


async def test_the_words_are_there_within_seconds_and_stay_between_two_requests() -> None:
    events = Events()
    reader = events.reader()
    await reader.read(job())
    events.now += 6
    assert await reader.read(job()) == (EVENT,)
    assert await reader.read(job()) == (EVENT,)
    assert events.lists == 1


async def test_a_job_that_is_reconciled_each_second_for_hours_costs_one_request_a_minute() -> None:
    events = Events()
    reader = events.reader()
    for _ in range(3 * 3600):
        events.now += 1
        await reader.read(job())
    assert 170 < events.lists < 215


async def test_the_count_begins_anew_for_a_job_that_had_a_pod_meanwhile() -> None:
    events = Events()
    reader = events.reader()
    await reader.read(job())
    reader.forget(job())
    events.now += 6
    assert await reader.read(job()) == ()


async def test_of_a_job_that_waits_in_a_queue_the_queues_words_are_read() -> None:
    events = Events()
    reader = events.reader()
    await reader.read_queue(job(suspend=True))
    events.now += 6
    assert await reader.read_queue(job(suspend=True)) == "ClusterQueue gpus is inactive"


async def test_a_job_that_waits_in_a_queue_for_hours_costs_one_request_in_five_minutes() -> None:
    events = Events()
    reader = events.reader()
    for second in range(3 * 3600):
        events.now += 1
        await reader.read_queue(job(suspend=True))
        if second == 300:
            assert events.lists == 6
    assert 35 < events.lists < 45


async def test_each_time_that_the_decision_asks_for_the_queue_is_asked_anew() -> None:
    events, waited = Events(), 0.0
    reader, queued = events.reader(), job(suspend=True)
    began = events.now
    while waited < 1000:
        events.now = began + waited
        words = await reader.read_queue(queued)
        at = parse_time(queued.created) + timedelta(seconds=waited)
        plan = decide(observe(job=queued, queue_reason=words), config(), at)
        assert plan.requeue_after_seconds is not None
        waited += plan.requeue_after_seconds
    assert events.lists == 8


@pytest.mark.parametrize("status", [403, 404])
async def test_where_workloads_cannot_be_read_the_queues_events_are(status: int) -> None:
    events = Events(ApiError(status, "", "no workloads"))
    reader = events.reader()
    await reader.read_queue(job(suspend=True))
    events.now += 6
    assert await reader.read_queue(job(suspend=True)) == "insufficient quota"


async def test_an_error_of_the_apiserver_is_not_taken_for_a_queue_that_says_nothing() -> None:
    events = Events(ApiError(503, "ServiceUnavailable", "later"))
    reader = events.reader()
    await reader.read_queue(job(suspend=True))
    events.now += 6
    with pytest.raises(ApiError):
        await reader.read_queue(job(suspend=True))


async def test_after_a_long_wait_in_a_queue_the_refusal_of_a_pod_is_told_as_soon_as_ever() -> None:
    events = Events()
    reader = events.reader()
    for _ in range(1000):
        events.now += 1
        await reader.read_queue(job(suspend=True))
    await reader.read(job())
    events.now += 6
    assert await reader.read(job()) == (EVENT,)


async def test_jobs_that_nobody_asks_about_any_more_take_no_memory() -> None:
    events = Events()
    reader = events.reader()
    for ordinal in range(1, 200):
        events.now += 10
        await reader.read(job(ordinal))
    assert len(reader._awaited) < 70


async def test_a_role_that_lacks_the_right_to_list_events_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events = Events(ApiError(403, "Forbidden", "cannot list resource events"))
    reader = events.reader()
    for _ in range(300):
        events.now += 1
        assert await reader.read(job()) == ()
    assert len(caplog.records) == 1


async def test_an_apiserver_that_fails_is_asked_again() -> None:
    events: Any = Events(ApiError(503, "ServiceUnavailable", "later"))
    reader = events.reader()
    await reader.read(job())
    events.now += 6
    with pytest.raises(ApiError):
        await reader.read(job())
