"""Run ffmpeg and ffprobe under limits, on one local file that is not trusted.

Protocols are limited to files and formats to those that hold their own data, so that no playlist, manifest or list of
files makes them open anything else. They inherit none of our environment but _ENVIRONMENT, and end when this program ends.
"""

import os
import re
import resource
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from transcription_api import reasons

from transcription_worker.engines.protocol import SAMPLE_RATE
from transcription_worker.errors import WorkerError
from transcription_worker.media.reading import AS_USUAL, Reading
from transcription_worker.shortage import EXHAUSTED

SAMPLE_BYTES = 2  # s16le

# Limits on what an unfamiliar or hostile file may cost.
MEMORY_LIMIT = 2 << 30  # bytes of address space for one ffmpeg: its libraries take 0.3 GB, audio 60 MB more
# Bytes that ffmpeg reserves at once. The index of a day of pictures takes 125 MB. A header that announces a tag of 2 GB, or two
# billion samples a second, would have it reserve and fill as much.
BLOCK_LIMIT = 256 << 20
CPU_LIMIT = 3600  # seconds of CPU; an hour decodes some 10 days of audio
DECODE_SECONDS = 7200.0  # wall-clock time for a whole file
STALL_SECONDS = 120.0  # wall-clock time in which ffmpeg writes no sample
PROBE_SECONDS = 120.0
LONGEST_SECONDS = 24 * 3600  # seconds of audio, which are 2.8 GB of samples per channel
# The same for several small files in one ffmpeg. Where they do not hold, each file is decoded alone.
TOGETHER_CPU_LIMIT = 30
TOGETHER_SECONDS = 30.0
TOGETHER_BYTES = 64 << 20  # of samples of one file, which are 35 minutes

