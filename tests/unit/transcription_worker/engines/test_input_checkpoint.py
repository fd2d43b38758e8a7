"""A checkpoint is read as it was written, or not at all."""

import dataclasses
import hashlib
import json
from typing import Any

import pytest
from transcription_worker.engines import input_checkpoint
from transcription_worker.engines.input_checkpoint import decode_checkpoint, encode_checkpoint
from transcription_worker.engines.protocol import Counters, InputCheckpoint, PartCheckpoint

CONTEXT = {"etag": "e", "fingerprint": "f", "model": "m", "worker": "w"}
TEXT = " Canary\x00 \x1c“ 𝄞\ufffd\u2028"
SEGMENT = {
    "id": 0,
    "seek": 0,
    "start": 0.1 + 0.2,
    "end": 29.0,
    "text": TEXT,
    "tokens": [50364, 1],
    "temperature": 0.0,
    "avg_logprob": -1e-17,
    "compression_ratio": 5e-324,
    "no_speech_prob": 0,
    "words": [{"word": TEXT, "start": 0.0, "end": 0.3, "probability": 0.9999999999999999}],
}
PART = PartCheckpoint(0, 1, 2900, (SEGMENT,), (50364, 1), 1, 28.7, Counters(windows=1, steps=7))
CHECKPOINT = InputCheckpoint("en", "float32", 960_000, 29.0, (PART,), 0.5, 3.25)


def changed(**fields: Any) -> bytes:
    """Return a checkpoint in which a segment has other fields, with a digest that is right."""
    segment = {name: value for name, value in (SEGMENT | fields).items() if value is not None}
    return encode_checkpoint(
        dataclasses.replace(CHECKPOINT, parts=(dataclasses.replace(PART, segments=(segment,)),)), CONTEXT
    )


def signed(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_all_of_it_comes_back_as_it_was() -> None:
    assert repr(decode_checkpoint(encode_checkpoint(CHECKPOINT, CONTEXT), CONTEXT)) == repr(CHECKPOINT)


@pytest.mark.parametrize("name", CONTEXT)
def test_it_is_no_checkpoint_of_another_source_task_model_or_worker(name: str) -> None:
    data = encode_checkpoint(CHECKPOINT, CONTEXT)
    with pytest.raises(ValueError, match="of another source"):
        decode_checkpoint(data, CONTEXT | {name: "another"})


def test_a_later_version_is_left_alone() -> None:
    _, _, body = encode_checkpoint(CHECKPOINT, CONTEXT).partition(b"\n")
    later = json.dumps(json.loads(body) | {"version": 2}, allow_nan=False).encode()
    with pytest.raises(ValueError, match="another version"):
        decode_checkpoint(signed(later), CONTEXT)


@pytest.mark.parametrize("place", [0, 70, 300, -1])
def test_a_single_changed_byte_is_noticed(place: int) -> None:
    data = bytearray(encode_checkpoint(CHECKPOINT, CONTEXT))
    data[place] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        decode_checkpoint(bytes(data), CONTEXT)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_a_part_of_one_is_noticed(count: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decode_checkpoint(encode_checkpoint(CHECKPOINT, CONTEXT)[:count], CONTEXT)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"start": "0"}, id="text for a number"),
        pytest.param({"start": True}, id="true for a number"),
        pytest.param({"end": None}, id="a field is missing"),
        pytest.param({"canary": 1}, id="an unknown field"),
        pytest.param({"tokens": ["1"]}, id="a token that is none"),
        pytest.param({"tokens": {}}, id="no list of tokens"),
        pytest.param({"words": [{"word": "a"}]}, id="a word without times"),
        pytest.param({"words": "a"}, id="no list of words"),
        pytest.param({"words": [SEGMENT["words"][0] | {"word": "\ud800"}]}, id="half a character"),  # type: ignore[index]
        pytest.param({"text": ["canary"]}, id="no text"),
    ],
)
def test_what_no_engine_writes_is_refused_and_not_quoted(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a segment is none of Whisper's"):
        decode_checkpoint(changed(**fields), CONTEXT)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"version": 1, "context": CONTEXT},
        {"version": 1, "context": CONTEXT, "checkpoint": {"language": ["canary"]}},
        {"version": 1, "context": CONTEXT, "checkpoint": {"parts": [{"tokens": ["canary"]}]}},
    ],
)
def test_other_json_is_refused_and_not_quoted(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        decode_checkpoint(signed(json.dumps(value, allow_nan=False).encode()), CONTEXT)
    assert "canary" not in str(caught.value)


def test_very_deep_json_is_refused() -> None:
    with pytest.raises(ValueError, match="inside one another"):
        decode_checkpoint(signed(b"[" * 100_000), CONTEXT)


def test_one_that_is_too_large_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_checkpoint, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="expected at most 100"):
        encode_checkpoint(CHECKPOINT, CONTEXT)


def test_a_number_that_json_has_not_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        changed(avg_logprob=float("-inf"))
