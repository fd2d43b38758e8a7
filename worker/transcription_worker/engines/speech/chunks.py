"""Cut audio at silences into chunks of at most 30 s, to decode them side by side. Where nobody speaks there is no chunk."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio
from transcription_worker.engines.speech.loudness import FRAMES_PER_SECOND as LEVELS_PER_SECOND
from transcription_worker.engines.speech.loudness import frame_levels, quietest_frame
from transcription_worker.engines.speech.voice_activity import find_speech

# Times here are whole frames of the log-mel spectrogram, 10 ms each: the decoder seeks by them.
FRAMES_PER_SECOND = 100
HOP = SAMPLE_RATE // FRAMES_PER_SECOND  # samples
MAX_CHUNK = 30 * FRAMES_PER_SECOND  # frames: one window
# Frames kept before and after speech. On the synthetic speech of the tests the detector's edges are off by up to 0.13 s.
PADDING = 30
LONG_SILENCE = 60  # frames; cuts in silences at least this long are equally good
CUT_PENALTY = 0.5  # in chunks: what it is worth to avoid a cut without any silence
QUIET_WIDTH = (
    LEVELS_PER_SECOND // 5
)  # levels, 0.2 s: speech without pauses is cut in the quietest stretch of this length


@dataclass(frozen=True)
class Chunk:
    """Seconds from the start of the audio, in whole hundredths."""

    start: float
    end: float


@dataclass(frozen=True)
class SpeechSpan:
    """Frames [start, end) in which somebody speaks."""

    start: int
    end: int


def find_chunks(audio: Audio, clips: Sequence[tuple[float, float | None]] = ()) -> list[Chunk]:
    """Chunks of the clips, in order, none longer than 30 s and none overlapping another.

    clips: starts and ends in seconds, None for the end of the audio; no clips for all of the audio.

    There are as few chunks as possible, cut at the longest silences that allow this. A short silence is cut in its middle;
    of a longer one 0.3 s stay on either side, and the rest is left out. The audio is read in blocks.
    """
    chunks: list[Chunk] = []
    for first, last in _ranges(audio, clips):
        speech = [
            SpeechSpan(start // HOP, min(last, -(-end // HOP)))
            for start, end in find_speech(audio, first * HOP, last * HOP)
        ]
        chunks += merge_speech(list(_split_long(audio, speech)), first, last)
    return chunks


def _ranges(audio: Audio, clips: Sequence[tuple[float, float | None]]) -> Iterator[tuple[int, int]]:
    content = audio.count // HOP
    for start, end in clips or ((0.0, None),):
        first = round(start * FRAMES_PER_SECOND)
        last = content if end is None else min(content, round(end * FRAMES_PER_SECOND))
        if first < last:
            yield first, last


def merge_speech(speech: Sequence[SpeechSpan], first: int, last: int) -> list[Chunk]:
    """The fewest chunks of the frames [first, last) that hold all of `speech`; see CUT_PENALTY for the exception.

    Dynamic programming: the best chunks up to a span are the best ones up to an earlier span and one more chunk.
    """
    if not speech:
        return []
    edges = _edges(speech, first, last)
    cost, origin = [0.0], [0]  # of the first n spans, and the span with which their last chunk begins
    for end in range(len(speech)):
        best, begin = math.inf, end
        for start in range(end, -1, -1):
            if edges[end][1] - edges[start][0] > MAX_CHUNK:
                break
            if (here := cost[start] + 1 + _cut_penalty(speech, start)) < best:
                best, begin = here, start
        cost.append(best)
        origin.append(begin)
    return _chunks(edges, origin)


def _chunks(edges: Sequence[tuple[int, int]], origin: Sequence[int]) -> list[Chunk]:
    chunks, end = [], len(edges)
    while end:
        start = origin[end]
        chunks.append(Chunk(edges[start][0] / FRAMES_PER_SECOND, edges[end - 1][1] / FRAMES_PER_SECOND))
        end = start
    return chunks[::-1]


def _gap(speech: Sequence[SpeechSpan], index: int) -> int:
    """Frames of silence before a span."""
    return speech[index].start - speech[index - 1].end


def _cut_penalty(speech: Sequence[SpeechSpan], index: int) -> float:
    """What a cut before a span costs, in chunks."""
    return CUT_PENALTY * max(0.0, 1 - _gap(speech, index) / LONG_SILENCE) if index else 0.0


def _edges(speech: Sequence[SpeechSpan], first: int, last: int) -> list[tuple[int, int]]:
    """Where a chunk begins and ends with each span: in the middle of the silence, at most PADDING frames off the speech."""
    starts, ends = [max(first, speech[0].start - PADDING)], []
    for index in range(1, len(speech)):
        gap = _gap(speech, index)
        ends.append(speech[index - 1].end + min(PADDING, gap // 2))
        starts.append(speech[index].start - min(PADDING, gap - gap // 2))
    ends.append(min(last, speech[-1].end + PADDING))
    return list(zip(starts, ends, strict=True))


def _split_long(audio: Audio, speech: Sequence[SpeechSpan]) -> Iterator[SpeechSpan]:
    """Cut spans that are longer than a chunk at their quietest place."""
    longest = MAX_CHUNK - 2 * PADDING
    for span in speech:
        while span.end - span.start > longest:
            # Neither part may become so short that the other needs more cuts.
            earliest = span.start + min(longest // 2, (span.end - span.start) // 3)
            cut = _quietest(audio, earliest, span.start + longest)
            yield SpeechSpan(span.start, cut)
            span = SpeechSpan(cut, span.end)  # noqa: PLW2901
        yield span


def _quietest(audio: Audio, start: int, end: int) -> int:
    levels = frame_levels(audio.read(start * HOP, (end - start) * HOP))
    return start + quietest_frame(levels, QUIET_WIDTH) * FRAMES_PER_SECOND // LEVELS_PER_SECOND