_TICK_SECONDS = 1.0  # how often the size of the output is checked
_STDERR_KEPT = 1 << 16  # bytes of stderr that are kept, both of its start and of its end
_INTERRUPTED = 255  # ffmpeg's exit code after SIGINT, SIGTERM or SIGXCPU
# The only variables of our environment that ffmpeg sees: it needs no credentials, and its messages must not be translated.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH")
# Each of ffmpeg's threads would reserve 64 MB of address space for its allocations.
_SETTINGS = {"LC_ALL": "C", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Output:
    """An open file descriptor, and the channel that is written to it: 0 is the first, and None mixes all of them.

    `alike` is the number of channels where all are mixed at the same volume. With 0 ffmpeg mixes them by the speakers that
    they are for.
    """

    fd: int
    channel: int | None = None
    alike: int = 0

    def arguments(self, number: int, track: int) -> list[str]:
        """Return the options that make ffmpeg write this output of an audio track of the input of that number."""
        mix = "<" + "+".join(f"c{number}" for number in range(self.alike)) if self.alike else ""
        chosen = mix if self.channel is None else f"=c{self.channel}"
        channel = ["-af", f"pan=mono|c0{chosen}"] if chosen else []
        form = ["-f", "s16le", "-ac", "1", "-acodec", "pcm_s16le", "-ar", str(SAMPLE_RATE)]
        return [*_only(number, track), *channel, *form, f"pipe:{self.fd}"]


@dataclass(frozen=True)
class Clock:
    """An open file descriptor, to which lines of ffmpeg's framecrc muxer are written: the time stamp of each decoded frame."""

    fd: int

    def arguments(self, number: int, track: int) -> list[str]:
        """Return the options that make ffmpeg write the time stamps of an audio track, at its own sample rate."""
        return [*_only(number, track), "-f", "framecrc", "-acodec", "pcm_s16le", f"pipe:{self.fd}"]


def _only(number: int, track: int) -> list[str]:
    return ["-map", f"{number}:a:{track}", "-vn", "-sn", "-dn", "-filter_threads", "1"]


@dataclass(frozen=True)
class DecodeRequest:
    """One file that is to be decoded, which of its audio tracks, and the open files that it is decoded to."""

    path: Path
    outputs: tuple[Output | Clock, ...]
    track: int = 0
    reading: Reading = AS_USUAL


@dataclass(frozen=True)
class _Limits:
    """What one ffmpeg may take: CPU and wall-clock time in seconds, and bytes of one output."""

    cpu: int
    seconds: float
    stall: float
    size: int


def _limits_alone() -> _Limits:
    return _Limits(CPU_LIMIT, DECODE_SECONDS, STALL_SECONDS, LONGEST_SECONDS * SAMPLE_RATE * SAMPLE_BYTES)


def _limits_together() -> _Limits:
    return _Limits(TOGETHER_CPU_LIMIT, TOGETHER_SECONDS, TOGETHER_SECONDS, TOGETHER_BYTES)


@dataclass(frozen=True)
class ProcessResult:
    """The result of an ffmpeg or ffprobe that exited by itself.

    `stderr` does not contain the file's path, and its middle is missing if it was long.
    """

    returncode: int
    stderr: bytes

    def first_error(self) -> str:
        """Return the first error line of stderr, or else its last line, without ffmpeg's [component @ address] prefixes."""
        lines = [line for line in self.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if "[error]" in line or "[fatal]" in line] or lines[-1:] or ["no words"]
        if "not on whitelist" in errors[0]:  # the line begins with the format and continues with the whole whitelist
            name = re.match(r"\[([^\s\]]+) @", errors[0])
            return (
                f"the format{' ' + name[1] if name else ''} is not one of those that hold their own audio and are read"
            )
        return re.sub(r"\[[^\]]*\] ", "", errors[0]).strip()[:200]


def decode(request: DecodeRequest) -> ProcessResult:
    """Decode one audio track to s16le samples at 16 kHz, one channel per output, straight into the open files.

    The samples equal those of whisper.audio.load_audio. ffmpeg writes the files itself, because copying the bytes in
    Python would contend for the interpreter's lock.

    Raises:
        WorkerError: UnsupportedMedia, AudioTooLong or OutOfMemory if ffmpeg had to be stopped or was killed; Interrupted.
        OSError: the machine had no descriptors, processes or threads for ffmpeg.
    """
    return _decode([request], _limits_alone)


def decode_together(requests: Sequence[DecodeRequest]) -> ProcessResult:
    """Decode several small files in one ffmpeg, each as `decode` does, within limits of time and size for small files.

    Raises:
        WorkerError, OSError: as `decode`; which of the files is to blame is not known.
    """
    return _decode(requests, _limits_together)


def _decode(requests: Sequence[DecodeRequest], limits: Callable[[], _Limits]) -> ProcessResult:
    files = [output.fd for request in requests for output in request.outputs]
    with ExitStack() as opened:
        sources = [opened.enter_context(request.path.open("rb")).fileno() for request in requests]
        with _started(_decoding(requests, sources), [*files, *sources], limits=limits()) as process:
            words = _watch(process, files, limits)
            cpu_seconds = _reap(process)
        urls = [request.reading.url(source) for request, source in zip(requests, sources, strict=True)]
    _require_normal_exit(process.returncode, cpu_seconds, limits().cpu)
    return _process_result(urls, process.returncode, words)


def _decoding(requests: Sequence[DecodeRequest], sources: Sequence[int]) -> list[str]:
    """Return the command that decodes the files of these descriptors."""
    command = [_found("ffmpeg"), "-nostdin", "-nostats", "-max_alloc", str(BLOCK_LIMIT)]
    for request, source in zip(requests, sources, strict=True):
        command += ["-threads", "1", *request.reading.arguments(source)]
    for number, request in enumerate(requests):
        for output in request.outputs:
            command += output.arguments(number, request.track)
    return command


def show(path: Path, entries: str, reading: Reading = AS_USUAL) -> tuple[ProcessResult, bytes]:
    """Run ffprobe on the file and return its result and its stdout, which is JSON.

    `entries` is the value of ffprobe's -show_entries.

    Raises:
        WorkerError: UnsupportedMedia, if ffprobe did not end within PROBE_SECONDS.
    """
    with path.open("rb") as source:
        command = [_found("ffprobe"), "-max_alloc", str(BLOCK_LIMIT), *reading.arguments(source.fileno())]
        command += ["-show_entries", entries, "-of", "json"]
        with _started(command, [source.fileno()], stdout=subprocess.PIPE) as process:
            try:
                out, words = process.communicate(timeout=PROBE_SECONDS)
            except subprocess.TimeoutExpired:
                raise unsupported(f"ffprobe was not done after {PROBE_SECONDS:.0f} s") from None
        url = reading.url(source.fileno())
    return _process_result([url], process.returncode, words), out


def _process_result(urls: Sequence[str], returncode: int, words: bytes) -> ProcessResult:
    _require_resources(returncode, words)
    for name in (url.encode() for url in urls):
        words = words.replace(name + b": ", b"").replace(name, b"of the source")
    return ProcessResult(returncode, words)


def unsupported(words: str) -> WorkerError:
    """Return an UnsupportedMedia error with these words."""
    return WorkerError(reasons.UNSUPPORTED_MEDIA, f"cannot decode the source: {words}")


def too_long() -> WorkerError:
    """Return an AudioTooLong error."""
    hours = LONGEST_SECONDS / 3600
    return WorkerError(reasons.AUDIO_TOO_LONG, f"more than {hours:g} hours of audio, expected at most {hours:g}")


def _found(program: str) -> str:
    if (found := shutil.which(program)) is None:
        raise FileNotFoundError(f"{program} is not on PATH; expected ffmpeg to be installed")
    return found


@contextmanager
def _started(
    command: list[str], files: Sequence[int] = (), stdout: int = subprocess.DEVNULL, limits: _Limits | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process, and kill it at the end of the block if it still runs.

    The limits hold before ffmpeg starts, because setpriv and prlimit (util-linux) exec the program that they are given.
    The alternative, preexec_fn, is unsafe in a program with threads. With pdeathsig ffmpeg is killed if we are.
    """
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--no-new-privs", *_prlimit(limits or _limits_alone()), *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=files,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _SETTINGS,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _prlimit(limits: _Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={_allowed(resource.RLIMIT_AS, MEMORY_LIMIT)}",
        f"--cpu={_allowed(resource.RLIMIT_CPU, limits.cpu)}:",
        f"--fsize={_allowed(resource.RLIMIT_FSIZE, limits.size)}:",
        "--core=0:",
    ]


def _allowed(kind: int, wanted: int) -> int:
    """Return the limit, lowered to this process's own hard limit, above which prlimit would refuse it."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _watch(process: subprocess.Popen[bytes], files: Sequence[int], limits: Callable[[], _Limits]) -> bytes:
    """Wait until the process closes stderr and return the part of it that is kept.

    Raises:
        WorkerError: UnsupportedMedia, if the process stalls or takes too long.
    """
    stderr = cast(IO[bytes], process.stderr)
    words = bytearray()
    began = moved = time.monotonic()
    written = 0
    ready = select.poll()  # select() refuses descriptors above 1023
    ready.register(stderr, select.POLLIN)
    while not ready.poll(_TICK_SECONDS * 1000) or _read_some(stderr, words):
        now = time.monotonic()
        if (size := sum(os.fstat(fd).st_size for fd in files)) != written:
            written, moved = size, now
        if now - moved > limits().stall:
            raise unsupported(f"ffmpeg gave nothing for {limits().stall:.0f} s")
        if now - began > limits().seconds:
            raise unsupported(f"ffmpeg was not done after {limits().seconds:.0f} s")
    return bytes(words)


def _reap(process: subprocess.Popen[bytes]) -> float:
    """Reap the process and return the CPU seconds that it used.

    Since it has closed stderr, it is either ending already, which SIGKILL does not change, or would never end by itself.
    """
    os.kill(process.pid, signal.SIGKILL)  # Popen.kill would reap it
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _read_some(pipe: IO[bytes], words: bytearray) -> bool:
    """Read some of the pipe into `words`; return False at its end.

    A file can make ffmpeg write any amount, so the middle of a long output is dropped.
    """
    chunk = pipe.read(_STDERR_KEPT)
    words += chunk
    if len(words) > 2 * _STDERR_KEPT:
        del words[_STDERR_KEPT:-_STDERR_KEPT]
    return bool(chunk)


def _require_resources(returncode: int, words: bytes) -> None:
    """Tell a machine that could not run ffmpeg from a file that it could not decode.

    Raises:
        OSError: EMFILE, ENFILE or EAGAIN.
        WorkerError: ResourcesExhausted, if ffmpeg was not even started.
    """
    if returncode == 0:
        return
    for number in EXHAUSTED:
        if os.strerror(number).encode() in words:
            raise OSError(number, os.strerror(number))
    if words.startswith((b"setpriv: ", b"prlimit: ")):  # they failed before there was an ffmpeg
        line = words.decode("utf-8", "replace").splitlines()[0][:200]
        raise WorkerError(reasons.RESOURCES_EXHAUSTED, f"ffmpeg could not be started: {line}")


def _require_normal_exit(returncode: int, cpu_seconds: float, limit: int) -> None:
    # The CPU time that the kernel compares with the limit differs a little from the one that it reports afterwards: it counts
    # whole ticks, of which a busy machine gives a process many that it used in part only.
    if returncode not in range(_INTERRUPTED) and cpu_seconds > min(0.9 * limit, limit - 0.5):
        raise unsupported(f"ffmpeg used more than {limit} s of CPU")
    if returncode == _INTERRUPTED:
        raise WorkerError(reasons.INTERRUPTED, "ffmpeg was asked to stop")
    if returncode >= 0:
        return
    name = signal.Signals(-returncode).name
    if name == "SIGXFSZ":
        raise too_long()
    if name == "SIGKILL":  # someone else killed it, since we would have raised
        raise WorkerError(reasons.OUT_OF_MEMORY, "ffmpeg was killed, as the kernel does where memory is short")
    raise unsupported(f"ffmpeg died of {name}")
