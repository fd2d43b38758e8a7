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
# Time stamps that count frames follow one another but for frames that are lost. If more than this share of them does not, by
# more than the seconds that a resampler holds back, the count is wrong.
MOST_APART = 0.05
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


def find_gaps(lines: Iterable[bytes], start: float, counted: bool = False) -> list[Gap]:
    """Return the gaps in what ffmpeg's framecrc muxer says about frames of samples, in samples at SAMPLE_RATE.

    A line has a frame's stream, dts, pts, duration, size and checksum; times are in units that the header names. `start` is
    the time of the time stamp 0 on the file's clock, in seconds. Time stamps that go back leave no gap: samples follow one
    another then. `counted` says that the file has none, so that ffmpeg counts frames: it counts on at the first sample rate
    where the file changes to another, and then leaves gaps that are none.
    """
    gaps: list[Gap] = []
    frames = apart = 0
    stored = end = silence = 0.0
    seconds = 1 / SAMPLE_RATE
    for line in lines:
        fields = line.split(b",")
        if line.startswith(_TIME_BASE):
            seconds = float(Fraction(line.removeprefix(_TIME_BASE).decode()))
        if line.startswith(b"#") or len(fields) < 6:
            continue
        at, duration = start + int(fields[2]) * seconds, int(fields[3]) * seconds
        frames, apart = frames + 1, apart + (abs(at - end) > LEAST_APART)
        late = at - (stored + silence)
        if late >= LEAST_GAP and at - end >= LEAST_JUMP:
            gaps.append(Gap(round(stored * SAMPLE_RATE), round(late * SAMPLE_RATE)))
            silence += late
        stored, end = stored + duration, at + duration
    return [] if counted and apart > MOST_APART * frames else gaps
