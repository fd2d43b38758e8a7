"""A window's tokens cut into segments, and where the next window begins: whisper.transcribe after its decoding."""

from dataclasses import dataclass, field
from typing import Any

from whisper.audio import HOP_LENGTH, N_FRAMES, SAMPLE_RATE
from whisper.decoding import DecodingResult
from whisper.tokenizer import Tokenizer

Segment = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Frames [seek, seek + size), 10 ms each. `stride`: frames for one timestamp token."""

    seek: int
    size: int
    stride: int

    @property
    def start(self) -> float:
        """Seconds."""
        return float(self.seek * HOP_LENGTH / SAMPLE_RATE)

    @property
    def end(self) -> float:
        """Seconds, of a whole window."""
        return float((self.seek + N_FRAMES) * HOP_LENGTH / SAMPLE_RATE)

    @property
    def duration(self) -> float:
        """Seconds of its own."""
        return float(self.size * HOP_LENGTH / SAMPLE_RATE)

    @property
    def precision(self) -> float:
        """Seconds for one timestamp token."""
        return float(self.stride * HOP_LENGTH / SAMPLE_RATE)


@dataclass
class Cut:
    """`seek`: of the next window. `closed`: the last token is a timestamp that ends the speech."""

    segments: list[Segment] = field(default_factory=list)
    seek: int = 0
    closed: bool = False


def cut_window(window: Window, result: DecodingResult, tokenizer: Tokenizer) -> Cut:
    """Segments between pairs of timestamps; without a pair one segment for the whole window."""
    tokens, begin = result.tokens, tokenizer.timestamp_begin
    stamps = [token >= begin for token in tokens]
    closed = stamps[-2:] == [False, True]
    ends = [place + 1 for place in range(len(tokens) - 1) if stamps[place] and stamps[place + 1]]
    if not ends:
        return Cut([_whole(window, result, tokenizer)], window.seek + window.size, closed)
    if closed:
        ends.append(len(tokens))
    segments = []
    for first, last in zip([0, *ends], ends, strict=False):
        part = tokens[first:last]
        start = window.start + (part[0] - begin) * window.precision
        end = window.start + (part[-1] - begin) * window.precision
        segments.append(_segment(window, start, end, part, result, tokenizer))
    # What follows the last pair is unfinished: the next window begins there.
    ahead = window.size if closed else (tokens[ends[-1] - 1] - begin) * window.stride
    return Cut(segments, window.seek + ahead, closed)


def _whole(window: Window, result: DecodingResult, tokenizer: Tokenizer) -> Segment:
    stamps = [token for token in result.tokens if token >= tokenizer.timestamp_begin]
    duration = window.duration
    if stamps and stamps[-1] != tokenizer.timestamp_begin:
        duration = (stamps[-1] - tokenizer.timestamp_begin) * window.precision
    return _segment(window, window.start, window.start + duration, result.tokens, result, tokenizer)


def _segment(
    window: Window, start: float, end: float, tokens: list[int], result: DecodingResult, tokenizer: Tokenizer
) -> Segment:
    """With the keys of openai-whisper's segments in their order."""
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
    """Segments that take no time or hold no text keep their place and lose their content."""
    for segment in segments:
        if segment["start"] == segment["end"] or segment["text"].strip() == "":
            segment.update(text="", tokens=[], words=[])
