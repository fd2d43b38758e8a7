"""JSON is written without spaces and read again, whatever texts and numbers a worker has sent."""

from typing import Any

import pytest
from transcription_operator.models.json_text import decode_json, encode_json

VALUES: dict[str, Any] = {
    "an object": {"a": [1, 2.5, True, None], "b": {"c": "Gespräch"}},
    "half a surrogate pair": {"text": "a\ud83d"},
    "a number beyond 64 bits": {"count": 2**70},
    "nothing": {},
}


@pytest.mark.parametrize("name", VALUES)
def test_what_was_written_is_read_again(name: str) -> None:
    assert decode_json(encode_json(VALUES[name])) == VALUES[name]


def test_no_space_is_written() -> None:
    assert encode_json({"a": [1, {"b": "c"}]}) == b'{"a":[1,{"b":"c"}]}'


def test_a_text_that_is_no_json_is_an_error() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        decode_json(b"<html>")
