"""One input on its way through the pipeline, and who holds its samples."""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic

from transcription_api import reasons
from transcription_api.report import Report

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio, Samples, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.media.audio import Media
from transcription_worker.pipeline.sink import EngineUsed, TrackTranscript, Transcription
from transcription_worker.pipeline.source import InputT, InputVersion
from transcription_worker.pipeline.times import end_within
from transcription_worker.pipeline.tracks import Track

NOTHING = Media(())
WINDOW_SECONDS = 30.0  # of audio, which Whisper hears at once


@dataclass(frozen=True)
class Prepared:
    """An input that is ready for the engine, or the report of its results that are there already.

    `seconds` are those of each track that are to be transcribed; `media` is the file that the tracks are of.
    """

    version: InputVersion
    tracks: tuple[Track, ...] = ()
    seconds: tuple[float, ...] = ()
    media: Media = NOTHING
    report: Report | None = None


class HeldAudio:
    """Audio that an engine holds. `on_close` is called once it is closed."""

    def __init__(self, audio: Audio, on_close: Callable[[], None]) -> None:
        self._audio, self._on_close = audio, on_close

    @property
    def count(self) -> int:
        return self._audio.count

    def read(self, start: int, count: int) -> Samples:
        """Implement Audio.read.

        Raises:
            WorkerError: SourceChanged, if the samples are no longer there. Some files are read where they lie.
        """
        try:
            return self._audio.read(start, count)
        except OSError as error:
            words = f"the samples cannot be read any more: {error.strerror or type(error).__name__}"
            raise WorkerError(reasons.SOURCE_CHANGED, words) from error

    def close(self) -> None:
        """Implement Audio.close."""
        self._audio.close()
        self._on_close()


def _nothing() -> None:
    """Do nothing: nobody waits for the disk."""


@dataclass(eq=False)
class InputState(Generic[InputT]):
    """The state of one input. `number` counts inputs from 0, in the order of the source.

    `on_freed` is called each time that samples of it were closed.
    """

    number: int
    item: InputT
    on_freed: Callable[[], None] = _nothing
    prepared: "Future[Prepared]" = field(default_factory=Future)
    transcripts: dict[int, Transcript] = field(default_factory=dict)  # by track
    opened_time: float = 0.0  # monotonic: the engine opened the first track
    earlier_seconds: float = 0.0  # that workers before took for what is not done again
    resumed: dict[int, float] = field(default_factory=dict)  # seconds of audio that they did, by track
    advanced: dict[int, float] = field(default_factory=dict)  # seconds of audio that are done, by track
    finished_time: float = 0.0  # monotonic: the last track was transcribed
    _taken: set[int] = field(default_factory=set)  # tracks whose audio the engine holds and closes
    _freed: set[int] = field(default_factory=set)  # tracks whose audio is closed
    _kept: bool = False  # the engine opens it next
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expected_seconds(self, now: float) -> float:
        """Return the seconds until the input is transcribed, at its speed so far. `now` is a monotonic time.

        An input of one window, which tells nothing before its end, may end any moment.
        """
        prepared = self._known()
        if prepared is None:
            return math.inf
        done = sum(self.advanced.values())
        own, left = done - sum(self.resumed.values()), max(0.0, sum(prepared.seconds) - done)
        if own <= 0:
            return 0.0 if left <= WINDOW_SECONDS else math.inf
        return left * (now - self.opened_time) / own

    def resume(self, track: int, seconds: float, earlier_seconds: float) -> None:
        """Note that the first `seconds` of a track are done, and that the input took workers before `earlier_seconds`."""
        self.resumed[track] = seconds
        self.earlier_seconds = max(self.earlier_seconds, earlier_seconds)

    def take_transcription(self, engine: EngineUsed) -> Transcription:
        """Collect what the tracks have become, and let go of it: many inputs would fill the memory."""
        prepared, transcripts = self.prepared.result(), self.transcripts
        self.transcripts = {}
        return Transcription(
            tracks=tuple(
                TrackTranscript(end_within(transcripts[number], track.audio.count / SAMPLE_RATE), track.channel)
                for number, track in enumerate(prepared.tracks)
            ),
            audio_seconds=max(prepared.seconds),
            wall_seconds=self.earlier_seconds + self.finished_time - self.opened_time,
            engine=engine,
            audio_track=prepared.media.track,
            audio_tracks=prepared.media.tracks,
            warnings=prepared.media.warnings,
        )

    @property
    def holds_samples(self) -> bool:
        """Whether the input is prepared and not all of its audio is closed."""
        prepared = self._known()
        return prepared is not None and len(self._freed) < len(prepared.tracks)

    @property
    def closed(self) -> bool:
        """Whether the input is done with."""
        return self._closed

    def take(self, track: int, now: float) -> Audio:
        """Wait until the input is prepared, and hand the audio of a track over to the engine, which closes it.

        Raises:
            WorkerError: the input could not be prepared, has results already, or has failed meanwhile.
        """
        while True:
            waited_for = self.prepared
            prepared = waited_for.result()
            with self._lock:
                if waited_for is not self.prepared:
                    continue  # it was taken back, and is being prepared again
                if self._closed or prepared.report is not None:
                    raise WorkerError(reasons.INTERRUPTED, f"{self.item.name}: nothing to transcribe any more")
                self.opened_time = self.opened_time or now
                self._taken.add(track)
            return HeldAudio(prepared.tracks[track].audio, lambda: self._free(track))

    def keep_for_engine(self, unprepared: bool = False) -> bool:
        """Keep the samples until the engine opens them; return False, and do nothing, if there are none yet.

        An engine to which the input is given next waits for nothing else, so that what holds the disk then must not be others.
        """
        with self._lock:
            self._kept = self._kept or unprepared or self.prepared.done()
            return self._kept

    def take_back(self) -> bool:
        """Close the samples and be unprepared again, unless the engine has them or comes for them; return whether that was done."""
        with self._lock:
            prepared = self._known()
            if prepared is None or not prepared.tracks or self._taken or self._kept or self._closed:
                return False
            self.prepared = Future()
        for track in prepared.tracks:
            track.audio.close()
        return True

    def close(self) -> None:
        """Close the audio that no engine holds; nothing more is handed over."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        prepared = self._known()
        for number, track in enumerate(prepared.tracks if prepared else ()):
            if number not in self._taken:
                track.audio.close()
                self._free(number)

    def _known(self) -> Prepared | None:
        future = self.prepared
        return future.result() if future.done() and future.exception() is None else None

    def _free(self, track: int) -> None:
        self._freed.add(track)
        self.on_freed()


def wait_for_one(waiting: Sequence[InputState[InputT]]) -> None:
    """Return once one of the inputs is prepared or has failed."""
    futures.wait([state.prepared for state in waiting], return_when=futures.FIRST_COMPLETED)
