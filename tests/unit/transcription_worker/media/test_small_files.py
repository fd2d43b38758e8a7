"""Small files that wait at the same time are decoded in one ffmpeg, each to the samples that it has alone."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from transcription_worker.media import ffmpeg, small_files
from transcription_worker.media.ffmpeg import Clock, DecodeRequest, Output, ProcessResult
from transcription_worker.media.reading import Reading
from transcription_worker.media.small_files import MOST_TOGETHER, SmallFileDecoder

from tests.support.media import count_decoded_together, make

FORMATS = {
    "a.mp3": ["-q:a", "5"],
    "untagged.mp3": ["-write_xing", "0", "-id3v2_version", "0"],
    "a.m4a": ["-ac", "2"],
    "a.opus": ["-acodec", "libopus"],
    "a.ogg": ["-acodec", "libvorbis"],
    "a.webm": ["-acodec", "libopus"],
    "a.flac": [],
    "stereo.wav": ["-ac", "2"],
    "phone.wav": ["-acodec", "pcm_mulaw", "-ar", "8000"],
    "a.aac": ["-f", "adts"],
    "a.ts": [],
    "a.wma": [],
    "late.mkv": ["-af", "adelay=0", "-output_ts_offset", "0.7"],
    "fragments.mp4": ["-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000"],
}


@dataclass
class Decoded:
    """What ffmpeg wrote for one file, and what it said."""

    samples: bytes
    clock: bytes
    said: ProcessResult


def decoded(path: Path, decode: Callable[[DecodeRequest], ProcessResult], reading: Reading = Reading()) -> Decoded:  # noqa: B008
    with tempfile.TemporaryFile() as samples, tempfile.TemporaryFile() as clock:
        outputs = (Output(samples.fileno()), Clock(clock.fileno()))
        said = decode(DecodeRequest(path, outputs, reading=reading))
        for file in (samples, clock):
            file.seek(0)
        return Decoded(samples.read(), clock.read(), said)


def alone(path: Path) -> Decoded:
    return decoded(path, ffmpeg.decode)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of files is added each time that several are decoded in one ffmpeg."""
    return count_decoded_together(monkeypatch)


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list["Future[Decoded]"]]]:
    """Return a function that has files decoded with one process, which is busy until all of them wait for it."""
    first, let_go, real = make(tmp_path / "first.mp3"), threading.Event(), ffmpeg.decode

    def waits(request: DecodeRequest) -> ProcessResult:
        if request.path == first:
            assert let_go.wait(30)
        return real(request)

    monkeypatch.setattr(ffmpeg, "decode", waits)
    with ExitStack() as opened:

        def decode(paths: list[Path], decoder: SmallFileDecoder | None = None) -> list["Future[Decoded]"]:
            threads = opened.enter_context(ThreadPoolExecutor(len(paths) + 1))
            decoder = decoder or SmallFileDecoder(1)
            let_go.clear()
            threads.submit(decoded, first, decoder.decode)
            waiting = []
            for path in paths:
                time.sleep(0.02)  # so that they wait in this order
                waiting.append(threads.submit(decoded, path, decoder.decode))
            time.sleep(0.05)
            let_go.set()
            return waiting

        yield decode


Busy = Callable[..., list["Future[Decoded]"]]


def test_files_of_every_format_have_the_samples_and_time_stamps_of_a_decoding_alone(
    tmp_path: Path, busy: Busy, together: list[int]
) -> None:
    paths = [make(tmp_path / name, *options) for name, options in FORMATS.items()]
    for path, waiting in zip(paths, busy(paths), strict=True):
        expected, found = alone(path), waiting.result(60)
        assert len(found.samples) > 30_000, path.name
        assert found.samples == expected.samples, path.name
        assert found.clock == expected.clock, path.name
        assert found.said == ProcessResult(0, b"")
    assert together == [MOST_TOGETHER, len(paths) - MOST_TOGETHER]


def test_a_damaged_file_spoils_no_other_and_is_told_what_is_wrong_with_it(
    tmp_path: Path, busy: Busy, together: list[int]
) -> None:
    good = [make(tmp_path / f"{number}.m4a", seconds=1 + number / 10) for number in range(3)]
    content = bytearray(make(tmp_path / "damaged.m4a").read_bytes())
    content[1000:1200] = bytes(200)
    damaged = tmp_path / "damaged.m4a"
    damaged.write_bytes(content)
    nothing = tmp_path / "nothing.mp3"
    nothing.write_bytes(b"no audio at all")
    *others, bad, none = busy([*good, damaged, nothing])
    for path, waiting in zip(good, others, strict=True):
        assert waiting.result(60) == alone(path)
    assert together == [5]
    assert bad.result(60).samples == alone(damaged).samples
    assert b"[error]" in bad.result(60).said.stderr
    assert none.result(60).said.returncode != 0
    assert none.result(60).said.first_error() == alone(nothing).said.first_error()


@pytest.mark.parametrize(("limit", "value"), [("TOGETHER_SECONDS", 0.0), ("TOGETHER_BYTES", 4096)])
def test_files_that_are_together_more_than_the_limits_allow_are_decoded_alone(
    tmp_path: Path, busy: Busy, together: list[int], monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(ffmpeg, limit, value)
    monkeypatch.setattr(ffmpeg, "_TICK_SECONDS", 0.001)
    paths = [make(tmp_path / f"{number}.opus", "-acodec", "libopus") for number in range(3)]
    waiting = busy(paths)
    assert [one.result(60) for one in waiting] == [alone(path) for path in paths]
    assert together == [3]


def test_after_files_that_could_not_be_decoded_together_more_and_more_are_decoded_alone(
    tmp_path: Path, busy: Busy, together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_files, "LEAST_ALONE", 4)
    good, bad = make(tmp_path / "a.mp3"), tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio at all")
    decoder = SmallFileDecoder(1)
    for paths in ([good, bad], [good] * 3, [good] * 6, [good] * 3):
        for waiting in busy(paths, decoder):
            waiting.result(60)
    # Of 8 that are decoded alone after the first two are those two, 3 and 1 with 2 that keep the process busy.
    assert together == [2, 5, 3]


def test_what_is_large_or_must_be_searched_deeply_is_decoded_alone(
    tmp_path: Path, together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.mp3")
    decoder = SmallFileDecoder(1)
    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(lambda _: decoded(path, decoder.decode, Reading(deep=True)).samples, range(6)))) == 1
        monkeypatch.setattr(small_files, "SMALL_BYTES", 1000)
        assert len(set(threads.map(lambda _: decoded(path, decoder.decode).samples, range(6)))) == 1
    assert together == []


def test_a_file_that_is_gone_is_the_failure_of_whoever_asked_for_it(tmp_path: Path, busy: Busy) -> None:
    path, gone = make(tmp_path / "a.mp3"), tmp_path / "gone.mp3"
    first, second, third = busy([path, gone, path])
    assert isinstance(second.exception(60), FileNotFoundError)
    assert first.result(60) == third.result(60) == alone(path)
