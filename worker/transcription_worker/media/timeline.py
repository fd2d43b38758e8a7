"""Where a file's time stamps leave gaps, which players play as silence.

A recording may begin after the file does, pause, or have lost frames to damage. Its samples then lie closer together than
its time stamps say, and every time after the gap would be early. A `Timeline` puts silence into the gaps as samples are
read; the samples themselves are never changed or dropped, so that a file without gaps is read as whisper.audio.load_audio
reads it.
"""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from transcription_worker.engines.protocol import SAMPLE_RATE

# A frame of every codec for speech is longer than this, and rounded time stamps jitter less: what begins so much after the
# frame before it has ended follows a gap.
LEAST_JUMP = 0.015  # seconds
# Gaps are filled once they come to this together: ffmpeg's own threshold (aresample's min_hard_comp).
LEAST_GAP = 0.1  # seconds
# Time stamps that count frames follow one another but for frames that are lost. If so many in a row do not, by more than the
# seconds that a resampler holds back, the count is wrong there: of frames that survive damage so many are never all alone.
MOST_APART = 20
LEAST_APART = 0.001
_ENDLESS = 1 << 62
_TIME_BASE = b"#tb 0: "


@dataclass(frozen=True)
class Gap:
    """`count` samples of silence before the stored sample `position`."""

    position: int
    count: int


@dataclass(frozen=True)
class Piece:
    """Stored samples [stored, stored + count), which lie at `at` on the timeline."""

    at: int
    stored: int
    count: int


class Timeline:
    """Maps times to stored samples, with silence in the gaps. All numbers count samples."""

    def __init__(self, gaps: Sequence[Gap] = ()) -> None:
        self._pieces: list[Piece] = []
        stored = silence = 0
        for gap in gaps:
            self._pieces.append(Piece(stored + silence, stored, gap.position - stored))
            stored, silence = gap.position, silence + gap.count
        self._pieces.append(Piece(stored + silence, stored, _ENDLESS))
        self._starts = [piece.at for piece in self._pieces]
        self.silence = silence

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the stored samples in [start, end) of the timeline; between them is silence."""
        for piece in self._pieces[max(bisect.bisect_right(self._starts, start) - 1, 0) :]:
            if piece.at >= end:
                return
            skipped = max(start - piece.at, 0)
            count = min(piece.count - skipped, end - piece.at - skipped)
            if count > 0:
                yield Piece(piece.at + skipped, piece.stored + skipped, count)


def find_gaps(lines: Iterable[bytes], start: float, counted: bool = False, own_clock: bool = False) -> list[Gap]:
    """Return the gaps in what ffmpeg's framecrc muxer says about frames of samples, in samples at SAMPLE_RATE.

    A line has a frame's stream, dts, pts, duration, size and checksum; times are in units that the header names. `start` is
    the time of the time stamp 0 on the file's clock, in seconds; with `own_clock` only if the first time stamp is before it.
    Time stamps that go back leave no gap: samples follow one another then. `counted` says that the file has none, so that
    ffmpeg counts frames: it counts on at the first sample rate where the file changes to another, and then leaves gaps that
    are none.
    """
    clock = _CountedClock() if counted else _Clock()
    seconds = 1 / SAMPLE_RATE
    first = True
    for line in lines:
        fields = line.split(b",")
        if line.startswith(_TIME_BASE):
            seconds = float(Fraction(line.removeprefix(_TIME_BASE).decode()))
        if line.startswith(b"#") or len(fields) < 6:
            continue
        at, duration = int(fields[2]) * seconds, int(fields[3]) * seconds
        if first and own_clock and at > start - LEAST_GAP:
            start = 0.0
        first = False
        clock.add(start + at, duration)
    return clock.gaps


class _Clock:
    """Compares the time stamps of frames with the samples before them. All times are seconds."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._stored = self._silence = self._end = 0.0

    def add(self, at: float, duration: float) -> None:
        """Take the next frame, and remember the gap before it if there is one."""
        late = at - (self._stored + self._silence)
        if late >= LEAST_GAP and at - self._end >= LEAST_JUMP:
            self.gaps.append(Gap(round(self._stored * SAMPLE_RATE), round(late * SAMPLE_RATE)))
            self._silence += late
        self._stored, self._end = self._stored + duration, at + duration


class _CountedClock(_Clock):
    """Does not believe time stamps while they do not follow one another frame after frame."""

    def __init__(self) -> None:
        super().__init__()
        self._apart = 0  # frames in a row
        self._ahead = 0.0  # how far the count is ahead of what is believed
        self._before = (0, 0.0, 0.0)  # the number of gaps, the silence and the lateness before these frames

    def add(self, at: float, duration: float) -> None:
        if abs(at - self._ahead - self._end) <= LEAST_APART:
            self._apart = 0
        else:
            self._apart += 1
        if self._apart == 0:
            self._before = (len(self.gaps), self._silence, at - self._ahead - self._stored - self._silence)
        elif self._apart >= MOST_APART:
            self._forget(at)
        super().add(at - self._ahead, duration)

    def _forget(self, at: float) -> None:
        """Take back the gaps of these frames, and count on from the samples."""
        count, self._silence, late = self._before
        del self.gaps[count:]
        self._ahead = at - (self._stored + self._silence + late)
        self._end = at - self._ahead
