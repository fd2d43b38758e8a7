"""The fuzzing reaches every field, and the same seed repeats it."""

import json
from typing import Any

import pytest
from transcription_api.codec import InvalidFieldError
from transcription_api.spec import parse_spec

from tests.fuzz.resources import COUNT, changes, nodes, resources, spec_schema
from tests.fuzz.values import allowed, refused

SCHEMA = spec_schema()


def texts(seed: str) -> list[str]:
    return [json.dumps(item.body) for item in resources(range(0, COUNT, 40), seed)]


def test_the_same_seed_gives_the_same_resources_and_another_seed_others() -> None:
    assert texts("a") == texts("a")
    assert texts("a") != texts("b")


def test_names_differ() -> None:
    made = [item.body["metadata"]["name"] for item in resources(range(0, COUNT, 5), "a")]
    strings = [name for name in made if isinstance(name, str)]
    assert len(set(strings)) == len(strings) > 1900


def test_each_field_is_removed_and_gets_allowed_and_refused_values() -> None:
    found = {(item.path, item.kind) for item in changes(SCHEMA)}
    paths = [("spec", *path) for path, _ in nodes(SCHEMA)]
    assert ("spec", "device", "tolerations", 0, "key") in paths
    assert ("spec", "device", "nodeSelector", "a") in paths
    assert found == {(path, kind) for path in paths for kind in ("removed", "allowed", "refused")}


def test_a_change_is_made_at_its_place() -> None:
    for item in resources(range(3000), "a"):
        [change] = item.changes
        if change.path[0] == "spec" and change.kind != "removed" and len(change.path) > 1:
            part: Any = item.body
            for key in change.path:
                part = part[key]
            assert repr(part) == repr(change.value), str(item)


BOUNDED = {"type": "integer", "minimum": 1, "maximum": 50}
NAMED = {"type": "string", "minLength": 3, "maxLength": 63, "pattern": "^[a-z0-9.-]+$"}


def test_bounds_and_the_values_beyond_them_are_tried() -> None:
    assert {1, 50} <= {*allowed(BOUNDED)}
    assert {0, 51} <= {value for value in refused(BOUNDED) if isinstance(value, int)}
    assert {"a" * 3, "a" * 63} <= {*allowed(NAMED)}
    assert {"a" * 2, "a" * 64} <= {value for value in refused(NAMED) if isinstance(value, str)}


@pytest.mark.parametrize(("schema", "fits"), [(BOUNDED, lambda v: 1 <= v <= 50), (NAMED, lambda v: 3 <= len(v) <= 63)])
def test_allowed_values_are_within_the_bounds(schema: dict[str, Any], fits: Any) -> None:
    assert all(fits(value) for value in allowed(schema))


def test_a_good_part_of_the_resources_is_valid_and_a_good_part_is_not() -> None:
    def valid(body: dict[str, Any]) -> bool:
        try:
            return parse_spec(body["spec"]) is not None
        except (InvalidFieldError, KeyError):
            return False

    share = sum(valid(item.body) for item in resources(range(0, COUNT, 10), "a")) / (COUNT / 10)
    assert 0.1 < share < 0.9
