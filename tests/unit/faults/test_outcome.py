"""What two lives of one kind must have in common, and what may differ."""

from typing import Any, cast

import pytest
from transcription_api import names

from tests.faults.lives import View
from tests.faults.mirror import Mirror
from tests.faults.outcome import Remains, differences, job_defects, remains

STATUS = {
    "phase": "Complete",
    "attempt": 1,
    "queueSeconds": 2,
    "startTime": "2026-01-01T10:00:00Z",
    "jobRef": {"name": "r1-0123abcd-1", "uid": "one", "ordinal": 1},
    "conditions": [{"type": "Running", "message": "pod r1-0123abcd-1-0 ended at 2026-01-01T10:00:00Z"}],
}


class Objects:
    """Objects by their name, and what became of them, as a mirror has them."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {item["metadata"]["name"]: item for item in objects}
        self.history = [("ADDED", item) for item in objects]

    def items(self) -> list[dict[str, Any]]:
        return [*self.objects.values()]


def mirror(*objects: dict[str, Any]) -> Mirror:
    return cast(Mirror, Objects(*objects))


def job(name: str, owner: str = "r1", outcome: str | None = None, **meta: Any) -> dict[str, Any]:
    known = {"name": name, "uid": f"uid-of-{name}", "labels": {names.LABEL_ORDINAL: name.rpartition("-")[2]}}
    conditions = [{"type": outcome, "status": "True"}] if outcome else []
    return {
        "metadata": known | {"annotations": {names.ANNOTATION_NAME: owner}} | meta,
        "status": {"conditions": conditions},
    }


def left(name: str, status: dict[str, Any], *reasons: str) -> Remains:
    """Return what is left of a resource with this status and a complete Job."""
    resource = {"metadata": {"name": name, "uid": "uid"}, "status": status}
    view = View(name, mirror(resource), mirror(job(f"{name}-0123abcd-1", name, "Complete")), mirror())
    events = [{"type": "Normal", "reason": reason, "message": f"Job {name}-0123abcd-1"} for reason in reasons]
    return remains(view, events)


def renamed(**fields: Any) -> dict[str, Any]:
    """Return the status of a second life, at another time and of another name, with other fields."""
    condition = {"type": "Running", "message": "pod r22-ffffffff-1-0 ended at 2026-02-02T10:00:00Z"}
    reference = {"name": "r22-ffffffff-1", "uid": "two", "ordinal": 1}
    own = {"queueSeconds": 9, "startTime": "2026-02-02T10:00:00Z", "jobRef": reference, "conditions": [condition]}
    return STATUS | own | fields


def test_names_times_uids_and_seconds_in_the_queue_may_differ() -> None:
    assert differences(left("r1", STATUS, "Started"), left("r22", renamed(), "Started")) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": "Failed"},
        {"attempt": 2},
        {"queueSeconds": None},
        {"startTime": None},
        {"startTime": "yesterday"},
        {"jobRef": {"name": "r22-ffffffff-1", "ordinal": 1}},
        {"jobRef": {"name": "r22-ffffffff-2", "uid": "two", "ordinal": 2}},
        {"conditions": []},
        {"results": []},
    ],
    ids=str,
)
def test_everything_else_of_a_status_is_told_if_it_differs(fields: dict[str, Any]) -> None:
    [said] = differences(left("r1", STATUS), left("r22", renamed(**fields)))
    assert said.startswith("status: expected")


def test_an_event_may_be_lost_with_a_killed_operator_but_none_may_be_new() -> None:
    assert differences(left("r1", STATUS, "Started"), left("r1", STATUS)) == []
    [said] = differences(left("r1", STATUS), left("r1", STATUS, "Started"))
    assert "Normal Started" in said


def test_a_second_job_and_another_end_of_a_job_are_told() -> None:
    expected = Remains({}, {"job-1": "Complete"}, frozenset())
    for jobs in ({"job-1": "Failed"}, {"job-1": "Complete", "job-2": "None"}, {}):
        [said] = differences(expected, Remains({}, jobs, frozenset()))
        assert said.startswith("Jobs: expected")


def test_two_jobs_that_are_alive_at_once_are_told() -> None:
    [said] = job_defects("r1", mirror(job("r1-a-1"), job("r1-a-2")), 0)
    assert said == "two live Jobs at once: ['r1-a-1', 'r1-a-2']"


@pytest.mark.parametrize("end", [{"outcome": "Failed"}, {"deletionTimestamp": "2026-01-01T10:00:00Z"}], ids=str)
def test_a_job_after_one_that_has_ended_or_is_being_deleted_is_right(end: dict[str, Any]) -> None:
    assert job_defects("r1", mirror(job("r1-a-1", **end), job("r1-a-2")), 0) == []


def test_a_job_that_is_created_a_second_time_is_told_and_one_of_another_life_is_not() -> None:
    found = mirror(job("r1-a-1"), job("r2-a-1", "r2"))
    found.history.append(("DELETED", job("r1-a-1")))
    found.history.append(("ADDED", job("r1-a-1")))
    assert job_defects("r1", found, 0) == ["2 times created: r1-a-1"]
    assert job_defects("r1", found, 2) == []
