"""Decode media files to samples on disk: each sample as whisper.audio.load_audio has it, and silence where time stamps leave gaps."""

import dataclasses
import errno
import logging
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from transcription_api import reasons
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import AudioSelection, Channel, Truncated

from transcription_worker.engines.protocol import SAMPLE_RATE
from transcription_worker.errors import WorkerError
from transcription_worker.media import boxes, ffmpeg, wav
from transcription_worker.media.cancellation import find_cancelled, is_mostly_quiet, levels
from transcription_worker.media.ffmpeg import SAMPLE_BYTES, Clock, DecodeRequest, Output, ProcessResult
from transcription_worker.media.joined_files import find_following
from transcription_worker.media.pcm_file import PcmFile
from transcription_worker.media.reading import Reading, leading_zeros
from transcription_worker.media.single_track import has_single_track
from transcription_worker.media.streams import Streams, find_streams
from transcription_worker.media.timeline import Timeline, find_gaps
from transcription_worker.media.truncation import Shortfall, find_shortfall

log = logging.getLogger(__name__)

# Decodes one file, as ffmpeg.decode does, which may have it done together with others.
Decode = Callable[[DecodeRequest], ProcessResult]

_NO_SPACE = {b"No space left on device": errno.ENOSPC, b"Disk quota exceeded": errno.EDQUOT}
# The number of the channel that ffmpeg's pan filter selects; None mixes all channels without a filter.
_NUMBERS = {Channel.MIX: None, Channel.LEFT: 0, Channel.RIGHT: 1}
# ffmpeg's words about channels without the names of their speakers. It takes the third of three, the fourth of six and others
# for those of a speaker that a mix leaves out, such as a subwoofer, and does not mix numbers that it knows no speakers for.
_NO_SPEAKERS = re.compile(rb"Guessed Channel Layout[^\n]*: (?!mono|stereo)|Rematrix is needed between")
_MOST_MIXED = 64  # channels of ffmpeg's filter pan
# First bytes of formats that hold one audio track and no time stamps, so that ffprobe need not be asked: FLAC, AIFF, AU,
# WavPack, True Audio, Monkey's Audio, AMR, and mp3 with a tag. A WAVE file is told by its header.
_ONE_TRACK = (b"fLaC", b"FORM", b".snd", b"wvpk", b"TTA1", b"MAC ", b"#!AM", b"ID3\x02", b"ID3\x03", b"ID3\x04")


@dataclass(frozen=True)
class Media:
    """A file that is decoded: the samples of its mix or of the chosen channel, or those of every channel.

    `track` is the audio track that they are from, of `tracks` in the file; both are None where the format has but one.
    `warnings` are sentences about what is wrong with the file.
    """

    channels: tuple[PcmFile, ...]
    track: int | None = None
    tracks: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """What is known of a file before it is decoded.

    `streams` is None where they need not be asked for, and `tracks` where the format has but one.
    """

    path: Path
    scratch: Path
    track: int
    reading: Reading
    streams: Streams | None
    header: wav.Wav | None
    tracks: int | None
    decode: Decode


def open_audio(path: Path, scratch: Path, channel: Channel = Channel.MIX) -> PcmFile:
    """Decode the mix or one channel of the file's own choice of track; see `open_media`."""
    (pcm,) = open_media(path, scratch, AudioSelection(channel=channel)).channels
    return pcm


def open_media(path: Path, scratch: Path, selection: AudioSelection, decode: Decode = ffmpeg.decode) -> Media:
    """Decode one audio track to mono samples at 16 kHz: the mix, one channel, or every channel apart in one pass.

    It is safe to call from several threads, and no ffmpeg process outlives the call.

    Raises:
        WorkerError: UnsupportedMedia, also for more than MAX_SPLIT_CHANNELS channels to split; NoAudioStream, MediaTruncated,
            AudioTooLong; OutOfMemory, Interrupted.
        OSError: the scratch folder is full.
    """
    _require_file(path)
    header = wav.read_header(path)
    following = find_following(path)
    plain = None if header is None else _open_plain(path, header, selection)
    media = plain or _open_decoded(_look(path, scratch, header, selection.track, decode), selection)
    if following is None:
        return media
    words = f"another file begins at byte {following}, as where files are joined: nothing was taken of it"
    return dataclasses.replace(media, warnings=(*media.warnings, words))


