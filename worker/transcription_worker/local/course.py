"""Local files on their way through the engine: each is opened when it is its turn, and written as soon as it is done."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from transcription_api import reasons
from transcription_api.spec import Channel

from transcription_worker.engines.protocol import Audio, Engine, Input, Outcome, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.fetch import is_no_space
from transcription_worker.local.display import Display, clock
from transcription_worker.local.files import LocalFile, write_results
from transcription_worker.local.options import in_options
from transcription_worker.local.pace import Pace
from transcription_worker.local.plan import Plan
from transcription_worker.media.audio import MOST_CHANNELS, PcmFile, open_audio, open_split
from transcription_worker.media.streams import find_audio_stream
from transcription_worker.report import rejection, sum_quality
from transcription_worker.transcribe import asked_seconds

# Files that ffprobe looks at before their turn, each in a process.
PROBES = 4


@dataclass
class Tally:
    """What became of the files so far. Seconds of audio that was transcribed."""

    done: int = 0
    audio_seconds: float = 0.0
    failures: dict[int, WorkerError] = field(default_factory=dict)


class SplitAudio:
    """A file whose channels are opened one by one and decoded in one pass, by whoever comes first."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch = path, scratch
        self._lock = threading.Lock()
        self._opened: list[PcmFile] | None = None
        self._error: WorkerError | None = None

    def open(self, channel: int) -> Audio:
        """Raises WorkerError as open_split does, to each that asks."""
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._opened is None:
                try:
                    self._opened = open_split(self._path, self._scratch)
                except WorkerError as error:
                    self._error = error
                    raise
        return self._opened[channel]


def count_tracks(path: Path) -> int:
    """Channels to open one by one. One where nobody can say how many, or they are too many: its opening tells."""
    try:
        count = find_audio_stream(path).channels
    except (WorkerError, OSError):
        return 1
    return count if 1 <= count <= MOST_CHANNELS else 1


def counted_ahead(paths: Iterable[Path]) -> Iterator[int]:
    """count_tracks of each, in order, some files ahead: the engine does not wait for ffprobe."""
    with ThreadPoolExecutor(PROBES, thread_name_prefix="probe") as pool:
        waiting: deque[Future[int]] = deque()
        for path in paths:
            waiting.append(pool.submit(count_tracks, path))
            if len(waiting) > PROBES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass
class _Waiting:
    """A file under way: what is done of its tracks, by channel."""

    tracks: int
    seconds: float = 0.0
    transcripts: dict[int, Transcript] = field(default_factory=dict)


class Course:
    """All files of one run. The engine's threads open; the caller's takes outcomes and writes."""

    def __init__(self, plan: Plan, files: list[LocalFile], scratch: Path, pace: Pace, display: Display) -> None:
        self.tally = Tally()
        # Held while a file's outcome is taken: whoever ends the program waits for it, and nothing is taken after that.
        self.taking = threading.Lock()
        self._plan, self._files, self._scratch = plan, files, scratch
        self._pace, self._display = pace, display
        self._waiting: dict[int, _Waiting] = {}

    def run(self, engine: Engine) -> None:
        """Until every file is written or has failed."""
        for outcome in engine.transcribe(self._inputs()):
            with self.taking:
                self._take(outcome)

    def _inputs(self) -> Iterator[Input]:
        if self._plan.channel is Channel.SPLIT:
            yield from self._channels()
            return
        for number, file in enumerate(self._files):
            self._waiting[number] = _Waiting(1)
            yield self._input(number, 0, partial(open_audio, file.path, self._scratch, self._plan.channel))

    def _channels(self) -> Iterator[Input]:
        """An input for each channel of each file."""
        paths = [file.path for file in self._files]
        for number, (path, count) in enumerate(zip(paths, counted_ahead(paths), strict=True)):
            self._waiting[number] = _Waiting(count)
            split = SplitAudio(path, self._scratch)
            for channel in range(count):
                yield self._input(number, channel, partial(split.open, channel))

    def _input(self, number: int, channel: int, open_it: Callable[[], Audio]) -> Input:
        options, waiting = self._plan.options, self._waiting[number]

        def opened() -> Audio:
            audio = _without_os_errors(open_it)
            waiting.seconds = asked_seconds(audio, options.clips)
            self._pace.opened(number, waiting.seconds, waiting.tracks)
            self._display.draw()
            return audio

        def advance(seconds: float) -> None:
            self._pace.advance(number, channel, seconds)
            self._display.draw()

        return Input(f"{number}.{channel}", opened, options, on_progress=advance)

    def _take(self, outcome: Outcome) -> None:
        number, channel = map(int, outcome.id.split("."))
        if (waiting := self._waiting.get(number)) is None:
            return  # another channel of the same file failed
        try:
            waiting.transcripts[channel] = outcome.value()
            if len(waiting.transcripts) < waiting.tracks:
                return
            self._write(number, waiting)
        except WorkerError as error:
            self._fail(number, error)
        del self._waiting[number]
        self._display.draw()

    def _fail(self, number: int, error: WorkerError) -> None:
        self.tally.failures[number] = error
        self._pace.end(number, failed=True)
        self._display.say(f"failed   {self._files[number].path}: {in_options(error)}")

    def _write(self, number: int, waiting: _Waiting) -> None:
        """Raises WorkerError where it cannot be written, or is not to pass for good."""
        file = self._files[number]
        try:
            write_results(dict(self._rendered(file, waiting)))
        except OSError as error:
            reason = reasons.NO_SPACE_LEFT if is_no_space(error) else reasons.DESTINATION_DENIED
            raise WorkerError(reason, f"--output-dir: got {str(file.folder)!r}: {error.strerror}") from error
        counts = sum_quality(waiting.transcripts.values())
        if rejected := rejection(self._plan.options.quality.policy, counts):
            raise WorkerError(reasons.QUALITY_REJECTED, rejected)
        self.tally.done += 1
        self.tally.audio_seconds += waiting.seconds
        self._pace.end(number, failed=False)
        self._display.say(f"done     {file.path}: {describe(waiting)}")

    def _rendered(self, file: LocalFile, waiting: _Waiting) -> Iterator[tuple[Path, bytes]]:
        """The first channel last: its results say that the others' are there."""
        from transcription_worker.engines.formats.writers import render_format

        for channel in sorted(waiting.transcripts, reverse=True):
            named = channel if self._plan.channel is Channel.SPLIT else None
            for fmt in self._plan.formats:
                yield file.result(fmt, named), render_format(waiting.transcripts[channel], fmt, self._plan.subtitles)


def describe(waiting: _Waiting) -> str:
    """1:02:10 of audio, en, 840 segments, 3 of them flagged."""
    segments = [segment for one in waiting.transcripts.values() for segment in one.segments]
    languages = ", ".join(waiting.transcripts[channel].language for channel in sorted(waiting.transcripts))
    flagged = sum("flags" in segment for segment in segments)
    words = f"{clock(waiting.seconds)} of audio, {languages}, {len(segments)} segments"
    return f"{words}, {flagged} of them flagged" if flagged else words


def _without_os_errors(open_it: Callable[[], Audio]) -> Audio:
    try:
        return open_it()
    except OSError as error:
        if is_no_space(error):
            message = f"{error.filename}: no space left for samples, 115 MB an hour; TMPDIR names another folder"
            raise WorkerError(reasons.NO_SPACE_LEFT, message) from error
        raise WorkerError(reasons.UNSUPPORTED_MEDIA, f"the file cannot be read: {error.strerror or error}") from error
