"""The metrics count each resource and each end once."""

import dataclasses

import pytest
from aiohttp import web
from transcription_api.codec import to_json
from transcription_api.report import FileCounts, encode_report
from transcription_api.status import Condition, ConditionType, Failure, Phase, PhaseSeconds, Status
from transcription_operator.models.objects import Resource
from transcription_operator.observability.metrics import Metrics, ReconcileError

from tests.support.decisions import GOOD
from tests.support.kubernetes_objects import CREATED, FINISHED, SPEC, STARTED, resource
from tests.support.operator_parts import until
from tests.support.scripted_apiserver import error_response, scripted_apiserver
from tests.support.scripted_resource import put_job, put_pod, running_job, stored_status

RUNNING_FALSE = Condition("Running", "False", "Unschedulable", "no node", CREATED, 1)
PENDING = Status(phase=Phase.PENDING, conditions=(RUNNING_FALSE,))


def ended(phase: Phase, **fields: object) -> Status:
    kind = ConditionType.COMPLETE if phase is Phase.COMPLETE else ConditionType.FAILED
    condition = Condition(kind.value, "True", "ResultsVerified", "", FINISHED, 1)
    times = {"queue_seconds": 60.0, "start_time": STARTED, "completion_time": FINISHED}
    return Status(phase=phase, conditions=(condition,), **times, **fields)  # type: ignore[arg-type]


FAILED = ended(Phase.FAILED, failure=Failure("NoSuchKey", "", ""))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"transcription_{name}", labels)


def stored(status: Status | None) -> Resource:
    return resource(SPEC, to_json(status) if status else {})


def test_the_first_error_and_the_first_end_are_an_increase(metrics: Metrics) -> None:
    """Prometheus' rate() takes a series that begins with 1 for one that never changed."""
    assert [value(metrics, "reconcile_errors_total", kind=error.value) for error in ReconcileError] == [0.0] * 5
    assert [value(metrics, "run_seconds_count", phase=phase) for phase in ("Complete", "Failed")] == [0.0] * 2
    assert [value(metrics, "files_total", outcome=outcome) for outcome in ("done", "reused", "failed")] == [0.0] * 3


def test_a_resource_moves_from_state_to_state_and_goes(metrics: Metrics) -> None:
    new, pending, failed = stored(None), stored(PENDING), stored(FAILED)
    metrics.resource_changed(None, new)
    assert value(metrics, "jobs", phase="", reason="") == 1
    metrics.resource_changed(new, pending)
    assert value(metrics, "jobs", phase="", reason="") == 0
    assert value(metrics, "jobs", phase="Pending", reason="Unschedulable") == 1
    metrics.resource_changed(pending, failed)
    assert value(metrics, "jobs", phase="Failed", reason="NoSuchKey") == 1
    metrics.resource_changed(failed, None)
    assert value(metrics, "jobs", phase="Failed", reason="NoSuchKey") == 0


def test_an_end_is_counted_once_with_its_times_and_its_audio(metrics: Metrics) -> None:
    complete = ended(Phase.COMPLETE, audio_seconds=100.0)
    metrics.status_written(PENDING, complete)
    metrics.status_written(complete, complete)
    assert value(metrics, "queue_wait_seconds_sum") == 60
    assert value(metrics, "queue_wait_seconds_count") == 1
    assert value(metrics, "run_seconds_sum", phase="Complete") == 240
    assert value(metrics, "run_seconds_count", phase="Complete") == 1
    assert value(metrics, "audio_seconds_total") == 100


async def test_an_end_is_counted_although_what_must_go_afterwards_cannot_be_deleted_at_once() -> None:
    """A sidecar goes on after the worker, so that the Job is deleted once the status is written."""
    refused: list[str] = []

    def refuse(request: web.Request) -> web.Response | None:
        if request.method != "DELETE" or refused:
            return None
        refused.append(request.path)
        return error_response(500, "InternalError")

    async with scripted_apiserver() as server, running_job(server) as parts:
        server.faults.append(refuse)
        state = {"exitCode": 0, "message": encode_report(GOOD).decode(), "startedAt": STARTED, "finishedAt": FINISHED}
        put_pod(server, {"terminated": state}, phase="Running")
        put_job(server, parts, active=1, ready=1)
        await until(lambda: stored_status(server)["phase"] == "Complete" and refused and parts.queue.idle)
        assert value(parts.metrics, "run_seconds_count", phase="Complete") == 1


@pytest.mark.parametrize("status", [FAILED, ended(Phase.COMPLETE, audio_seconds=100.0, reused=True)])
def test_a_failure_and_a_result_that_was_reused_add_no_audio(metrics: Metrics, status: Status) -> None:
    metrics.status_written(PENDING, status)
    assert value(metrics, "audio_seconds_total") == 0


def test_reasons_that_workers_invent_and_phases_of_newer_versions_make_one_series_together(metrics: Metrics) -> None:
    for number in range(100):
        failed = ended(Phase.FAILED, failure=Failure(f"Invented{number}", "", ""))
        metrics.resource_changed(None, stored(failed))
    archived = resource(SPEC, {**to_json(FAILED), "phase": "Archived"})
    metrics.resource_changed(None, archived)
    assert value(metrics, "jobs", phase="Failed", reason="Other") == 100
    assert value(metrics, "jobs", phase="Other", reason="NoSuchKey") == 1
    assert value(metrics, "jobs", phase="Failed", reason="Invented1") is None
    metrics.resource_changed(archived, None)
    assert value(metrics, "jobs", phase="Other", reason="NoSuchKey") == 0


def test_each_phase_of_many_files_is_timed_once_and_its_files_are_counted_at_the_end(metrics: Metrics) -> None:
    planned = Status(phase=Phase.PENDING, phase_seconds=PhaseSeconds(plan=5.0))
    collected = Condition("Collected", "True", "FilesCounted", "", FINISHED, 1)
    done = ended(
        Phase.FAILED,
        phase_seconds=PhaseSeconds(plan=5.0, queue=30.0, transcribe=600.0, collect=7.0),
        files=FileCounts(9, done=4, reused=3, failed=2),
    )
    done = dataclasses.replace(done, conditions=(collected, *done.conditions))
    metrics.status_written(PENDING, planned)
    metrics.status_written(planned, planned)
    metrics.status_written(planned, done)
    metrics.status_written(done, done)
    for phase, seconds in (("plan", 5), ("queue", 30), ("transcribe", 600), ("collect", 7)):
        assert value(metrics, "phase_seconds_sum", phase=phase) == seconds
        assert value(metrics, "phase_seconds_count", phase=phase) == 1
    counted = [value(metrics, "files_total", outcome=outcome) for outcome in ("done", "reused", "failed")]
    assert counted == [4, 3, 2]


def test_requests_to_the_apiserver_are_counted_by_method_and_status(metrics: Metrics) -> None:
    for method, status in (("PUT", 200), ("PUT", 200), ("PUT", 409), ("POST", 0)):
        metrics.request_sent(method, status)
    assert value(metrics, "api_requests_total", method="PUT", code="200") == 2
    assert value(metrics, "api_requests_total", method="PUT", code="409") == 1
    assert value(metrics, "api_requests_total", method="POST", code="none") == 1
