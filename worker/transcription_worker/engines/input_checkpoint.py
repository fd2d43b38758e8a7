"""Checkpoints of inputs as bytes. What is damaged, or what no engine writes, is no checkpoint.

The first line is a digest of the second, which is JSON: the checkpoint, and the `context` that it was made in, which says of
which file it is and by which model. It is read in the same context alone.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transcription_api.codec import InvalidFieldError, from_json, to_json
from transcription_api.untrusted_json import parse_untrusted_json

from transcription_worker.engines.protocol import InputCheckpoint, PartCheckpoint

# Of the layout. What changes it, or what a field of a checkpoint means, counts it up.
VERSION = 1
# Bytes of a checkpoint. A day of speech with a time for each word takes 28 MB.
MOST_BYTES = 64 << 20

NUMBER = (int, float)
WORD_KEYS = {"word": str, "start": NUMBER, "end": NUMBER, "probability": NUMBER}
# Keys of a segment. With times of words it has `words` too, and an empty segment has them in any case.
SEGMENT_KEYS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "seek"), int),
    **dict.fromkeys(("start", "end", "temperature"), NUMBER),
    **dict.fromkeys(("avg_logprob", "compression_ratio", "no_speech_prob"), NUMBER),
    "text": str,
    "tokens": list,
}


def encode_checkpoint(checkpoint: InputCheckpoint, context: Mapping[str, str]) -> bytes:
    """Return a checkpoint as two lines.

    Raises:
        ValueError: it holds a number that is not finite, or takes more than MOST_BYTES.
    """
    fields = to_json(replace(checkpoint, parts=())) | {"parts": [_part_as_json(part) for part in checkpoint.parts]}
    value = {"version": VERSION, "context": context, "checkpoint": fields}
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > MOST_BYTES:
        raise ValueError(f"got {len(body)} bytes, expected at most {MOST_BYTES}")
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _part_as_json(part: PartCheckpoint) -> dict[str, Any]:
    """Return a part with its segments as they are: `to_json` would go through every word of an hour of speech in 0.3 s."""
    fields: dict[str, Any] = to_json(replace(part, segments=(), tokens=()))
    return fields | {"segments": part.segments, "tokens": part.tokens}


def decode_checkpoint(data: bytes, context: Mapping[str, str]) -> InputCheckpoint:
    """Return the checkpoint.

    Raises:
        ValueError: there is none of this version and context. The message has nothing of its text.
    """
    digest, _, body = data.partition(b"\n")
    if digest != hashlib.sha256(body).hexdigest().encode():
        raise ValueError("it is damaged")
    value = parse_untrusted_json(body, MOST_BYTES, printable=False)
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise ValueError("it is of another version")
    if value.get("context") != context:
        raise ValueError("it is of another source, task, model or worker")
    try:
        checkpoint = from_json(InputCheckpoint, value.get("checkpoint"), "checkpoint")
    except InvalidFieldError as error:
        raise ValueError(f"{error.field}: expected {error.expected}") from None
    if not all(_is_segment(segment) for part in checkpoint.parts for segment in part.segments):
        raise ValueError("a segment is none of Whisper's")
    return checkpoint


def _is_segment(segment: dict[str, Any]) -> bool:
    keys = segment.keys() - {"words"}
    return (
        keys == SEGMENT_KEYS.keys()
        and _fits(segment, SEGMENT_KEYS)
        and all(type(token) is int for token in segment["tokens"])
        and isinstance(words := segment.get("words", []), list)
        and all(isinstance(word, dict) and word.keys() == WORD_KEYS.keys() and _fits(word, WORD_KEYS) for word in words)
    )


def _fits(value: dict[str, Any], kinds: Mapping[str, Any]) -> bool:
    return all(
        isinstance(value[key], kind) and not isinstance(value[key], bool) and _has_utf8(value[key])
        for key, kind in kinds.items()
    )


def _has_utf8(value: object) -> bool:
    """False for a text with half of a surrogate pair, which no format could be written with."""
    return not isinstance(value, str) or value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value)
