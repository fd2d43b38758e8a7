"""The checkpoint of an input is that of its parts together, which several threads transcribe in any order."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whisper.audio import FRAMES_PER_SECOND, N_FRAMES

from transcription_worker.engines.clips import FrameRange
from transcription_worker.engines.protocol import Checkpoints, InputCheckpoint, Options, PartCheckpoint
from transcription_worker.engines.vocabulary import Vocabulary


class CheckpointCollector:
    """Gives the input's checkpoint to `checkpoints` each time that one of its parts has come further.

    parts: the clips of each part, in frames. begun: what the input's own checkpoint has beside `parts` and `seconds`, and the
    parts of the checkpoint that the engine goes on from.
    """

    def __init__(self, checkpoints: Checkpoints, parts: Sequence[Sequence[FrameRange]], begun: InputCheckpoint) -> None:
        self._checkpoints, self._parts, self._begun = checkpoints, parts, begun
        self._done = {part.number: part for part in begun.parts}
        self._lock = threading.Lock()

    def take(self, part: PartCheckpoint) -> None:
        """Take the checkpoint of one part in place of those before."""
        with self._lock:
            self._done[part.number] = part
            done = tuple(self._done.values())
            self._checkpoints.keep(replace(self._begun, seconds=seconds_done(self._parts, done), parts=done))


def seconds_done(parts: Sequence[Sequence[FrameRange]], done: Iterable[PartCheckpoint]) -> float:
    """Seconds of audio before the checkpoints of some parts. parts: the clips of each, in frames."""
    frames = 0
    for part in done:
        clips = parts[part.number]
        frames += sum(end - start for start, end in clips[: part.clip])
        start, end = clips[part.clip]
        frames += min(max(part.seek - start, 0), end - start)
    return float(frames / FRAMES_PER_SECOND)


@dataclass(frozen=True)
class Resumable:
    """What a checkpoint must agree with: anybody who may write to the bucket may have written it.

    samples, frames: of the audio. parts: the clips of each part, in frames.
    """

    options: Options
    vocabulary: Vocabulary
    precision: str
    samples: int
    frames: int
    parts: Sequence[Sequence[FrameRange]]

    def fits(self, found: InputCheckpoint) -> bool:
        """Whether the engine can go on from the checkpoint."""
        if (found.precision, found.samples) != (self.precision, self.samples):
            return False
        if found.language not in self.vocabulary.languages or self.options.language not in (None, found.language):
            return False
        return all(self._fits_part(part) for part in found.parts)

    def _fits_part(self, part: PartCheckpoint) -> bool:
        if part.number not in range(len(self.parts)):
            return False
        clips = self.parts[part.number]
        # The last word of a window may end after its clip, in the silence that the window is filled up with.
        inside = 0 <= part.clip < len(clips) and clips[part.clip][0] <= part.seek <= self.frames + N_FRAMES
        known = all(0 <= token < self.vocabulary.size for token in part.tokens)
        timed = not self.options.decoding.word_timestamps or all("words" in one for one in part.segments)
        return inside and known and timed and 0 <= part.reset_since <= len(part.tokens)
