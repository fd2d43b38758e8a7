"""Split a window's tokens into segments and find where the next window begins: whisper.transcribe after its decoding."""

from dataclasses import dataclass, field
from typing import Any

from whisper.audio import HOP_LENGTH, N_FRAMES, SAMPLE_RATE
from whisper.decoding import DecodingResult
from whisper.tokenizer import Tokenizer

from transcription_worker.engines.standstill import drop_standstill

Segment = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Frames [seek, seek + size) of a file, 10 ms each. stride: frames for one timestamp token."""

    seek: int
    size: int
    stride: int

    @property
    def start(self) -> float:
        """Seconds."""
        return float(self.seek * HOP_LENGTH / SAMPLE_RATE)

    @property
    def end(self) -> float:
        """Seconds at which a window of full length would end."""
        return float((self.seek + N_FRAMES) * HOP_LENGTH / SAMPLE_RATE)

    @property
    def duration(self) -> float:
        """Seconds of the file in this window."""
        return float(self.size * HOP_LENGTH / SAMPLE_RATE)

    @property
    def precision(self) -> float:
        """Seconds for one timestamp token."""
        return float(self.stride * HOP_LENGTH / SAMPLE_RATE)


@dataclass
class SegmentedWindow:
    """The segments of a window. seek: the frame where the next window begins.

    single_timestamp_ending: the last token is a single timestamp, so that no speech follows it (whisper.transcribe's name).
    """

    segments: list[Segment] = field(default_factory=list)
    seek: int = 0
    single_timestamp_ending: bool = False


def segment_window(window: Window, result: DecodingResult, tokenizer: Tokenizer) -> SegmentedWindow:
    """Split at pairs of consecutive timestamps; without a pair the whole window is one segment."""
    begin = tokenizer.timestamp_begin
    tokens = drop_standstill(result.tokens, begin)
    timestamps = [token >= begin for token in tokens]
    single_ending = timestamps[-2:] == [False, True]
    ends = [place + 1 for place in range(len(tokens) - 1) if timestamps[place] and timestamps[place + 1]]
    if not ends:
        return SegmentedWindow([_whole(window, tokens, result, tokenizer)], window.seek + window.size, single_ending)
    if single_ending:
        ends.append(len(tokens))
    segments = []
    for first, last in zip([0, *ends], ends, strict=False):
        part = tokens[first:last]
        start = window.start + (part[0] - begin) * window.precision
        end = window.start + (part[-1] - begin) * window.precision
        segments.append(_segment(window, start, end, part, result, tokenizer))
    # What follows the last pair is unfinished: the next window begins there.
    ahead = window.size if single_ending else (tokens[ends[-1] - 1] - begin) * window.stride
    return SegmentedWindow(segments, window.seek + ahead, single_ending)


def _whole(window: Window, tokens: list[int], result: DecodingResult, tokenizer: Tokenizer) -> Segment:
    timestamps = [token for token in tokens if token >= tokenizer.timestamp_begin]
    duration = window.duration
    if timestamps and timestamps[-1] != tokenizer.timestamp_begin:
        duration = (timestamps[-1] - tokenizer.timestamp_begin) * window.precision
    return _segment(window, window.start, window.start + duration, tokens, result, tokenizer)


def _segment(
    window: Window, start: float, end: float, tokens: list[int], result: DecodingResult, tokenizer: Tokenizer
) -> Segment:
    """A segment with the keys of openai-whisper's, in their order."""
    return {
        "seek": window.seek,
        "start": start,
        "end": end,
        "text": tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
        "tokens": list(tokens),
        "temperature": result.temperature,
        "avg_logprob": result.avg_logprob,
        "compression_ratio": result.compression_ratio,
        "no_speech_prob": result.no_speech_prob,
    }


def clear_empty(segments: list[Segment]) -> None:
    """Empty the segments that take no time or hold no text; they keep their place, as in whisper.transcribe."""
    for segment in segments:
        if segment["start"] == segment["end"] or segment["text"].strip() == "":
            segment.update(text="", tokens=[], words=[])
