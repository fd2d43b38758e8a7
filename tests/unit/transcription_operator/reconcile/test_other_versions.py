"""During an upgrade the definition, the operator and the worker are of different versions: nothing fails or is lost by it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from transcription_api.codec import to_json
from transcription_api.reasons import Reason
from transcription_api.report import failure
from transcription_api.status import Phase, Status
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.decisions import GOOD, NOW, condition, observe, settled
from tests.support.kubernetes_objects import SPEC, config, ended_pod, job, observed_state, resource

# The fields that a newer definition adds to every live resource by default.
NEWER = {"speakers": {"max": 2}, "decoding": {"draftModel": "tiny"}}


def task_of(plan: Plan) -> dict[str, Any]:
    """Return the spec that the plan's Job gives to its worker."""
    assert plan.create_job is not None
    container = plan.create_job["spec"]["template"]["spec"]["containers"][0]
    text = next(item["value"] for item in container["env"] if item["name"] == "TRANSCRIPTION_TASK")
    spec: dict[str, Any] = json.loads(text)["spec"]
    return spec


def complete() -> dict[str, Any]:
    """Return the stored status of a resource that is complete."""
    status, _ = settled(observe(job=job(ended="Complete", succeeded=1), pods=(ended_pod(GOOD),)))
    stored: dict[str, Any] = to_json(status)
    return stored


def read(stored: dict[str, Any]) -> Status:
    return parse_status(json.dumps(stored).encode())


def test_a_field_that_a_newer_definition_adds_to_live_resources_fails_none_of_them() -> None:
    task = task_of(decide(observe(NEWER), config(), NOW))
    assert {name: task[name] for name in NEWER} == NEWER
    status, _ = settled(observe(NEWER, job=job(active=1)))
    accepted = condition(status, "Accepted")
    assert (status.phase, accepted.status, accepted.reason) == (Phase.PENDING, "True", "SpecValid")
    assert accepted.message == ("the spec is valid; this version does not know spec.speakers, spec.decoding.draftModel")


def test_a_spec_without_such_fields_is_accepted_in_the_same_words_as_before() -> None:
    status, _ = settled(observe(job=job(active=1)))
    assert condition(status, "Accepted").message == "the spec is valid"


def test_of_many_unknown_fields_some_are_named_and_the_others_counted() -> None:
    status, _ = settled(observe({f"field{number}": 1 for number in range(500)}, job=job(active=1)))
    assert condition(status, "Accepted").message.endswith("spec.field9 and 490 more")


def test_a_field_of_another_type_is_still_an_invalid_spec() -> None:
    status, _ = settled(observe(NEWER | {"retries": "three"}))
    assert status.failure is not None
    assert status.failure.reason == "InvalidSpec"


def test_a_value_that_only_a_newer_version_knows_fails_no_resource_that_has_a_job() -> None:
    """After a downgrade, which may itself be taken back."""
    status, _ = settled(observe(job=job(active=1)))
    older, plan = settled(observe({"engine": "newer"}, status, job=job(active=1)))
    accepted = condition(older, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "InvalidSpec")
    assert "spec.engine: got 'newer'" in accepted.message
    assert (older.phase, older.failure, older.job_ref) == (status.phase, None, status.job_ref)
    assert plan.delete_jobs == ()
    newer, _ = settled(observe(None, older, job=job(ended="Complete", succeeded=1), pods=(ended_pod(GOOD),)))
    assert (newer.phase, condition(newer, "Accepted").status) == (Phase.COMPLETE, "True")


def test_a_spec_that_another_version_refused_is_accepted_from_now_on_and_not_from_its_creation() -> None:
    live = job(active=1)
    refused, _ = settled(observe({"model": "turbo"}, job=live))
    assert condition(refused, "Accepted").last_transition_time == format_time(NOW)
    later = NOW + timedelta(seconds=60)
    accepted, _ = settled(observe(status=refused, job=live), later)
    assert condition(accepted, "Accepted").last_transition_time == format_time(later)