def _require_file(path: Path) -> None:
    # Reading a pipe could block forever, and a device has no end.
    if not path.is_file() or path.stat().st_size == 0:
        raise ffmpeg.unsupported("the file has 0 bytes" if path.is_file() else "it is no regular file")


def _open_plain(path: Path, header: wav.Wav, selection: AudioSelection) -> Media | None:
    """Open a file that already holds the samples that Whisper needs; return None if it must be converted."""
    count = wav.plain_samples(header, SAMPLE_RATE)
    if not count or selection.channel is not Channel.MIX or selection.track:
        return None
    if count > ffmpeg.LONGEST_SECONDS * SAMPLE_RATE:
        raise ffmpeg.too_long()
    shortfall = find_shortfall(path, header.seconds, ProcessResult(0, b""), 0, None)
    warnings = _warnings(header, header.seconds, shortfall, selection.truncated)
    return Media((PcmFile(path.open("rb", buffering=0), header.offset, count),), warnings=warnings)


def _look(path: Path, scratch: Path, header: wav.Wav | None, track: int | None, decode: Decode) -> _File:
    """Choose the track. ffprobe takes as long as decoding a minute of mp3, and is asked only where there may be several."""
    reading = Reading(leading_zeros(path), to_the_end=header is not None and header.surplus_seconds > 0)
    if not track:
        if header or _has_one_track(path):
            return _File(path, scratch, 0, reading, None, header, None, decode)
        if has_single_track(path):
            return _File(path, scratch, 0, reading, None, header, 1, decode)
    streams = find_streams(path, reading)
    number, tracks = streams.choose(track).number, len(streams.tracks)
    return _File(path, scratch, number, streams.reading, streams, header, tracks, decode)


