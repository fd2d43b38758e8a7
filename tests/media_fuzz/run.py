"""Send a file through what the worker does before the engine, and say what is wrong with the outcome."""

import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import QualityPolicy
from transcription_worker.engines.protocol import SAMPLE_RATE
from transcription_worker.errors import WorkerError
from transcription_worker.media.ffmpeg import LONGEST_SECONDS, MEMORY_LIMIT, SAMPLE_BYTES
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import make_report
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion

from tests.media_fuzz.cases import Case
from tests.support.instant_engine import InstantLoader
from tests.support.local_files import plan
from tests.support.processes import children

# The most that a file may take, whatever its header says, and what it may take more for each second of audio: a part that is
# repeated a thousand times, twice, is an hour of it.
MOST_SECONDS = 30.0
MOST_SECONDS_PER_SECOND = 1 / 60
# The samples of the longest audio that is accepted, of one channel.
MOST_DISK = LONGEST_SECONDS * SAMPLE_RATE * SAMPLE_BYTES
# What this program itself may grow by at one file. ffmpeg has its own limit.
MOST_MEMORY = 256 << 20
_TICK_SECONDS = 0.05


@dataclass
class Outcome:
    """The end of one file: `reason` is Complete or a failure's, and no defects is success.

    `disk`, `memory` and `ffmpeg_memory` are in bytes.
    """

    case: Case
    reason: str = ""
    message: str = ""
    audio_seconds: float = 0.0
    seconds: float = 0.0
    disk: int = 0
    memory: int = 0
    ffmpeg_memory: int = 0
    defects: list[str] = field(default_factory=list)


class NoResults:
    """A sink that writes nothing."""

    def find_results(self, item: LocalFile, version: InputVersion) -> Report | None:
        """Return None: nothing is there."""
        return None

    def check_writable(self, item: LocalFile) -> None:
        """Accept every file."""

    def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
        """Return the report of results that are not kept."""
        return make_report(transcription, version.etag, QualityPolicy.WARN)


class _Listener(PipelineListener[LocalFile]):
    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self._outcome.reason, self._outcome.audio_seconds = "Complete", transcription.audio_seconds

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self._outcome.reason, self._outcome.message = error.reason.name, error.message


def run(case: Case, folder: Path) -> Outcome:
    """Read one file, in a folder that is empty before and afterwards."""
    outcome, path, scratch = Outcome(case), folder / case.name, folder / "scratch"
    path.write_bytes(case.body)
    scratch.mkdir()
    asked = plan(path, "--channel", case.channel.value)
    item = LocalFile(path, folder, "out", len(case.body))
    options = PipelineOptions(asked.options, asked.audio, scratch)
    before, began, running = _own_memory(), time.monotonic(), set(children())
    children_before = _childrens_memory()
    with _watched(scratch, outcome):
        Pipeline(LocalSource([item]), NoResults(), InstantLoader(asked.options), options, _Listener(outcome)).run()
    outcome.seconds = time.monotonic() - began
    outcome.memory = max(0, _own_memory() - before)
    # The kernel keeps the most of all processes that have ended: what was there before is not this file's.
    outcome.ffmpeg_memory = _childrens_memory() if _childrens_memory() > children_before else 0
    outcome.defects = [*defects(outcome), *left_behind(scratch, running)]
    path.unlink()
    scratch.rmdir()
    return outcome


def defects(outcome: Outcome) -> Iterator[str]:
    """Say what is wrong with the end of a file, or with what it took."""
    if outcome.reason == reasons.INTERNAL_ERROR.name or outcome.reason not in (*reasons.BY_NAME, "Complete"):
        yield f"the reason is {outcome.reason!r}: {outcome.message}"
    elif outcome.reason != "Complete" and len(outcome.message) < 10:
        yield f"no message: {outcome.message!r}"
    if outcome.reason == "Complete" and not 0 < outcome.audio_seconds <= LONGEST_SECONDS:
        yield f"complete with {outcome.audio_seconds} s of audio"
    if outcome.seconds > MOST_SECONDS + outcome.audio_seconds * MOST_SECONDS_PER_SECOND:
        yield f"it took {outcome.seconds:.0f} s"
    channels = 16 if outcome.case.channel.value == "split" else 1
    if outcome.disk > MOST_DISK * channels:
        yield f"it took {outcome.disk >> 20} MiB of disk"
    if outcome.memory > MOST_MEMORY:
        yield f"it took {outcome.memory >> 20} MiB of memory"
    if outcome.ffmpeg_memory > MEMORY_LIMIT:
        yield f"ffmpeg took {outcome.ffmpeg_memory >> 20} MiB of memory"


def left_behind(scratch: Path, running: set[int]) -> Iterator[str]:
    """Say what a file has left: files, and processes beside those that were `running` before, such as another test's."""
    for path in list(scratch.iterdir()):
        yield f"left {path.name} behind"
        path.unlink()
    if set(children()) - running:
        yield "left a process behind"


@contextmanager
def _watched(scratch: Path, outcome: Outcome) -> Iterator[None]:
    """Note how much of the disk is used at most inside the block."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_TICK_SECONDS):
            outcome.disk = max(outcome.disk, sum(_size(path) for path in scratch.iterdir()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _own_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _childrens_memory() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
