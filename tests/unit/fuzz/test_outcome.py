"""The fuzzing notices each way in which a resource or the apiserver's answer can be wrong."""

from typing import Any

import pytest
from transcription_api import names

from tests.fuzz.outcome import judged, refusal, settled, task_defects
from tests.fuzz.resources import Change, Resource
from tests.support.api_client import RefusedError

RESOURCE = Resource(1, {}, (), strict=False)


def status(phase: str, kind: str, value: str, reason: str) -> dict[str, Any]:
    return {"phase": phase, "conditions": [{"type": kind, "status": value, "reason": reason, "message": "why"}]}


COMPLETE = status("Complete", "Complete", "True", "ResultsVerified")
FAILED = status("Failed", "Failed", "True", "InvalidSpec") | {"failure": {"message": "spec.x: got 1, expected 2"}}
QUEUED = status("Suspended", "Running", "False", "WaitingForQueue")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (COMPLETE, ("ended", "ResultsVerified")),
        (FAILED, ("ended", "InvalidSpec")),
        (QUEUED, ("waiting", "WaitingForQueue")),
        (status("Pending", "Running", "False", "WaitingForPod"), None),
        (status("Running", "Running", "True", "WorkerRunning"), None),
        ({}, None),
    ],
)
def test_a_resource_settles_when_it_ends_or_waits_for_somebody_else(given: dict[str, Any], expected: Any) -> None:
    assert settled(given) == expected


@pytest.mark.parametrize("good", [COMPLETE, FAILED, QUEUED])
def test_an_end_and_a_named_wait_are_right(good: dict[str, Any]) -> None:
    assert judged(RESOURCE, good).defects == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        status("Pending", "Running", "False", "WaitingForPod"),
        status("Pending", "Running", "False", "Whatever"),
        FAILED | {"failure": {"message": ""}},
        FAILED | {"failure": {"message": "wrong"}},
    ],
    ids=["no status", "still going on", "a reason that nobody knows", "no message", "a message without a field"],
)
def test_any_other_status_is_wrong(wrong: dict[str, Any]) -> None:
    assert judged(RESOURCE, wrong).defects


def error(code: int, message: str = "spec.x is wrong", **details: Any) -> RefusedError:
    return RefusedError(code, {"message": message, "details": details})


def test_a_refusal_names_a_field() -> None:
    assert refusal(RESOURCE, error(422, causes=[{"field": "spec.x"}])).defects == []
    assert refusal(RESOURCE, error(422, causes=[{"field": ""}])).defects
    assert refusal(RESOURCE, error(422)).defects


def test_a_refusal_of_one_change_names_its_field() -> None:
    changed = Resource(1, {}, (Change(("spec", "model", "name"), "removed"),), strict=False)
    causes = [{"field": "spec.task"}]
    assert refusal(changed, error(422, "spec.task: got translate with model turbo", causes=causes)).defects == []
    assert refusal(changed, error(422, "spec.task: got translate", causes=causes)).defects


def test_a_refusal_that_cannot_be_read_says_why_and_a_broken_server_is_wrong() -> None:
    assert refusal(RESOURCE, error(400)).defects == []
    assert refusal(RESOURCE, error(400, message="")).defects
    assert refusal(RESOURCE, error(500)).defects


def job(spec: str) -> dict[str, Any]:
    task = f'{{"namespace":"a","name":"b","uid":"c","spec":{spec}}}'
    container = {"env": [{"name": names.ENV_TASK, "value": task}, {"name": "SECRET", "valueFrom": {}}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def test_a_task_that_the_kubelet_changes_is_wrong() -> None:
    spec = {"task": "a$$b", "suspend": False, "device": {"policy": "CPU", "nodeSelector": {}}}
    told = '{"task":"TEXT","device":{"policy":"CPU"}}'
    assert task_defects(job(told.replace("TEXT", r"a\u0024\u0024b")), spec) == []
    assert task_defects(job(told.replace("TEXT", "a$$b")), spec)
