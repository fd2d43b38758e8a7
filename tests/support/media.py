"""Make media files with ffmpeg or byte by byte, and run a web server that records requests."""

import struct
import subprocess
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api.spec import AudioSelection, Channel
from transcription_worker.media import ffmpeg
from transcription_worker.media.audio import open_media
from transcription_worker.media.pcm_file import PcmFile

from tests.support.http_server import http_server

SAMPLE_RATE = 16_000  # Hz
_BIG_ENDIAN_S16 = 3  # AU's name for it

Pcm = np.ndarray[Any, np.dtype[np.int16]]


def make(path: Path, *output: str, audio: bool = True, video: bool = False, seconds: float = 1.3) -> Path:
    """Write a tone, a test picture or both with ffmpeg's output options."""
    command = ["ffmpeg", "-v", "error", "-y"]
    if audio:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
    if video:
        command += ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=5:duration={seconds}"]
    subprocess.run([*command, *output, path], check=True)
    return path


def convert(source: Path, path: Path, *output: str) -> Path:
    """Convert the source with ffmpeg's output options."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, *output, path], check=True)
    return path


def cut(source: Path, path: Path, share: float) -> Path:
    """Write the first `share` of a file's bytes."""
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def noise(seed: int, seconds: float, rate: int = SAMPLE_RATE, level: float = 3000.0) -> Pcm:
    """Return white noise whose standard deviation is `level`."""
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * rate)) * level
    return np.clip(drawn, -32768, 32767).astype(np.int16)


def write_channels(path: Path, channels: list[Pcm], rate: int = SAMPLE_RATE) -> Path:
    """Write a PCM WAVE file of these channels."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack(channels, axis=1).astype("<i2").tobytes())
    return path


def open_split(path: Path, scratch: Path) -> tuple[PcmFile, ...]:
    """Decode every channel apart."""
    return open_media(path, scratch, AudioSelection(channel=Channel.SPLIT)).channels


def write_long(path: Path, seconds: int, every: int = 1800) -> Path:
    """Write a long AU file that takes little disk: 10 s of noise every `every` seconds, and silence between as holes in the file."""
    with path.open("wb") as file:
        file.write(struct.pack(">4s5I", b".snd", 24, 0xFFFF_FFFF, _BIG_ENDIAN_S16, SAMPLE_RATE, 1))
        for start in range(0, seconds, every):
            file.seek(24 + start * SAMPLE_RATE * 2)
            file.write(noise(start, min(10, seconds - start)).astype(">i2").tobytes())
        file.truncate(24 + seconds * SAMPLE_RATE * 2)
    return path


@contextmanager
def canary(content: bytes) -> Iterator[tuple[str, list[str]]]:
    """Serve `content` on loopback for the block. Yields the address and the list of paths that were requested."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with http_server(Handler) as port:
        yield f"http://127.0.0.1:{port}", asked


def count_decoded_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of files is added each time that several are decoded in one ffmpeg."""
    counts: list[int] = []
    real = ffmpeg.decode_together

    def counted(requests: Sequence[ffmpeg.DecodeRequest]) -> ffmpeg.ProcessResult:
        counts.append(len(requests))
        return real(requests)

    monkeypatch.setattr(ffmpeg, "decode_together", counted)
    return counts
