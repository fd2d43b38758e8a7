"""Read which streams a media file has, with ffprobe."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.media import ffmpeg

_ENTRIES = "stream=codec_type,channels,duration:format=duration"


@dataclass(frozen=True)
class AudioStream:
    """The first audio stream of a file.

    `seconds` is the stream's duration in the header, or else the file's; None if the header gives neither.
    """

    channels: int
    seconds: float | None


def find_audio_stream(path: Path) -> AudioStream:
    """Return the first audio stream of the file.

    Raises:
        WorkerError: UnsupportedMedia, NoAudioStream.
    """
    result, out = ffmpeg.show(path, _ENTRIES)
    if result.returncode != 0:
        raise ffmpeg.unsupported(result.first_error())
    shown: dict[str, Any] = json.loads(out or b"{}")
    streams = shown.get("streams", [])
    for stream in streams:
        if stream.get("codec_type") == "audio":
            if not stream.get("channels"):  # the file only looks like audio to ffprobe
                raise ffmpeg.unsupported("the audio stream has no channels")
            seconds = stream.get("duration") or shown.get("format", {}).get("duration")
            return AudioStream(int(stream["channels"]), None if seconds is None else float(seconds))
    kinds = ", ".join(sorted({str(stream.get("codec_type")) for stream in streams})) or "none"
    raise WorkerError(reasons.NO_AUDIO_STREAM, f"the file's streams: {kinds}; expected audio")
