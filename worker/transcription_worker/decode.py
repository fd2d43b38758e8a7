"""From a media file to samples, by ffmpeg: the same samples as whisper.audio.load_audio gives, from untrusted files.

ffmpeg reads the one local file: protocols are limited to file and pipe, and formats to those that hold their own data,
so that no playlist, manifest or list of files makes it open anything else.
"""

import json
import logging
import re
import resource
import selectors
import subprocess
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from transcription_api import reasons

from transcription_worker.errors import WorkerError

log = logging.getLogger(__name__)

Samples = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_RATE = 16_000  # Hz, what Whisper was trained on
SAMPLE_BYTES = 2  # s16le

# Demuxers, as `ffmpeg -demuxers` names them. Not hls, dash, concat, applehttp, sdp, image2 and the like.
FORMATS = (
    "aac ac3 aiff amr amrnb amrwb ape asf au avi caf dsf dts dtshd eac3 flac flv gsm loas matroska webm mov mp4 m4a "
    "3gp 3g2 mj2 mp3 mpc mpc8 mpeg mpegts mpegtsraw mxf nistsphere ogg oma rm shn spdif sox tak truehd tta voc w64 wav wv xwma"
).split()

# What an unfamiliar or hostile file may cost.
MEMORY_LIMIT = 4 << 30  # bytes of address space for one ffmpeg
CPU_LIMIT = 3600  # seconds of CPU; an hour decodes some 10 days of audio
STALL_SECONDS = 120.0  # without a byte out of ffmpeg
PROBE_SECONDS = 120.0
LONGEST_SECONDS = 24 * 3600  # of audio; 5.5 GB of samples
_CHUNK = 1 << 20

# shared by ffprobe and ffmpeg, before the input
_INPUT = ["-v", "error", "-protocol_whitelist", "file,pipe", "-format_whitelist", ",".join(FORMATS)]


def decode_audio(path: Path) -> Samples:
    """Mono float32 samples in [-1, 1) at 16 kHz of the first audio stream.

    Raises:
        WorkerError: UnsupportedMedia or NoAudioStream.
    """
    _require_audio_stream(path)
    pcm = _decode(path)
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    samples /= 32768.0
    if samples.size == 0:
        raise WorkerError(reasons.UNSUPPORTED_MEDIA, "the audio stream holds no samples")
    return samples


def _require_audio_stream(path: Path) -> None:
    command = ["ffprobe", *_INPUT, "-show_entries", "stream=codec_type", "-of", "json", f"file:{path}"]
    with _start(command) as process:
        try:
            out, err = process.communicate(timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise _unsupported(f"ffprobe was not done after {PROBE_SECONDS:.0f} s") from None
    if process.returncode != 0:
        raise _unsupported(_last_words(err, process.returncode))
    kinds = [stream.get("codec_type") for stream in json.loads(out or b"{}").get("streams", [])]
    if "audio" not in kinds:
        seen = ", ".join(sorted({str(kind) for kind in kinds})) or "none"
        raise WorkerError(reasons.NO_AUDIO_STREAM, f"the file's streams: {seen}; expected audio")


def _decode(path: Path) -> bytes | bytearray:
    # As whisper.audio.load_audio, but for the limits and the stream that is named.
    command = ["ffmpeg", "-nostdin", *_INPUT, "-threads", "1", "-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-filter_threads", "1"]
    command += ["-f", "s16le", "-ac", "1", "-acodec", "pcm_s16le", "-ar", str(SAMPLE_RATE), "-"]
    with _start(command) as process:
        try:
            pcm, words = _read(process)
        finally:
            process.kill()
    if process.returncode != 0:
        raise _unsupported(_last_words(words, process.returncode))
    return pcm


def _read(process: subprocess.Popen[bytes]) -> tuple[bytearray, bytes]:
    """All of stdout and stderr, as they come; the process has ended or is to be ended when this returns or raises."""
    out, err = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
    taken = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in taken:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout=STALL_SECONDS)
            if not ready:
                raise _unsupported(f"ffmpeg gave nothing for {STALL_SECONDS:.0f} s")
            for key, _ in ready:
                _take(selector, key.fileobj, taken)
            if len(taken[out]) > LONGEST_SECONDS * SAMPLE_RATE * SAMPLE_BYTES:
                raise _unsupported(f"more than {LONGEST_SECONDS // 3600} hours of audio")
    process.wait()
    return taken[out], bytes(taken[err])


def _take(selector: selectors.BaseSelector, pipe: Any, taken: dict[Any, bytearray]) -> None:
    if chunk := pipe.read(_CHUNK):  # unbuffered: what is there
        taken[pipe] += chunk
    else:
        selector.unregister(pipe)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    # From outside, right after the start: preexec_fn is unsafe in a program with threads.
    try:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    except ProcessLookupError:
        log.debug("%s ended before its limits were set", command[0])
    return process


def _last_words(stderr: bytes, returncode: int) -> str:
    """ffmpeg's last line, without addresses and paths."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    last = re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ?|file:\S+: ?", "", lines[-1] if lines else "").strip()
    return f"ffmpeg exits with {returncode}: {last[:200] or 'no words'}"


def _unsupported(words: str) -> WorkerError:
    return WorkerError(reasons.UNSUPPORTED_MEDIA, f"cannot decode the source: {words}")
