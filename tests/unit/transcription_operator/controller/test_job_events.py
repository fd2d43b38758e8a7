"""The events of a Job are read only while it has no pod, and at last once a minute."""

import dataclasses
from typing import Any, cast

import pytest
from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.models.job_events import JobEvent
from transcription_operator.models.objects import JobView

from tests.support.kubernetes_objects import job

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

    async def list_queue_events(self, _: JobView) -> tuple[JobEvent, ...]:
        self.lists += 1
        return (dataclasses.replace(EVENT, reason="Pending"),)

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
    assert 170 < events.lists < 210


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
    await reader.read(job(suspend=True))
    events.now += 6
    assert [event.reason for event in await reader.read(job(suspend=True))] == ["Pending"]


async def test_jobs_that_nobody_asks_about_any_more_take_no_memory() -> None:
    events = Events()
    reader = events.reader()
    for ordinal in range(1, 200):
        events.now += 10
        await reader.read(job(ordinal))
    assert len(reader._awaited) < 50


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
