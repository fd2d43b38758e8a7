"""Decode media files to samples on disk, which an engine reads in pieces.

The samples equal those of whisper.audio.load_audio. They are kept in a file in the scratch folder, 115 MB per hour of
audio, so that long audio does not fill the memory; docs/adr/0027 explains why.
"""

import errno
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from transcription_api import reasons
from transcription_api.spec import Channel

from transcription_worker.engines.protocol import SAMPLE_RATE, Samples
from transcription_worker.errors import WorkerError
from transcription_worker.media import ffmpeg, wav
from transcription_worker.media.ffmpeg import SAMPLE_BYTES, Output, ProcessResult
from transcription_worker.media.streams import find_audio_stream
from transcription_worker.media.truncation import lacks_index, missing_seconds

log = logging.getLogger(__name__)

MOST_CHANNELS = 16  # the most that are split, since each channel becomes a transcript of its own
_FULL_SCALE = 32768.0
_READ_SAMPLES = 1 << 20  # the samples read at a time, whose bytes are held in memory beside the result
_NO_SPACE = {b"No space left on device": errno.ENOSPC, b"Disk quota exceeded": errno.EDQUOT}
# The number of the channel that ffmpeg's pan filter selects; None mixes all channels without a filter.
_NUMBERS = {Channel.MIX: None, Channel.LEFT: 0, Channel.RIGHT: 1}


class PcmFile:
    """Implement protocol.Audio over a file that holds `count` samples as s16le from the byte `offset` on."""

    def __init__(self, file: IO[bytes], offset: int, count: int) -> None:
        """Take ownership of the open file. A temporary file is deleted when it is closed."""
        self._file = file
        self._offset = offset
        self._count = count

    @property
    def count(self) -> int:
        return self._count

    def read(self, start: int, count: int) -> Samples:
        """Return float32 samples of shape (up to `count`,); see `protocol.Audio.read`.

        It uses pread, so that threads share no file position and no mapped pages count as memory.

        Raises:
            OSError: EIO, if the file was cut off while it was read.
        """
        start = min(start, self._count)
        samples = np.empty(min(count, self._count - start), np.float32)
        for at in range(0, samples.size, _READ_SAMPLES):
            part = samples[at : at + _READ_SAMPLES]
            part[:] = self._pcm(start + at, part.size)
        samples /= _FULL_SCALE
        return samples

    def _pcm(self, start: int, count: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
        taken = os.pread(self._file.fileno(), count * SAMPLE_BYTES, self._offset + start * SAMPLE_BYTES)
        if len(taken) != count * SAMPLE_BYTES:
            raise OSError(errno.EIO, "the samples were cut off while they were read", self._file.name)
        return np.frombuffer(taken, np.dtype("<i2"))

    def close(self) -> None:
        """Close the file; see `protocol.Audio.close`. Closing it more than once is no error."""
        self._file.close()


def open_audio(path: Path, scratch: Path, channel: Channel = Channel.MIX) -> PcmFile:
    """Decode the first audio stream to mono samples at 16 kHz.

    It is safe to call from several threads, and no ffmpeg process outlives the call.

    Raises:
        WorkerError: UnsupportedMedia, NoAudioStream, MediaTruncated, AudioTooLong; OutOfMemory, Interrupted.
        OSError: the scratch folder is full.
    """
    _require_file(path)
    if channel is Channel.MIX and (plain := _open_plain(path)) is not None:
        return plain
    number = _NUMBERS[channel]
    if number and (channels := find_audio_stream(path).channels) <= number:
        raise _refused(channel, f"the audio has {channels} channel, expected at least {number + 1}")
    return _decode(path, scratch, [number])[0]


def open_split(path: Path, scratch: Path) -> list[PcmFile]:
    """Decode every channel of the first audio stream to a PcmFile of its own, in one pass.

    Raises:
        WorkerError: as in `open_audio`; UnsupportedMedia also for more than MOST_CHANNELS channels.
        OSError: the scratch folder is full.
    """
    _require_file(path)
    channels = find_audio_stream(path).channels
    if channels > MOST_CHANNELS:
        raise _refused(Channel.SPLIT, f"the audio has {channels} channels, expected at most {MOST_CHANNELS}")
    return _decode(path, scratch, range(channels))


def _require_file(path: Path) -> None:
    # Reading a pipe could block forever, and a device has no end.
    if not path.is_file() or path.stat().st_size == 0:
        raise ffmpeg.unsupported("the file has 0 bytes" if path.is_file() else "it is no regular file")


def _open_plain(path: Path) -> PcmFile | None:
    """Open a file that already holds the samples that Whisper needs; return None if it must be converted."""
    header = wav.read_header(path)
    count = None if header is None else wav.plain_samples(header, SAMPLE_RATE)
    if header is None or not count:
        return None
    if count > ffmpeg.LONGEST_SECONDS * SAMPLE_RATE:
        raise ffmpeg.too_long()
    return PcmFile(path.open("rb", buffering=0), header.offset, count)


def _decode(path: Path, scratch: Path, channels: Sequence[int | None]) -> list[PcmFile]:
    with ExitStack() as opened:
        spools = [opened.enter_context(_new_spool(scratch)) for _ in channels]
        outputs = [Output(spool.fileno(), channel) for spool, channel in zip(spools, channels, strict=True)]
        result = ffmpeg.decode(path, outputs)
        counts = [os.fstat(spool.fileno()).st_size // SAMPLE_BYTES for spool in spools]
        _require_success(path, scratch, result)
        _require_whole(path, max(counts) / SAMPLE_RATE, result)
        opened.pop_all()
    return [PcmFile(spool, 0, count) for spool, count in zip(spools, counts, strict=True)]


def _new_spool(scratch: Path) -> IO[bytes]:
    # The file keeps its name while it is open, so that the kubelet counts it as the pod's ephemeral storage.
    return tempfile.NamedTemporaryFile(dir=scratch, prefix="samples-", suffix=".s16le", buffering=0)


def _require_success(path: Path, scratch: Path, result: ProcessResult) -> None:
    if result.returncode == 0:
        return
    for words, number in _NO_SPACE.items():
        if words in result.stderr:
            raise OSError(number, os.strerror(number), str(scratch))
    if lacks_index(path, result):
        raise WorkerError(reasons.MEDIA_TRUNCATED, "the file ends before its index (an mp4's moov box)")
    find_audio_stream(path)  # raises a more precise error if there is no audio stream
    raise ffmpeg.unsupported(result.first_error())


def _require_whole(path: Path, decoded: float, result: ProcessResult) -> None:
    if missing := missing_seconds(path, decoded, result):
        words = f"{decoded:.1f} s of audio could be decoded, the header announces {missing:.1f} s more"
        raise WorkerError(reasons.MEDIA_TRUNCATED, words)
    if decoded == 0:
        raise WorkerError(reasons.UNSUPPORTED_MEDIA, "the audio stream holds no samples")
    if b"[error]" in result.stderr:
        log.warning("damaged media, decoded as far as it goes: %s", result.first_error())


def _refused(channel: Channel, words: str) -> WorkerError:
    return WorkerError(reasons.UNSUPPORTED_MEDIA, f"spec.audio.channel: {channel.value}: {words}")
