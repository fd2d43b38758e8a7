"""The model over one file's audio: mixed, one of its channels, or each channel on its own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transcription_api.spec import Channel, Clip, Spec

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio, Engine, Input, Options, Transcript
from transcription_worker.media.audio import open_audio, open_split
from transcription_worker.progress import Board


@dataclass(frozen=True)
class Track:
    """What is transcribed on its own. `channel` from 0, of a split file."""

    audio: Audio
    channel: int | None = None


@dataclass(frozen=True)
class Transcribed:
    """A track's text."""

    transcript: Transcript
    channel: int | None = None


@dataclass(frozen=True)
class Work:
    """All tracks, in their order. `wall_seconds` is of the transcription alone, without the model's loading."""

    tracks: tuple[Transcribed, ...]
    wall_seconds: float


def options_of(spec: Spec) -> Options:
    """What the engine is asked for."""
    language = None if spec.language == "auto" else spec.language
    return Options(spec.task, language, spec.decoding, spec.language_detection, spec.audio.clips, spec.quality)


def open_tracks(path: Path, scratch: Path, channel: Channel) -> list[Track]:
    """Decodes the file. Raises WorkerError: UnsupportedMedia, NoAudioStream, MediaTruncated, AudioTooLong."""
    if channel is Channel.SPLIT:
        return [Track(audio, number) for number, audio in enumerate(open_split(path, scratch))]
    return [Track(open_audio(path, scratch, channel))]


def asked_seconds(audio: Audio, clips: Sequence[Clip]) -> float:
    """Of the audio, or of those parts of it that are asked for."""
    total = audio.count / SAMPLE_RATE
    if not clips:
        return total
    ends = [total if clip.end is None else min(clip.end, total) for clip in clips]
    return sum(max(0.0, end - clip.start) for clip, end in zip(clips, ends, strict=True))


def transcribe_tracks(engine: Engine, tracks: Sequence[Track], options: Options, board: Board) -> Work:
    """Side by side, as far as the engine does that. Raises WorkerError with the reason of the first that fails."""

    def of(number: int, track: Track) -> Input:
        return Input(
            id=str(number),
            open=lambda: track.audio,
            options=options,
            on_progress=lambda seconds: board.advance(seconds, number),
            # The status has room for one language.
            on_language=lambda found: board.note(language=found) if number == 0 else None,
        )

    began = time.monotonic()
    inputs = [of(number, track) for number, track in enumerate(tracks)]
    done = {outcome.id: outcome.value() for outcome in engine.transcribe(inputs)}
    wall = time.monotonic() - began
    return Work(tuple(Transcribed(done[str(number)], track.channel) for number, track in enumerate(tracks)), wall)