def test_a_resource_that_has_finished_keeps_no_job_although_its_spec_cannot_be_read() -> None:
    status, _ = settled(observe({"engine": "newer"}))
    assert status.phase is Phase.FAILED
    plan = decide(observe({"engine": "newer"}, status, job=job(active=1)), config(), NOW)
    assert (plan.status, [item.ordinal for item in plan.delete_jobs]) == (None, [1])


def test_a_newer_field_in_a_condition_drops_no_condition() -> None:
    stored = complete()
    stored["conditions"][0]["severity"] = "Info"
    assert read(stored) == read(complete())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phase", "Archived"),
        ("engine", {"name": "batched"}),
        ("device", [{"kind": "cuda"}]),
        ("device", {"name": "no kind"}),
        ("quality", "good"),
        ("language", ["pt", "en"]),
        ("audioSeconds", "100 s"),
        ("startTime", 17),
        ("startTime", "yesterday"),
        ("attempt", 1.5),
        ("jobRef", "interview-x-1"),
        ("progress", {"percent": 10}),
        ("failure", {"reason": "NoSuchKey"}),
    ],
)
def test_a_part_of_the_status_that_cannot_be_read_costs_that_part_alone(field: str, value: Any) -> None:
    stored = complete()
    stored.pop(field, None)
    assert read(stored | {field: value}) == read(stored)


@pytest.mark.parametrize(
    "item", [7, {}, {"type": "Complete"}, {"type": "Mood", "status": "True", "reason": 5}], ids=str
)
def test_a_condition_that_cannot_be_read_drops_no_other(item: Any) -> None:
    stored = complete()
    assert read(stored | {"conditions": [item, *stored["conditions"]]}) == read(stored)


@pytest.mark.parametrize("status", [None, [], "Complete", 7])
def test_a_status_that_is_no_object_counts_as_none(status: Any) -> None:
    assert parse_status(json.dumps(status).encode()) == Status()


def test_a_resource_that_a_newer_operator_completed_is_left_as_it_is() -> None:
    stored = complete() | {"phase": "Archived", "speakers": 2}
    stored["conditions"][1]["severity"] = "Info"
    stored["quality"] = {"verdict": "superb", "lipSync": 3}
    assert decide(observed_state(resource(SPEC, stored)), config(), NOW) == Plan()


def test_a_condition_of_a_type_that_only_a_newer_operator_knows_is_kept() -> None:
    newer = {**complete()["conditions"][0], "type": "Translated", "reason": "InGerman"}
    status = read({"conditions": [newer]})
    assert [(item.type, item.reason) for item in status.conditions] == [("Translated", "InGerman")]


def test_a_reason_that_only_a_newer_worker_knows_is_shown_with_its_message() -> None:
    said = failure(Reason("SpeakersUncertain", True, ""), "two or three voices")
    failed = job(ended="Failed", reason="PodFailurePolicy", failed=1)
    status, _ = settled(observe(job=failed, pods=(ended_pod(said, 72),)))
    assert status.failure is not None
    assert (status.failure.reason, condition(status, "Failed").reason) == ("SpeakersUncertain", "SpeakersUncertain")
    assert "two or three voices" in status.failure.message


@pytest.mark.parametrize(
    "stored",
    [
        "Complete",
        {"phase": {"name": "Complete"}},
        {"failure": "NoSuchKey"},
        {"failure": {"reason": ["NoSuchKey"]}},
        {"conditions": {"Running": "True"}},
        {"conditions": ["Running", 7]},
        {"conditions": [{"type": "Running", "reason": 7}]},
    ],
    ids=str,
)
def test_a_resource_whose_status_has_other_types_is_listed_and_watched_like_any_other(stored: Any) -> None:
    """One that could not be viewed would keep a whole namespace from being listed."""
    known = resource(SPEC, stored)
    assert (known.key.name, known.phase, known.reason) == ("interview", "", "")
