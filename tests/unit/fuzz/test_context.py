"""A change of one field is not refused for another field's sake."""

import pytest
from transcription_api.spec import parse_spec

from tests.fuzz.context import merged, with_context

SMALLEST = {"source": {"s3": {"bucket": "audio", "key": "a.wav"}}, "destination": {"s3": {"bucket": "out"}}}


def test_a_merge_patch_sets_adds_and_removes() -> None:
    before = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(before, {"a": {"b": None, "e": {"f": 4}}, "d": [5]}) == {"a": {"c": 2, "e": {"f": 4}}, "d": [5]}
    assert before == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize("path", [("model", "volume"), ("subtitles", "maxLineCount"), ("device", "tolerations", 0)])
def test_what_a_field_needs_is_valid_by_itself(path: tuple[str | int, ...]) -> None:
    assert parse_spec(with_context(SMALLEST, path))


def test_a_model_in_a_volume_takes_the_place_of_one_with_a_name() -> None:
    found = with_context(SMALLEST | {"model": {"name": "turbo"}}, ("model", "volume", "persistentVolumeClaim"))
    assert found["model"] == {"volume": {"path": "a.pt"}}


def test_other_fields_need_nothing() -> None:
    assert with_context(SMALLEST, ("retries",)) == SMALLEST
