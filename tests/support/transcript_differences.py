"""Find the differences between two transcripts of one input; numbers are compared within a tolerance."""

import math
from collections.abc import Iterator
from typing import Any

from transcription_worker.engines.protocol import Transcript

TOLERANCE = 1e-4  # of log probabilities, probabilities and compression ratios
NUMBERS = ("avg_logprob", "no_speech_prob", "compression_ratio")


def differences(expected: Transcript, found: Transcript) -> list[str]:
    """Return one line for each difference; none if the transcripts are equal."""
    return list(_differences(expected, found))


def _differences(expected: Transcript, found: Transcript) -> Iterator[str]:
    for name in ("language", "text", "audio_seconds"):
        if getattr(expected, name) != getattr(found, name):
            yield f"{name}: {getattr(found, name)!r}, expected {getattr(expected, name)!r}"
    if not _near(expected.language_probability, found.language_probability):
        yield f"language probability: {found.language_probability}, expected {expected.language_probability}"
    if expected.counters.windows != found.counters.windows:
        yield f"windows: {found.counters.windows}, expected {expected.counters.windows}"
    if len(expected.segments) != len(found.segments):
        yield f"{len(found.segments)} segments, expected {len(expected.segments)}"
    for one, other in zip(expected.segments, found.segments, strict=False):
        yield from _segment(one, other)


def _segment(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    where = f"segment {expected['id']}"
    if list(expected) != list(found):
        yield f"{where}: keys {list(found)}, expected {list(expected)}"
    for name, value in expected.items():
        other = found.get(name)
        if name == "words":
            yield from _words(where, value, other or [])
        elif not (_near(value, other) if name in NUMBERS else value == other):
            yield f"{where}: {name} {other!r}, expected {value!r}"


def _words(where: str, expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str]:
    if len(expected) != len(found):
        yield f"{where}: {len(found)} words, expected {len(expected)}"
    for one, other in zip(expected, found, strict=False):
        if any(one[name] != other[name] for name in ("word", "start", "end")):
            yield f"{where}: word {other}, expected {one}"
        elif not _near(one["probability"], other["probability"]):
            yield f"{where}: probability {other}, expected {one}"


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return (math.isnan(one) and math.isnan(other)) or abs(one - other) <= TOLERANCE
