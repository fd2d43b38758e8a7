"""Nothing in a transcript ends after the audio does, and all other times are the engine's."""

import copy
from typing import Any

import pytest
from transcription_worker.engines.protocol import Transcript
from transcription_worker.pipeline.times import end_within

SECONDS = 8.9468


def transcript_of(*segments: dict[str, Any]) -> Transcript:
    return Transcript("text", list(segments), "en", None, SECONDS)


def segment(start: float, end: float, *words: tuple[float, float]) -> dict[str, Any]:
    made: dict[str, Any] = {"start": start, "end": end, "text": " text", "tokens": [1]}
    return made | {"words": [{"word": " w", "start": first, "end": last} for first, last in words]} if words else made


def test_a_transcript_within_the_audio_is_the_engines_own() -> None:
    transcript = transcript_of(segment(0.0, 4.0), segment(4.0, 4.0), segment(4.0, 8.94))
    assert end_within(transcript, SECONDS) is transcript


def test_the_last_segment_and_its_words_end_with_the_audio() -> None:
    given = segment(4.0, 9.94, (4.0, 8.0), (8.0, 9.5), (9.5, 9.94))
    before = copy.deepcopy(given)
    first, last = end_within(transcript_of(segment(0.0, 4.0), given), SECONDS).segments
    assert first == segment(0.0, 4.0)
    assert (last["start"], last["end"], last["text"]) == (4.0, 8.946, " text")
    times = [(word["start"], word["end"]) for word in last["words"]]
    assert times == [(4.0, 8.0), (8.0, 8.946), (pytest.approx(8.926), 8.946)]
    assert given == before, "what the engine gave is left alone"


def test_a_segment_that_begins_after_the_audio_still_has_a_length() -> None:
    (only,) = end_within(transcript_of(segment(9.2, 9.8)), SECONDS).segments
    assert (only["start"], only["end"]) == (pytest.approx(8.926), 8.946)


def test_a_word_after_the_audio_is_moved_though_its_segment_ends_before() -> None:
    (only,) = end_within(transcript_of(segment(4.0, 8.9, (4.0, 9.2))), SECONDS).segments
    assert (only["end"], only["words"][0]["end"]) == (8.9, 8.946)
