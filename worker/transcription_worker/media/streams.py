"""Read which audio tracks a media file has and when it begins, with ffprobe."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.media import boxes, ffmpeg
from transcription_worker.media.reading import AS_USUAL, Reading

_ENTRIES = "stream=codec_type,codec_name,channels,start_time,duration:stream_disposition=default:format=format_name,start_time,duration"
# Formats whose time stamps count from the start of the recording, which may be before the first of them. In others, such
# as a transport stream, they begin anywhere.
_FROM_ZERO = {"mov", "matroska"}
# Formats whose time stamps ffmpeg may count from the start of the track that is decoded (AVFMT_TS_DISCONT): Ogg's since its
# version 6. In all others they count from the start of the first track.
_FROM_TRACK = {"mpeg", "mpegts", "ogg"}
# Formats without time stamps, of which ffmpeg counts the frames.
_COUNTED = {"aac", "ac3", "amr", "amrnb", "amrwb", "dts", "dtshd", "eac3", "flac", "loas", "mp3"}
_NO_INDEX = b"moov atom not found"  # ffmpeg's message about an mp4 that ends before its index


@dataclass(frozen=True)
class AudioTrack:
    """One audio stream of a file.

    `number` counts the file's audio streams from 0. `start` is the time in seconds, on the clock that players show, of what
    ffmpeg gives the time stamp 0; with `own_clock` that holds only if the track's first time stamp is before it. `seconds` is
    the duration in the header, or else the file's; None if the header gives neither. `decodable` is False where ffmpeg knows no
    decoder or found no sound in it.
    """

    number: int
    channels: int
    start: float
    own_clock: bool
    seconds: float | None
    is_default: bool
    decodable: bool


@dataclass(frozen=True)
class Streams:
    """The audio tracks of a file, at least one, and how they were found.

    `counted` is True where the format has no time stamps, so that ffmpeg counts frames.
    """

    tracks: tuple[AudioTrack, ...]
    reading: Reading
    counted: bool = False

    def choose(self, wanted: int | None) -> AudioTrack:
        """Return the wanted track, or else the one that players play: the first that is marked as default, or the first.

        Raises:
            WorkerError: UnsupportedMedia, if there is no such track or it cannot be decoded.
        """
        if wanted is not None and wanted >= len(self.tracks):
            count = len(self.tracks)
            words = (
                f"got {wanted}, expected less than {count}: the number of audio tracks in the file, which count from 0"
            )
            raise WorkerError(reasons.UNSUPPORTED_MEDIA, f"spec.audio.track: {words}")
        offered = [track for track in self.tracks if track.decodable] if wanted is None else [self.tracks[wanted]]
        chosen = next((track for track in offered if track.is_default), offered[0] if offered else self.tracks[0])
        if not chosen.decodable:  # the file only looks like audio to ffprobe
            raise ffmpeg.unsupported("the audio stream has no channels, or ffmpeg has no decoder for it")
        return chosen


def find_streams(path: Path, reading: Reading = AS_USUAL) -> Streams:
    """Return the audio tracks of the file. It is searched further where its start holds no sound that can be decoded.

    Raises:
        WorkerError: UnsupportedMedia, NoAudioStream; MediaTruncated, if an mp4 or mov lacks its index.
    """
    shown = _show(path, reading)
    tracks = _tracks(path, shown)
    if not any(track.decodable for track in tracks) and not reading.deep:
        reading = dataclasses.replace(reading, deep=True)
        shown = _show(path, reading)
        tracks = _tracks(path, shown)
    if not tracks:
        kinds = ", ".join(sorted({str(stream.get("codec_type")) for stream in shown.get("streams", [])})) or "none"
        raise WorkerError(reasons.NO_AUDIO_STREAM, f"the file's streams: {kinds}; expected audio")
    return Streams(tracks, reading, bool(_names(shown.get("format", {})) & _COUNTED))


def _show(path: Path, reading: Reading) -> dict[str, Any]:
    result, out = ffmpeg.show(path, _ENTRIES, reading)
    if _NO_INDEX in result.stderr and boxes.begins_with_box(path):
        raise WorkerError(reasons.MEDIA_TRUNCATED, "the file ends before its index (an mp4's moov box)")
    if result.returncode != 0:
        raise ffmpeg.unsupported(result.first_error())
    shown: dict[str, Any] = json.loads(out or b"{}")
    return shown


def _tracks(path: Path, shown: dict[str, Any]) -> tuple[AudioTrack, ...]:
    whole: dict[str, Any] = shown.get("format", {})
    streams = [stream for stream in shown.get("streams", []) if stream.get("codec_type") == "audio"]
    return tuple(_track(path, number, stream, whole) for number, stream in enumerate(streams))


def _track(path: Path, number: int, stream: dict[str, Any], whole: dict[str, Any]) -> AudioTrack:
    channels = int(stream.get("channels") or 0)
    seconds = stream.get("duration") or whole.get("duration")
    return AudioTrack(
        number=number,
        channels=channels,
        start=_start(path, stream, whole),
        own_clock=bool(_names(whole) & _FROM_TRACK),
        seconds=None if seconds is None else float(seconds),
        is_default=bool(stream.get("disposition", {}).get("default")),
        decodable=channels > 0 and stream.get("codec_name", "unknown") not in ("unknown", "none"),
    )


def _start(path: Path, stream: dict[str, Any], whole: dict[str, Any]) -> float:
    names = _names(whole)
    first, seconds = float(whole.get("start_time") or 0.0), float(whole.get("duration") or 0.0)
    if names & _FROM_TRACK:
        return max(float(stream.get("start_time") or first) - first, 0.0)
    # In a fragment of a longer stream it is the time since that stream began, which is none of the file's.
    if names & _FROM_ZERO and 0.0 < first < seconds and not boxes.is_fragmented(path):
        return first
    return 0.0


def _names(whole: dict[str, Any]) -> set[str]:
    return set(str(whole.get("format_name")).split(","))
