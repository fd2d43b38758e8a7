"""Skip silence around words that are likely hallucinated: hallucination_silence_threshold of whisper.transcribe."""

from whisper.audio import FRAMES_PER_SECOND
from whisper.utils import get_end

from transcription_worker.engines.batched.algorithm.segmentation import Segment, SegmentedWindow, Window

PUNCTUATION = "\"'“¿([{-\"'.。,，!！?？:：”)]}、"

# All from whisper.transcribe: what makes a word an anomaly, and how much anomaly makes a segment one.
LOW_PROBABILITY = 0.15
SHORT_WORD = 0.133  # seconds
SHORT_WORD_WEIGHT = 15.0
LONG_WORD = 2.0  # seconds
SCORED_WORDS = 8
ANOMALY_SCORE = 3.0
EDGE_SECONDS = 2.0  # a segment this near to the window's edge counts as surrounded by silence there


def seek_after_words(segmented: SegmentedWindow, window: Window) -> int:
    """The frame where the next window begins: the end of the last word, unless a timestamp closed the speech."""
    end: float | None = get_end(segmented.segments)
    if segmented.single_timestamp_ending or end is None or end <= window.start:
        return segmented.seek
    frame: int = round(end * FRAMES_PER_SECOND)
    return frame


def skip_silence(segmented: SegmentedWindow, window: Window, threshold: float, last_speech: float, frames: int) -> bool:
    """Move `segmented.seek` past silence, and drop hallucinated segments.

    threshold: seconds of silence. last_speech: end of the words before, in seconds. frames: length of the file.

    Returns:
        True if the whole window is to be decoded again from `segmented.seek`.
    """
    _skip_end(segmented, window, threshold)
    first = _next_with_words(segmented.segments)
    if first is not None and is_segment_anomaly(first) and (gap := first["start"] - window.start) > threshold:
        segmented.seek = window.seek + round(gap * FRAMES_PER_SECOND)
        return True
    _drop_surrounded(segmented, window, threshold, last_speech, frames)
    return False


def _skip_end(segmented: SegmentedWindow, window: Window, threshold: float) -> None:
    end = get_end(segmented.segments)
    if segmented.single_timestamp_ending or end is None or end <= window.start:
        return
    enough = window.end - end > threshold
    segmented.seek = round(end * FRAMES_PER_SECOND) if enough else window.seek + window.size


def _drop_surrounded(
    segmented: SegmentedWindow, window: Window, threshold: float, last_end: float, frames: int
) -> None:
    """Drop all segments from the first anomaly on that has silence or another anomaly on both sides."""
    for index, segment in enumerate(segmented.segments):
        if not segment["words"]:
            continue
        following = _next_with_words(segmented.segments[index + 1 :])
        if is_segment_anomaly(segment) and _is_surrounded(segment, following, window, threshold, last_end):
            segmented.seek = round(max(window.start + 1, segment["start"]) * FRAMES_PER_SECOND)
            if frames / FRAMES_PER_SECOND - segment["end"] < threshold:
                segmented.seek = frames
            del segmented.segments[index:]
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
    after = (
        next_start - segment["end"] > threshold
        or is_segment_anomaly(following)
        or window.end - segment["end"] < EDGE_SECONDS
    )
    return before and after


def is_segment_anomaly(segment: Segment | None) -> bool:
    """Whether the first words of a segment are very long, very short or improbable."""
    if segment is None or not segment["words"]:
        return False
    words = [word for word in segment["words"] if word["word"] not in PUNCTUATION][:SCORED_WORDS]
    score = sum(_word_anomaly_score(word["probability"], word["end"] - word["start"]) for word in words)
    return score >= ANOMALY_SCORE or score + 0.01 >= len(words)


def _word_anomaly_score(probability: float, duration: float) -> float:
    score = 1.0 if probability < LOW_PROBABILITY else 0.0
    if duration < SHORT_WORD:
        score += (SHORT_WORD - duration) * SHORT_WORD_WEIGHT
    if duration > LONG_WORD:
        score += duration - LONG_WORD
    return score


def _next_with_words(segments: list[Segment]) -> Segment | None:
    return next((segment for segment in segments if segment["words"]), None)
