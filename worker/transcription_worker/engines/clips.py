"""Clips of a file: as frames, as arguments of openai-whisper, and the progress through them."""

from collections.abc import Callable

from transcription_api.spec import Clip
from whisper.audio import FRAMES_PER_SECOND

from transcription_worker.engines.protocol import Options

FrameRange = tuple[int, int]  # start and end, in frames of 10 ms


def clip_timestamps(clips: tuple[Clip, ...]) -> list[float]:
    """Starts and ends in turn, as whisper.transcribe takes them; a last clip without an end goes to the end of the audio."""
    return [point for clip in clips for point in (clip.start, clip.end) if point is not None] or [0.0]


def frame_clips(options: Options, frames: int) -> list[FrameRange]:
    """The frames to transcribe of a file with this many frames: all of them, or the clips as far as there is audio."""
    if not options.clips:
        return [(0, frames)]
    ends = [frames if clip.end is None else min(frames, round(clip.end * FRAMES_PER_SECOND)) for clip in options.clips]
    return [(round(clip.start * FRAMES_PER_SECOND), end) for clip, end in zip(options.clips, ends, strict=True)]


def clip_progress(clips: list[FrameRange], on_progress: Callable[[float], None]) -> Callable[[float], None]:
    """Return a callback that takes a place in the file, in seconds, and reports how many seconds of clips lie before it."""

    def advance(place: float) -> None:
        frame = place * FRAMES_PER_SECOND
        on_progress(sum(max(0.0, min(frame, end) - start) for start, end in clips) / FRAMES_PER_SECOND)

    return advance
