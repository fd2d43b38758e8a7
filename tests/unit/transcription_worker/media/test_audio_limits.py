"""An ffmpeg that stalls, takes too much or is killed gives a named failure and leaves no process and no file."""

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_worker.errors import WorkerError
from transcription_worker.media import ffmpeg
from transcription_worker.media.audio import open_audio

from tests.support.media import convert, make, open_split, write_long
from tests.support.processes import children

LONG_SECONDS = 20 * 3600  # some 10 s of ffmpeg's time


@pytest.fixture
def scratch(scratch: Path) -> Iterator[Path]:
    """Yield the scratch folder, and check that no process is left either."""
    yield scratch
    assert children() == []


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return write_long(tmp_path / "long.au", LONG_SECONDS)


def fields(process: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status; none if the process is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def peak_memory(process: int) -> int:
    """Return the peak memory of an ffmpeg in bytes; 0 until it runs, since before that the memory is its parent's."""
    said = fields(process)
    return int(said["VmHWM"].split()[0]) << 10 if said.get("Name") in ("ffmpeg", "ffprobe") and "VmHWM" in said else 0


def wait_until(probe: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until the probe returns a true value."""
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


def failure_while(path: Path, scratch: Path, act: Callable[[int], None]) -> WorkerError:
    """Return the failure of open_audio when `act` is called with ffmpeg's process as soon as it has written samples."""
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_audio, path, scratch)
        wait_until(lambda: [spool for spool in scratch.iterdir() if spool.stat().st_size])
        (process,) = children()
        assert fields(process)["Name"] == "ffmpeg"
        act(process)
        error = opening.exception(timeout=60)
    assert isinstance(error, WorkerError)
    return error


def test_a_stopped_ffmpeg_is_a_stall_and_is_killed(scratch: Path, long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        # The limit is set only now, since ffmpeg may need longer for its first sample on a busy machine.
        monkeypatch.setattr(ffmpeg, "STALL_SECONDS", 1.0)

    error = failure_while(long, scratch, stop)
    assert error.reason is reasons.UNSUPPORTED_MEDIA
    assert error.message == "cannot decode the source: ffmpeg gave nothing for 1 s"


def test_a_stopped_ffprobe_is_killed_too(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "PROBE_SECONDS", 0.001)
    with pytest.raises(WorkerError, match="ffprobe was not done after 0 s") as caught:
        open_split(make(tmp_path / "a.m4a"), scratch)
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, reasons.OUT_OF_MEMORY),
        (signal.SIGTERM, reasons.INTERRUPTED),
        (signal.SIGINT, reasons.INTERRUPTED),
        (signal.SIGSEGV, reasons.UNSUPPORTED_MEDIA),
    ],
)
def test_an_ffmpeg_that_is_ended_from_outside_says_by_what(
    scratch: Path, long: Path, number: signal.Signals, reason: reasons.Reason
) -> None:
    assert failure_while(long, scratch, lambda process: os.kill(process, number)).reason is reason


def test_decoding_has_a_limit_of_time(scratch: Path, long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "DECODE_SECONDS", 0.5)
    with pytest.raises(WorkerError, match="not done after 0 s") as caught:
        open_audio(long, scratch)
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA


def test_decoding_has_a_limit_of_cpu_time(scratch: Path, long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "CPU_LIMIT", 1)
    with pytest.raises(WorkerError, match="more than 1 s of CPU") as caught:
        open_audio(long, scratch)
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA


