"""Gives every cue a length: a player never shows one that ends as it starts, and some readers refuse the file.

openai-whisper empties a segment of no length and still writes it, and words of no length become cues of none.
"""

import re
from typing import Any

Result = dict[str, Any]

SHORTEST_MS = 20  # the unit of Whisper's time stamps


def leave_out_empty(result: Result) -> Result:
    """Return the result without the segments that openai-whisper has emptied."""
    segments = [segment for segment in result["segments"] if segment["text"]]
    return result if len(segments) == len(result["segments"]) else result | {"segments": segments}


def with_lengths(result: Result) -> Result:
    """Return the result with a length for each segment. Milliseconds count, in which formats give times."""
    return result | {"segments": [_with_length(segment) for segment in result["segments"]]}


def _with_length(segment: Result) -> Result:
    start, end = round(segment["start"] * 1000), round(segment["end"] * 1000)
    if start < end:
        return segment
    start, end = lengthen(start, end)
    return segment | {"start": start / 1000, "end": end / 1000}


def lengthen(start: int, end: int) -> tuple[int, int]:
    """Return the start and the end of a cue in milliseconds, with a start before the end.

    The start is moved, since the end may be that of the audio; at the very beginning the end is.
    """
    if start < end:
        return start, end
    return (end - SHORTEST_MS, end) if end >= SHORTEST_MS else (0, SHORTEST_MS)


def milliseconds(time: str) -> int:
    """Return the milliseconds of a time as the writers of srt and vtt format it, with or without hours."""
    *hours, minutes, seconds, rest = (int(part) for part in re.split("[:.,]", time))
    return ((sum(hours) * 60 + minutes) * 60 + seconds) * 1000 + rest
