"""Silence around words that look made up is skipped: hallucination_silence_threshold of whisper.transcribe."""

from whisper.audio import FRAMES_PER_SECOND
from whisper.utils import get_end

from transcription_worker.engines.batched.algorithm.segmentation import Cut, Segment, Window

PUNCTUATION = "\"'“¿([{-\"'.。,，!！?？:：”)]}、"

# Of whisper.transcribe: what makes a word odd, and how many odd ones make a segment odd.
LOW_PROBABILITY = 0.15
SHORT_WORD = 0.133  # seconds
SHORT_WEIGHT = 15.0
LONG_WORD = 2.0  # seconds
WORDS_LOOKED_AT = 8
ODD_SCORE = 3.0
EDGE_SECONDS = 2.0  # a segment so near to the window's edge counts as beside silence


def seek_after_words(cut: Cut, window: Window) -> int:
    """The next window begins where the last word ended, unless a timestamp closed the speech."""
    end: float | None = get_end(cut.segments)
    if cut.closed or end is None or end <= window.start:
        return cut.seek
    frame: int = round(end * FRAMES_PER_SECOND)
    return frame


def skip_silence(cut: Cut, window: Window, threshold: float, last_speech: float, frames: int) -> bool:
    """Changes where the next window begins, and drops odd segments. True: the whole window is read again from there.

    `threshold`: seconds of silence; `last_speech`: end of the words before, seconds; `frames`: of the file.
    """
    _skip_end(cut, window, threshold)
    first = _next_with_words(cut.segments)
    if first is not None and is_odd(first) and (gap := first["start"] - window.start) > threshold:
        cut.seek = window.seek + round(gap * FRAMES_PER_SECOND)
        return True
    _drop_surrounded(cut, window, threshold, last_speech, frames)
    return False


def _skip_end(cut: Cut, window: Window, threshold: float) -> None:
    end = get_end(cut.segments)
    if cut.closed or end is None or end <= window.start:
        return
    enough = window.end - end > threshold
    cut.seek = round(end * FRAMES_PER_SECOND) if enough else window.seek + window.size


def _drop_surrounded(cut: Cut, window: Window, threshold: float, last_end: float, frames: int) -> None:
    """From the first odd segment on that has silence, or another odd one, on both sides."""
    for index, segment in enumerate(cut.segments):
        if not segment["words"]:
            continue
        following = _next_with_words(cut.segments[index + 1 :])
        if is_odd(segment) and _is_surrounded(segment, following, window, threshold, last_end):
            cut.seek = round(max(window.start + 1, segment["start"]) * FRAMES_PER_SECOND)
            if frames / FRAMES_PER_SECOND - segment["end"] < threshold:
                cut.seek = frames
            del cut.segments[index:]
            return
        last_end = segment["end"]


def _is_surrounded(
    segment: Segment, following: Segment | None, window: Window, threshold: float, last_end: float
) -> bool:
    next_start = window.start + window.duration if following is None else following["words"][0]["start"]
    before = (
        segment["start"] - last_end > threshold
        or segment["start"] < threshold
        or segment["start"] - window.start < EDGE_SECONDS
    )
    after = next_start - segment["end"] > threshold or is_odd(following) or window.end - segment["end"] < EDGE_SECONDS
    return before and after


def is_odd(segment: Segment | None) -> bool:
    """Its first words are very long, very short or improbable."""
    if segment is None or not segment["words"]:
        return False
    words = [word for word in segment["words"] if word["word"] not in PUNCTUATION][:WORDS_LOOKED_AT]
    score = sum(_oddness(word["probability"], word["end"] - word["start"]) for word in words)
    return score >= ODD_SCORE or score + 0.01 >= len(words)


def _oddness(probability: float, duration: float) -> float:
    score = 1.0 if probability < LOW_PROBABILITY else 0.0
    if duration < SHORT_WORD:
        score += (SHORT_WORD - duration) * SHORT_WEIGHT
    if duration > LONG_WORD:
        score += duration - LONG_WORD
    return score


def _next_with_words(segments: list[Segment]) -> Segment | None:
    return next((segment for segment in segments if segment["words"]), None)
