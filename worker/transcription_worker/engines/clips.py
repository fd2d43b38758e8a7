"""Clips of a file: as frames, as openai-whisper takes them, and how much of them is done."""

from collections.abc import Callable

from transcription_api.spec import Clip
from whisper.audio import FRAMES_PER_SECOND

from transcription_worker.engines.protocol import Options

FrameRange = tuple[int, int]  # start and end, in frames of 10 ms


def clip_timestamps(clips: tuple[Clip, ...]) -> list[float]:
    """Starts and ends in turn, as transcribe takes them; a last clip without an end goes to the end of the audio."""
    return [point for clip in clips for point in (clip.start, clip.end) if point is not None] or [0.0]


def frame_clips(options: Options, frames: int) -> list[FrameRange]:
    """Frames to transcribe: all, or the clips asked for as far as there is audio."""
    if not options.clips:
        return [(0, frames)]
    ends = [frames if clip.end is None else min(frames, round(clip.end * FRAMES_PER_SECOND)) for clip in options.clips]
    return [(round(clip.start * FRAMES_PER_SECOND), end) for clip, end in zip(options.clips, ends, strict=True)]


def within(clips: list[FrameRange], tell: Callable[[float], None]) -> Callable[[float], None]:
    """To be told a place in the file, in seconds: tells on how many seconds of the clips lie before it."""

    def advance(place: float) -> None:
        frame = place * FRAMES_PER_SECOND
        tell(sum(max(0.0, min(frame, end) - start) for start, end in clips) / FRAMES_PER_SECOND)

    return advance
