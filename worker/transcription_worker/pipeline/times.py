"""Keeps the times of a transcript within the audio."""

import dataclasses
import math
from typing import Any

from transcription_worker.engines.protocol import Transcript

# The unit of Whisper's time stamps: the shortest that a segment or a word lasts.
SHORTEST_SECONDS = 0.02


def end_within(transcript: Transcript, seconds: float) -> Transcript:
    """Return the transcript with all times within `seconds` of audio.

    Whisper hears windows of 30 s, and silence in the last one after the end of the audio: a segment or a word may end there,
    or begin. It then ends with the audio, and begins at least SHORTEST_SECONDS earlier. All other times are the engine's.
    """
    last = math.floor(seconds * 1000) / 1000  # formats have milliseconds, and round
    if all(_is_within(segment, last) for segment in transcript.segments):
        return transcript
    return dataclasses.replace(transcript, segments=[_segment_within(one, last) for one in transcript.segments])


def _is_within(segment: dict[str, Any], last: float) -> bool:
    return all(timed["end"] <= last for timed in (segment, *segment.get("words", ())))


def _segment_within(segment: dict[str, Any], last: float) -> dict[str, Any]:
    if _is_within(segment, last):
        return segment
    words = {"words": [_within(word, last) for word in segment["words"]]} if "words" in segment else {}
    return _within(segment, last) | words


def _within(timed: dict[str, Any], last: float) -> dict[str, Any]:
    if timed["end"] <= last:
        return timed
    return timed | {"start": min(timed["start"], max(last - SHORTEST_SECONDS, 0.0)), "end": last}
