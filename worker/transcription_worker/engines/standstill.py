"""Timestamps and words after which the next window would be the same as this one, for ever."""

from collections.abc import Sequence
from typing import Any

from whisper.audio import FRAMES_PER_SECOND


def drop_standstill(tokens: Sequence[int], timestamp_begin: int) -> list[int]:
    """The tokens of a window, without its timestamps if these leave the next window where this one is.

    whisper.transcribe goes on from the last pair of timestamps. A pair at 0.00 would give the same window for ever; then the
    window is one segment, as it is without any pair. Only without_timestamps lets a model give such a pair.
    """
    pairs = [place for place in range(1, len(tokens)) if min(tokens[place - 1], tokens[place]) >= timestamp_begin]
    ends_singly = len(tokens) > 1 and tokens[-2] < timestamp_begin <= tokens[-1]
    if not pairs or ends_singly or tokens[pairs[-1] - 1] > timestamp_begin:
        return list(tokens)
    return [token for token in tokens if token < timestamp_begin]


def hold_last_word(segments: Sequence[dict[str, Any]], frame: int, start: float) -> None:
    """End the last word where the window begins, if it ends less than half a frame later.

    whisper.transcribe goes on where the last word ends if that is later than the window's start, and rounds it to a frame:
    the window's own. What does not end later leaves it to the timestamps.

    Args:
        segments: Those of a window, with their words.
        frame: Where the window begins.
        start: The same in seconds, as the library computes it.
    """
    words = [word for segment in segments for word in segment["words"]]
    if words and words[-1]["end"] > start and round(words[-1]["end"] * FRAMES_PER_SECOND) <= frame:
        words[-1]["end"] = start
