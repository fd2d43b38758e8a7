"""What is transcribed of one media file: its mixed channels, one of them, or each on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transcription_api.spec import AudioSelection, Channel, Clip

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio
from transcription_worker.media import ffmpeg
from transcription_worker.media.audio import Decode, Media, open_media


@dataclass(frozen=True)
class Track:
    """Audio that is transcribed on its own. `channel` counts from 0; it is None unless channels are transcribed apart."""

    audio: Audio
    channel: int | None = None


def open_tracks(
    path: Path, scratch: Path, selection: AudioSelection, decode: Decode = ffmpeg.decode
) -> tuple[tuple[Track, ...], Media]:
    """Decode a media file into the scratch folder. The clips of the selection are the engine's.

    Raises:
        WorkerError: UnsupportedMedia, NoAudioStream, MediaTruncated, AudioTooLong, OutOfMemory, Interrupted.
        OSError: the scratch folder is full.
    """
    media = open_media(path, scratch, selection, decode)
    apart = selection.channel is Channel.SPLIT
    return tuple(Track(audio, number if apart else None) for number, audio in enumerate(media.channels)), media


def selected_seconds(audio: Audio, clips: Sequence[Clip]) -> float:
    """Return the seconds of audio that are transcribed: all of them, or those of the clips."""
    total = audio.count / SAMPLE_RATE
    if not clips:
        return total
    ends = [total if clip.end is None else min(clip.end, total) for clip in clips]
    return sum(max(0.0, end - clip.start) for clip, end in zip(clips, ends, strict=True))
