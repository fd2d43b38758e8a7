"""Clips of a file: as frames, as arguments of openai-whisper, and the progress through them."""

from collections.abc import Callable

from whisper.audio import FRAMES_PER_SECOND

from transcription_worker.engines.protocol import Options

FrameRange = tuple[int, int]  # start and end, in frames of 10 ms


def clip_timestamps(options: Options, frames: int) -> list[float]:
    """Starts and ends in turn, in seconds, as whisper.transcribe takes them; [0.0] for all of a file with this many frames.

    No clip goes beyond the audio, because whisper.transcribe would wait there for ever.
    """
    if not options.clips:
        return [0.0]
    points = [frame / FRAMES_PER_SECOND for clip in frame_clips(options, frames) for frame in clip]
    return points or [0.0, 0.0]


def frame_clips(options: Options, frames: int) -> list[FrameRange]:
    """The frames to transcribe of a file with this many frames: all of them, or the clips as far as there is audio.

    A clip that begins beyond the audio is left out.
    """
    if not options.clips:
        return [(0, frames)]
    ends = [frames if clip.end is None else min(frames, round(clip.end * FRAMES_PER_SECOND)) for clip in options.clips]
    starts = [round(clip.start * FRAMES_PER_SECOND) for clip in options.clips]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def clip_progress(clips: list[FrameRange], on_progress: Callable[[float], None]) -> Callable[[float], None]:
    """Return a callback that takes a place in the file, in seconds, and reports how many seconds of clips lie before it."""

    def advance(place: float) -> None:
        frame = place * FRAMES_PER_SECOND
        on_progress(sum(max(0.0, min(frame, end) - start) for start, end in clips) / FRAMES_PER_SECOND)

    return advance
