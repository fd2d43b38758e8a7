"""Whatever a worker, a pod or the clock of a node says, the apiserver accepts the status and it is written once."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from transcription_api.bounds import FieldBounds, bounds_of, within_bounds
from transcription_api.codec import camel, to_json, without_none
from transcription_api.report import DeviceUsed, Progress, QualityCounts, Report
from transcription_api.status import Condition, Failure, Phase, ResultObject, Status
from transcription_operator.models.objects import PodView
from transcription_operator.reconcile.observed_state import ObservedProgress

from tests.support.decisions import GOOD, observe, settled
from tests.support.json_mutations import mutations
from tests.support.kubernetes_objects import FINISHED, STARTED, job, pod
from tests.support.status_schema import SCHEMA, refused_fields

MUTATIONS = 1000
WHOLE: dict[str, Any] = to_json(
    dataclasses.replace(
        GOOD, engine="batched", quality=QualityCounts("good"), words=5, segments=2, language_probability=0.9
    )
)


def message_pod(message: str, code: int = 0) -> PodView:
    """Return a pod that ended with this termination message."""
    ended = {"exitCode": code, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    return pod({"terminated": ended}, phase="Failed" if code else "Succeeded")


def status_after(message: str, code: int = 0) -> Status:
    done = job(ended="Failed", failed=1) if code else job(ended="Complete", succeeded=1)
    return settled(observe(job=done, pods=(message_pod(message, code),)))[0]


@pytest.mark.parametrize(
    "said",
    [
        {"words": -1},
        {"segments": -(2**70)},
        {"words": 2**64},
        {"audioSeconds": -0.5},
        {"audioSeconds": float("nan")},
        {"wallSeconds": 5e-324},
        {"audioSeconds": 1.7e308, "wallSeconds": 1e-300},
        {"languageProbability": 2},
        {"engine": "e" * 300},
        {"precision": "p" * 64},
        {"language": "l" * 64},
        {"channels": 0},
        {"channels": 2**31},
        {"device": {"kind": "cuda", "name": "n" * 257, "driver": "d" * 64}},
        {"model": {"name": "m" * 1025, "digest": "d" * 129}},
        {"quality": {"verdict": "v" * 64, "lowConfidence": -1}},
        {"engine": "\ud800", "device": {"kind": "\udfff"}},
    ],
    ids="-".join,
)
def test_what_a_worker_reports_out_of_range_never_keeps_its_resource_from_being_complete(said: dict[str, Any]) -> None:
    status = status_after(json.dumps(WHOLE | said))
    assert status.phase is Phase.COMPLETE
    assert refused_fields(to_json(status)) == []


@pytest.mark.parametrize("size", [-1, 2**63, 1e400])
def test_an_object_of_impossible_size_is_missing(size: float) -> None:
    status = status_after(json.dumps(WHOLE | {"objects": [{"format": "json", "size": size, "etag": "e"}]}))
    assert status.phase is Phase.FAILED
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == ("ResultIncomplete", "the report lacks json, txt")
    assert refused_fields(to_json(status)) == []


@pytest.mark.parametrize("reason", ["R" * 500, "two words", "Ärger", "", "-", "\ud800", 7])
def test_a_reason_that_no_condition_can_have_is_a_failure_without_a_report(reason: Any) -> None:
    status = status_after(json.dumps({"reason": reason, "message": "m" * 5000}), code=99)
    assert status.failure is not None
    assert status.failure.reason == "WorkerFailed"
    assert refused_fields(to_json(status)) == []


@pytest.mark.parametrize(
    "progress",
    [
        Progress("s" * 300),
        Progress("fetch", seconds_done=-1.0, seconds_total=-2.0),
        Progress("fetch", seconds_done=2e9, seconds_total=5e-324),
        Progress("fetch", seconds_done=float("nan"), seconds_total=1.0),
        Progress("fetch", seconds_done=1.0, seconds_total=float("inf"), eta_seconds=float("inf")),
        Progress("fetch", device=DeviceUsed("k" * 100, "n" * 300), language="l" * 100),
    ],
    ids=lambda progress: progress.stage[:5],
)
def test_progress_out_of_range_is_shown_as_far_as_it_fits(progress: Progress) -> None:
    running = pod({"running": {"startedAt": STARTED}}, phase="Running", podIP="10.0.0.1")
    seen = ObservedProgress(progress, STARTED)
    status, _ = settled(observe(job=job(active=1, ready=1), pods=(running,), progress=seen))
    assert status.progress is not None
    assert refused_fields(to_json(status)) == []


def test_no_change_of_a_report_makes_a_status_that_the_apiserver_refuses_or_that_is_written_twice() -> None:
    phases = set()
    for number, text in enumerate(mutations(WHOLE, MUTATIONS, seed=1)):
        status = status_after(text.decode(errors="replace"), code=number % 3 and 80)
        phases.add(status.phase)
        assert refused_fields(to_json(status)) == [], text
    # A blank message is a report that is lost, and the next Job looks for its results.
    assert {Phase.COMPLETE, Phase.FAILED} <= phases <= {Phase.COMPLETE, Phase.FAILED, Phase.PENDING}


def test_a_status_that_fits_is_the_same_object_afterwards() -> None:
    status = status_after(json.dumps(WHOLE))
    assert within_bounds(status) is status


def test_of_what_does_not_fit_only_that_part_is_lost() -> None:
    conditions = tuple(
        Condition(kind, "Perhaps", "not a reason", "m" * 40_000, "yesterday", 1) for kind in ("Complete", "no type")
    )
    status = within_bounds(
        Status(
            phase=Phase.COMPLETE,
            conditions=conditions * 20,
            queue_seconds=-3.0,
            words=4,
            start_time="2026-02-30T00:00:00Z",
            results=(ResultObject("json", "k", -1, "e"), ResultObject("txt", "k" * 2000, 1, "e")),
            failure=Failure("R" * 64, "m", "a", 2**40),
        )
    )
    assert status is not None
    assert refused_fields(to_json(status) | {"conditions": []}) == []
    assert (status.phase, status.words, status.queue_seconds, status.start_time) == (Phase.COMPLETE, 4, None, None)
    assert len(status.conditions) == 16
    first = status.conditions[0]
    assert (first.type, first.status, first.reason) == ("Complete", "Unknown", "Unknown")
    assert (len(first.message), first.last_transition_time) == (32768, "1970-01-01T00:00:00Z")
    assert [item.key for item in status.results] == ["k" * 1023 + "…"]
    assert status.failure == Failure("R" * 62 + "…", "m", "a")


def fields(cls: Any, schema: dict[str, Any], path: str) -> Iterator[tuple[str, FieldBounds, dict[str, Any]]]:
    """Yield the path, the declared limits and the schema of each field at every depth."""
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        inner, found = without_none(hints[item.name]), schema["properties"][camel(item.name)]
        yield f"{path}.{camel(item.name)}", bounds_of(item), found
        if typing.get_origin(inner) is tuple:
            inner, found = typing.get_args(inner)[0], found["items"]
        if dataclasses.is_dataclass(inner):
            yield from fields(inner, found, f"{path}.{camel(item.name)}")


FIELDS = {path: (bounds, schema) for path, bounds, schema in fields(Status, SCHEMA, "status")}
INTEGERS = {"int32": 2**31 - 1, "int64": 2**63 - 1}


@pytest.mark.parametrize("path", FIELDS)
def test_the_limits_of_a_field_are_within_those_of_the_schema(path: str) -> None:
    bounds, schema = FIELDS[path]
    # The limits of a list of texts are those of each text.
    assert bounds.max_length == schema.get("items", schema).get("maxLength")
    assert bounds.max_items == schema.get("maxItems")
    assert bounds.pattern == schema.get("pattern")
    assert bounds.date_time == (schema.get("format") == "date-time")
    if "enum" in schema and bounds.choices:
        assert list(bounds.choices) == schema["enum"]
    if schema["type"] in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum", INTEGERS.get(schema.get("format", "")))
        assert low is None or (bounds.minimum is not None and bounds.minimum >= low)
        assert high is None or (bounds.maximum is not None and bounds.maximum <= high)


@pytest.mark.parametrize("cls", [Report, Progress])
def test_every_text_and_number_that_a_worker_tells_has_a_limit(cls: Any) -> None:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if without_none(hints[item.name]) in (str, int, float):
            assert bounds_of(item) != FieldBounds(), item.name