def test_the_limits_are_ffmpegs_own_from_its_start(scratch: Path, long: Path) -> None:
    seen: list[str] = []

    def look(process: int) -> None:
        seen.append(Path(f"/proc/{process}/limits").read_text())
        seen.append(Path(f"/proc/{process}/environ").read_text())
        os.kill(process, signal.SIGKILL)

    failure_while(long, scratch, look)
    limits = {line[:26].strip(): line[26:].split()[0] for line in seen[0].splitlines()}
    assert limits["Max address space"] == str(ffmpeg.MEMORY_LIMIT)
    assert limits["Max cpu time"] == str(ffmpeg.CPU_LIMIT)
    assert limits["Max file size"] == str(24 * 3600 * 32_000)
    assert limits["Max core file size"] == "0"
    names = {entry.split("=")[0] for entry in seen[1].split("\0") if entry}
    assert names <= {"PATH", "LD_LIBRARY_PATH", "LC_ALL", "MALLOC_ARENA_MAX"}, (
        "credentials are none of ffmpeg's business"
    )
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY, "the limit is not ours"


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Matroska file with 400 MB of attachments, of which ffmpeg holds four copies."""
    folder = tmp_path_factory.mktemp("greedy")
    path, attached = folder / "a.mkv", folder / "zeros"
    with attached.open("wb") as file:
        file.truncate(100 << 20)
    options = ["-attach", str(attached)] * 4
    convert(make(folder / "a.wav"), path, *options, "-metadata:s:t", "mimetype=application/octet-stream")
    return path


def test_an_ffmpeg_that_needs_more_memory_than_allowed_is_refused(
    scratch: Path, greedy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = 900 << 20
    monkeypatch.setattr(ffmpeg, "MEMORY_LIMIT", allowed)
    error, peak = refusal_and_peak(greedy, scratch)
    assert error.reason is reasons.UNSUPPORTED_MEDIA
    assert 200 << 20 < peak < allowed


@pytest.mark.parametrize(
    ("rate", "tag"),
    [
        pytest.param(2_130_722_432, b"", id="a filter of a gigabyte, which takes ffmpeg 18 s to compute"),
        pytest.param(44_100, b"LIST\xff\xff\xff\x7fINFOISFT\0\0\0\x40", id="a tag of a gigabyte"),
    ],
)
def test_ffmpeg_does_not_reserve_what_a_header_announces(tmp_path: Path, scratch: Path, rate: int, tag: bytes) -> None:
    path, samples = tmp_path / "a.wav", bytes(100_000)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, min(2 * rate, 2**32 - 1), 2, 16)
    parts = b"WAVE" + form + tag + b"data" + struct.pack("<I", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", len(parts)) + parts)
    error, peak = refusal_and_peak(path, scratch)
    assert error.reason is reasons.UNSUPPORTED_MEDIA
    assert 0 < peak < ffmpeg.BLOCK_LIMIT


def refusal_and_peak(path: Path, scratch: Path) -> tuple[WorkerError, int]:
    """Open a file that is refused, and return the error and the peak memory of the processes that were started."""
    peaks = [0]
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_audio, path, scratch)
        while not opening.done():
            peaks += [peak_memory(child) for child in children()]
            time.sleep(0.005)
        error = opening.exception()
    assert isinstance(error, WorkerError)
    return error, max(peaks)


def test_what_ffmpeg_says_is_kept_within_bounds(tmp_path: Path, scratch: Path) -> None:
    path = make(tmp_path / "a.mp3", seconds=600)
    content = bytearray(path.read_bytes())
    for at in range(5000, len(content), 1000):
        content[at : at + 100] = bytes(100)
    path.write_bytes(content)
    ended = ffmpeg.decode(ffmpeg.DecodeRequest(path, (ffmpeg.Output(os.open("/dev/null", os.O_WRONLY)),)))
    assert 1000 < len(ended.stderr) <= 2 << 16


# --- nothing is left behind

ABANDONED = """
import signal, sys
from pathlib import Path
from transcription_worker.media.audio import open_audio
class Abandoned(Exception): pass
def stop(*_): raise Abandoned
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 2)
try:
    open_audio(Path(sys.argv[1]), Path(sys.argv[2]))
except Abandoned:
    print("abandoned", Path("/proc/self/task/%d/children" % __import__("os").getpid()).read_text().split())
"""

KILLED = """
import sys
from pathlib import Path
from transcription_worker.media.audio import open_audio
open_audio(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_an_exception_in_the_middle_leaves_no_process_and_no_file(scratch: Path, long: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", ABANDONED, long, scratch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "abandoned []\n", done.stderr


def test_a_worker_that_is_killed_takes_its_ffmpeg_along(scratch: Path, long: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, long, scratch]) as worker:
        wait_until(lambda: [spool for spool in scratch.iterdir() if spool.stat().st_size])
        (process,) = children(worker.pid)
        assert fields(process)["Name"] == "ffmpeg"
        worker.kill()
    wait_until(lambda: fields(process).get("State") in (None, "Z (zombie)"))
    for left in scratch.iterdir():  # a file stays, as nobody was there to delete it
        left.unlink()


def test_one_that_fails_does_not_disturb_the_others(tmp_path: Path, scratch: Path, long: Path) -> None:
    good = make(tmp_path / "good.mp3")
    began = threading.Event()

    def open_good(_: int) -> int:
        began.wait(30)
        pcm = open_audio(good, scratch)
        pcm.close()
        return pcm.count

    with ThreadPoolExecutor(4) as pool:
        counts = pool.map(open_good, range(6))

        def act(process: int) -> None:
            began.set()
            os.kill(process, signal.SIGKILL)

        failing = threading.Thread(target=failure_while, args=(long, scratch, act))
        failing.start()
        failing.join()
        assert len(set(counts)) == 1


def test_a_missing_ffmpeg_is_named(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mp3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="ffmpeg is not on PATH"):
        open_audio(path, scratch)