def _has_one_track(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _ONE_TRACK


def _open_decoded(file: _File, selection: AudioSelection) -> Media:
    if file.track in boxes.encrypted_sound(file.path):
        raise ffmpeg.unsupported("the sound is encrypted, expected a file without protection")
    numbers = _channels(file, selection.channel)
    with ExitStack() as opened:
        channels, result = _decode(file, numbers)
        for pcm in channels:
            opened.callback(pcm.close)
        decoded = max(pcm.count for pcm in channels) / SAMPLE_RATE
        shortfall = find_shortfall(file.path, decoded, result, file.track, file.streams)
        warnings = _warnings(file.header, decoded, shortfall, selection.truncated)
        if decoded == 0:
            # It raises a more precise error if the file shows one.
            (file.streams or find_streams(file.path, file.reading)).choose(file.track)
            raise WorkerError(reasons.UNSUPPORTED_MEDIA, "the audio stream holds no samples")
        if b"[error]" in result.stderr:
            warnings += (f"damaged media, decoded as far as it goes: {result.first_error()}",)
        if selection.channel is Channel.MIX and (apart := _open_cancelled(file, channels[0])) is not None:
            number, channels = apart
            warnings += (f"the channels cancel each other out when they are mixed: channel {number} alone was taken",)
            opened.close()
        opened.pop_all()
    return Media(tuple(channels), None if file.tracks is None else file.track, file.tracks, warnings)


def _channels(file: _File, channel: Channel) -> Sequence[int | None]:
    """Return the numbers of the channels that are decoded.

    Raises:
        WorkerError: UnsupportedMedia, if the track lacks the channel or has too many to split.
    """
    if channel is not Channel.SPLIT and not _NUMBERS[channel]:
        return [_NUMBERS[channel]]
    count = _channel_count(file)
    if channel is Channel.SPLIT:
        if count > MAX_SPLIT_CHANNELS:
            raise _refused(channel, f"the audio has {count} channels, expected at most {MAX_SPLIT_CHANNELS}")
        return range(count)
    if count < 2:
        raise _refused(channel, f"the audio has {count} channel, expected at least 2")
    return [_NUMBERS[channel]]


def _channel_count(file: _File) -> int:
    return _known_channels(file) or find_streams(file.path, file.reading).tracks[file.track].channels


def _known_channels(file: _File) -> int | None:
    if file.streams:
        return file.streams.tracks[file.track].channels
    return file.header.channels if file.header else None


def _decode(file: _File, channels: Sequence[int | None], alike: int = 0) -> tuple[list[PcmFile], ProcessResult]:
    with ExitStack() as opened:
        clock, *spools = [opened.enter_context(_new_spool(file.scratch)) for _ in range(len(channels) + 1)]
        outputs = [Output(spool.fileno(), channel, alike) for spool, channel in zip(spools, channels, strict=True)]
        request = DecodeRequest(file.path, (*outputs, Clock(clock.fileno())), file.track, file.reading)
        result = file.decode(request)
        if not (mixed := None in channels and not alike and _count_without_speakers(file, result)):
            counts = [os.fstat(spool.fileno()).st_size // SAMPLE_BYTES for spool in spools]
            _require_success(file, result)
            timeline = _timeline(clock, max(counts), file)
            opened.pop_all()
            clock.close()
    if mixed:
        return _decode(file, channels, mixed)
    return [PcmFile(spool, 0, count, timeline) for spool, count in zip(spools, counts, strict=True)], result


def _count_without_speakers(file: _File, result: ProcessResult) -> int:
    """Return the number of channels whose speakers the file does not name; 0 where ffmpeg's mix has all that they say."""
    if not _NO_SPEAKERS.search(result.stderr):
        return 0
    count = _channel_count(file)
    return count if 2 < count <= _MOST_MIXED else 0


def _new_spool(scratch: Path) -> IO[bytes]:
    # The file keeps its name while it is open, so that the kubelet counts it as the pod's ephemeral storage.
    return tempfile.NamedTemporaryFile(dir=scratch, prefix="samples-", suffix=".s16le", buffering=0)


def _timeline(clock: IO[bytes], stored: int, file: _File) -> Timeline:
    track = file.streams.tracks[file.track] if file.streams else None
    counted = file.streams.counted if file.streams else _counts_frames(file.path)
    with open(clock.fileno(), "rb", closefd=False) as lines:
        lines.seek(0)
        gaps = find_gaps(lines, track.start, counted, track.own_clock) if track else find_gaps(lines, 0.0, counted)
        timeline = Timeline(gaps)
    if stored + timeline.silence > ffmpeg.LONGEST_SECONDS * SAMPLE_RATE:
        log.warning("the time stamps leave gaps of %.0f s: they are not believed", timeline.silence / SAMPLE_RATE)
        return Timeline()
    return timeline


def _counts_frames(path: Path) -> bool:
    """Return whether a file of one track is mp3, AMR or FLAC, of which ffmpeg counts the frames.

    In the others a frame's place tells its time, or it has a time stamp.
    """
    with path.open("rb") as file:
        head = file.read(4)
    return head[:1] == b"\xff" or head[:3] == b"ID3" or head in (b"#!AM", b"fLaC")


def _require_success(file: _File, result: ProcessResult) -> None:
    if result.returncode == 0:
        return
    for words, number in _NO_SPACE.items():
        if words in result.stderr:
            raise OSError(number, os.strerror(number), str(file.scratch))
    find_streams(file.path, file.reading).choose(file.track)  # raises a more precise error if the file shows one
    raise ffmpeg.unsupported(result.first_error())


def _warnings(
    header: wav.Wav | None, decoded: float, shortfall: Shortfall | None, truncated: Truncated | None
) -> tuple[str, ...]:
    """Return sentences about a header that is wrong.

    Raises:
        WorkerError: MediaTruncated, if the file lacks audio and the spec or the file's own look says that it is cut off.
    """
    if header and header.surplus_seconds:
        announced = header.seconds - header.surplus_seconds
        return (
            f"the header announces {announced:.1f} s of audio, the file holds {header.seconds:.1f} s: all was taken",
        )
    if shortfall is None:
        return ()
    words = f"{decoded:.1f} s of audio could be decoded, the header announces {shortfall.seconds:.1f} s more"
    if truncated is Truncated.FAIL or (truncated is None and shortfall.certain):
        raise WorkerError(reasons.MEDIA_TRUNCATED, words)
    return (words,)


def _open_cancelled(file: _File, mix: PcmFile) -> tuple[int, list[PcmFile]] | None:
    """Return the loudest channel and its number if the mix lost it; None in all other cases."""
    if _known_channels(file) == 1 or not is_mostly_quiet(mixed := levels(mix)):
        return None
    if not 1 < (count := _channel_count(file)) <= MAX_SPLIT_CHANNELS:
        return None
    channels, _ = _decode(file, range(count))
    chosen = find_cancelled(mixed, [levels(channel) for channel in channels])
    for number, channel in enumerate(channels):
        if number != chosen:
            channel.close()
    return None if chosen is None else (chosen, [channels[chosen]])


def _refused(channel: Channel, words: str) -> WorkerError:
    return WorkerError(reasons.UNSUPPORTED_MEDIA, f"spec.audio.channel: {channel.value}: {words}")
