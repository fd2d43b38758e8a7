"""Audio cut at silences into pieces of at most 30 s, for decoding them side by side. Where nobody speaks there is no piece."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio
from transcription_worker.engines.speech.loudness import FRAMES_PER_SECOND as LEVELS_PER_SECOND
from transcription_worker.engines.speech.loudness import frame_levels, quietest_frame
from transcription_worker.engines.speech.voice_activity import find_speech

# Times are whole frames of the spectrogram in here, 10 ms each: the decoder seeks by them.
FRAMES_PER_SECOND = 100
HOP = SAMPLE_RATE // FRAMES_PER_SECOND  # samples
LONGEST = 30 * FRAMES_PER_SECOND  # frames: one window
MARGIN = 30  # frames kept before and after speech. The detector's edges are off by up to 0.13 s on the synthetic speech
CALM = 60  # frames. A cut in a silence so long is as good as any
HASTE = 0.5  # pieces more that are worth it to avoid a cut without any silence
QUIET_WIDTH = LEVELS_PER_SECOND // 5  # levels, 0.2 s: speech without pauses is cut in the quietest such stretch


@dataclass(frozen=True)
class Piece:
    """Seconds from the start of the audio, in whole hundredths."""

    start: float
    end: float


@dataclass(frozen=True)
class Stretch:
    """Frames [start, end) in which somebody speaks."""

    start: int
    end: int


def find_pieces(audio: Audio, clips: Sequence[tuple[float, float | None]] = ()) -> list[Piece]:
    """Pieces of the clips, in order, none longer than 30 s, none overlapping another.

    `clips`: starts and ends in seconds, None for the audio's end; no clips: all of the audio. The pieces are as few as
    possible and cut in the longest silences that allow it: in the middle of a short one; of a longer one 0.3 s are kept at
    either side, and the rest is left out. The audio is read in blocks.
    """
    pieces: list[Piece] = []
    for first, last in _ranges(audio, clips):
        speech = [
            Stretch(start // HOP, min(last, -(-end // HOP)))
            for start, end in find_speech(audio, first * HOP, last * HOP)
        ]
        pieces += join(list(_split_long(audio, speech)), first, last)
    return pieces


def _ranges(audio: Audio, clips: Sequence[tuple[float, float | None]]) -> Iterator[tuple[int, int]]:
    content = audio.count // HOP
    for start, end in clips or ((0.0, None),):
        first = round(start * FRAMES_PER_SECOND)
        last = content if end is None else min(content, round(end * FRAMES_PER_SECOND))
        if first < last:
            yield first, last


def join(speech: Sequence[Stretch], first: int, last: int) -> list[Piece]:
    """The fewest pieces of the frames [first, last) that hold all of `speech`; see HASTE for the exception.

    By dynamic programming: the best pieces up to one stretch are the best ones up to an earlier one and one piece more.
    """
    if not speech:
        return []
    edges = _edges(speech, first, last)
    cost, origin = [0.0], [0]  # of the first so many stretches, and where their last piece begins
    for end in range(len(speech)):
        best, begin = math.inf, end
        for start in range(end, -1, -1):
            if edges[end][1] - edges[start][0] > LONGEST:
                break
            if (here := cost[start] + 1 + _haste(speech, start)) < best:
                best, begin = here, start
        cost.append(best)
        origin.append(begin)
    return _pieces(edges, origin)


def _pieces(edges: Sequence[tuple[int, int]], origin: Sequence[int]) -> list[Piece]:
    pieces, end = [], len(edges)
    while end:
        start = origin[end]
        pieces.append(Piece(edges[start][0] / FRAMES_PER_SECOND, edges[end - 1][1] / FRAMES_PER_SECOND))
        end = start
    return pieces[::-1]


def _gap(speech: Sequence[Stretch], index: int) -> int:
    """Frames of silence before a stretch."""
    return speech[index].start - speech[index - 1].end


def _haste(speech: Sequence[Stretch], index: int) -> float:
    """What it costs to cut before a stretch, in pieces."""
    return HASTE * max(0.0, 1 - _gap(speech, index) / CALM) if index else 0.0


def _edges(speech: Sequence[Stretch], first: int, last: int) -> list[tuple[int, int]]:
    """For each stretch, where a piece begins or ends with it: in the middle of the silence, at most MARGIN off the speech."""
    starts, ends = [max(first, speech[0].start - MARGIN)], []
    for index in range(1, len(speech)):
        gap = _gap(speech, index)
        ends.append(speech[index - 1].end + min(MARGIN, gap // 2))
        starts.append(speech[index].start - min(MARGIN, gap - gap // 2))
    ends.append(min(last, speech[-1].end + MARGIN))
    return list(zip(starts, ends, strict=True))


def _split_long(audio: Audio, speech: Sequence[Stretch]) -> Iterator[Stretch]:
    """Speech without a pause for longer than a window allows is cut at its quietest place."""
    longest = LONGEST - 2 * MARGIN
    for stretch in speech:
        while stretch.end - stretch.start > longest:
            # Neither part is to be shorter than the other needs it to be.
            earliest = stretch.start + min(longest // 2, (stretch.end - stretch.start) // 3)
            cut = _quietest(audio, earliest, stretch.start + longest)
            yield Stretch(stretch.start, cut)
            stretch = Stretch(cut, stretch.end)  # noqa: PLW2901
        yield stretch


def _quietest(audio: Audio, start: int, end: int) -> int:
    levels = frame_levels(audio.read(start * HOP, (end - start) * HOP))
    return start + quietest_frame(levels, QUIET_WIDTH) * FRAMES_PER_SECOND // LEVELS_PER_SECOND
