"""The front end: from a media file to samples on disk, which an engine reads in pieces.

The samples are those of whisper.audio.load_audio. They lie in a file of the scratch folder, 115 MB an hour, so that no
length of audio fills the memory; docs/adr/0027 tells why.
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

MOST_CHANNELS = 16  # that are split: each is a transcript of its own
_FULL_SCALE = 32768.0
_READ_SAMPLES = 1 << 20  # at a time: the bytes of no more are held beside the result
_NO_SPACE = {b"No space left on device": errno.ENOSPC, b"Disk quota exceeded": errno.EDQUOT}
# The mixed channels need no ffmpeg's filter; of the others the number.
_NUMBERS = {Channel.MIX: None, Channel.LEFT: 0, Channel.RIGHT: 1}


class PcmFile:
    """Samples as s16le in a file, from a byte on: a protocol.Audio."""

    def __init__(self, file: IO[bytes], offset: int, count: int) -> None:
        """Takes the open file over. If it is a temporary one, closing deletes it."""
        self._file = file
        self._offset = offset
        self._count = count

    @property
    def count(self) -> int:
        return self._count

    def read(self, start: int, count: int) -> Samples:
        """As protocol.Audio.read. By pread: threads share no position, and nothing is mapped that would count as memory."""
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
        """As protocol.Audio.close; more than once is no error."""
        self._file.close()


def open_audio(path: Path, scratch: Path, channel: Channel = Channel.MIX) -> PcmFile:
    """Mono samples at 16 kHz of the first audio stream. Safe to call from several threads; no ffmpeg outlives the call.

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
    """As open_audio, every channel of the stream on its own, decoded in one pass."""
    _require_file(path)
    channels = find_audio_stream(path).channels
    if channels > MOST_CHANNELS:
        raise _refused(Channel.SPLIT, f"the audio has {channels} channels, expected at most {MOST_CHANNELS}")
    return _decode(path, scratch, range(channels))


def _require_file(path: Path) -> None:
    # A pipe would be waited for, a device has no end.
    if not path.is_file() or path.stat().st_size == 0:
        raise ffmpeg.unsupported("the file has 0 bytes" if path.is_file() else "it is no regular file")


def _open_plain(path: Path) -> PcmFile | None:
    """A file that holds its samples as Whisper wants them: there is nothing to convert."""
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
    # With a name as long as it is there: the kubelet counts it among the pod's ephemeral storage.
    return tempfile.NamedTemporaryFile(dir=scratch, prefix="samples-", suffix=".s16le", buffering=0)


def _require_success(path: Path, scratch: Path, result: ProcessResult) -> None:
    if result.returncode == 0:
        return
    for words, number in _NO_SPACE.items():
        if words in result.stderr:
            raise OSError(number, os.strerror(number), str(scratch))
    if lacks_index(path, result):
        raise WorkerError(reasons.MEDIA_TRUNCATED, "the file ends before its index (an mp4's moov box)")
    find_audio_stream(path)  # has a better word for it if there is none
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
