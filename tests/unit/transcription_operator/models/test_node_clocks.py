"""A node's clock counts seconds; it never says when something happened."""

from typing import Any

import pytest
from transcription_api import names
from transcription_operator.models.objects import PodView, view_pod

CREATED = "2026-01-01T10:00:00Z"  # by the apiserver
SCHEDULED = "2026-01-01T10:00:40Z"  # by the apiserver, when the scheduler bound the pod
ACCEPTED, STARTED, FINISHED = 0, 20, 260  # seconds after the kubelet accepted the pod, by its clock


def node_time(seconds: int, minutes_off: int) -> str:
    minutes, rest = divmod(40 + seconds, 60)
    hours, minutes = divmod(60 * 10 + minutes + minutes_off, 60)
    return f"2026-01-01T{hours:02}:{minutes:02}:{rest:02}Z"


def pod(state: dict[str, Any], **status: Any) -> PodView:
    meta = {"name": "x-1-abcde", "uid": "pod-1", "creationTimestamp": CREATED}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": SCHEDULED}
    containers = [{"name": names.CONTAINER_NAME, "state": state}]
    return view_pod(
        {"metadata": meta, "status": {"conditions": [scheduled], "containerStatuses": containers, **status}}
    )


@pytest.mark.parametrize("minutes_off", [-10, 0, 10])
def test_a_workers_start_and_end_are_the_same_on_a_node_whose_clock_is_wrong(minutes_off: int) -> None:
    ended = {
        "exitCode": 0,
        "startedAt": node_time(STARTED, minutes_off),
        "finishedAt": node_time(FINISHED, minutes_off),
    }
    seen = pod({"terminated": ended}, startTime=node_time(ACCEPTED, minutes_off))
    assert seen.terminated is not None
    assert (seen.started, seen.terminated.finished) == ("2026-01-01T10:01:00Z", "2026-01-01T10:05:00Z")


@pytest.mark.parametrize("minutes_off", [-10, 0, 10])
def test_a_worker_that_runs_started_when_the_apiserver_says(minutes_off: int) -> None:
    running = {"running": {"startedAt": node_time(STARTED, minutes_off)}}
    assert pod(running, startTime=node_time(ACCEPTED, minutes_off)).started == "2026-01-01T10:01:00Z"


def test_a_node_whose_clock_is_set_back_while_the_image_is_pulled_starts_no_worker_before_it_is_scheduled() -> None:
    running = {"running": {"startedAt": node_time(STARTED, -10)}}
    assert pod(running, startTime=node_time(ACCEPTED, 0)).started == SCHEDULED


def test_a_container_that_the_kubelet_says_ended_in_1970_ended_when_it_was_scheduled() -> None:
    """The kubelet says so of a container of which the runtime has lost the times."""
    ended = {"exitCode": 137, "startedAt": "1970-01-01T00:00:00Z", "finishedAt": "1970-01-01T00:00:00Z"}
    seen = pod({"terminated": ended}, startTime=node_time(ACCEPTED, 0))
    assert seen.terminated is not None
    assert (seen.started, seen.terminated.finished) == (SCHEDULED, SCHEDULED)


def test_a_container_that_ended_without_having_started_has_no_start() -> None:
    seen = pod({"terminated": {"exitCode": 128, "startedAt": None, "finishedAt": None}}, startTime=SCHEDULED)
    assert seen.started is None


@pytest.mark.parametrize("status", [{}, {"startTime": SCHEDULED, "conditions": []}])
def test_without_a_reference_a_start_is_at_least_not_before_the_pods_creation(status: dict[str, Any]) -> None:
    assert pod({"running": {"startedAt": node_time(STARTED, -10)}}, **status).started == CREATED


def test_a_time_far_beyond_every_calendar_is_survived() -> None:
    running = {"running": {"startedAt": "9999-12-31T23:59:59Z"}}
    assert pod(running, startTime="0001-01-01T00:00:00Z").started is not None
