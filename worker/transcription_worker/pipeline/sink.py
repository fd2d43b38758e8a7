"""The protocol of a sink: where the results of an input go, and what is written there."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from transcription_api.report import DeviceUsed, ModelUsed, Report

from transcription_worker.engines.protocol import Transcript
from transcription_worker.pipeline.source import InputVersion, SourceInput

InputT_contra = TypeVar("InputT_contra", bound=SourceInput, contravariant=True)


@dataclass(frozen=True)
class TrackTranscript:
    """The transcript of one track. `channel` counts from 0; it is None unless channels are transcribed apart."""

    transcript: Transcript
    channel: int | None = None


@dataclass(frozen=True)
class EngineUsed:
    """The engine that transcribed: its name with its version, its model and its device."""

    name: str
    model: ModelUsed
    device: DeviceUsed


@dataclass(frozen=True)
class Transcription:
    """All transcripts of one input, in the order of its tracks.

    `audio_seconds` counts the audio that was asked for once, however many channels it has. `wall_seconds` runs from the
    moment when the engine opened the audio, and adds what workers before took for the part that is not done again; other inputs
    may have been transcribed in the same time. `audio_track`,
    `audio_tracks` and `warnings` are those of media.audio.Media.
    """

    tracks: tuple[TrackTranscript, ...]
    audio_seconds: float
    wall_seconds: float
    engine: EngineUsed
    audio_track: int | None = None
    audio_tracks: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def engine_warnings(self) -> tuple[str, ...]:
        """The warnings of the engine, each once: tracks that ran side by side have the same."""
        return tuple(dict.fromkeys(words for track in self.tracks for words in track.transcript.warnings))

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """The warnings about the file and those of the engine."""
        return (*self.warnings, *self.engine_warnings)


class Sink(Protocol[InputT_contra]):
    """Writes results. All methods are called from several threads at once, for different inputs."""

    def find_results(self, item: InputT_contra, version: InputVersion) -> Report | None:
        """Return the report of results that are there already, whole and for the same input and options, or None.

        Raises:
            WorkerError: the results may not be written, because others are in their place.
        """
        ...

    def check_writable(self, item: InputT_contra) -> None:
        """Make sure, before the input is fetched, that its results can be written.

        Raises:
            WorkerError: they cannot.
        """
        ...

    def write(self, item: InputT_contra, version: InputVersion, transcription: Transcription) -> Report:
        """Write and commit the results: either all of them are there afterwards or none counts as written.

        The report's `reason` is set where the results are written and yet fail the input, as `quality.policy: fail` asks.

        Raises:
            WorkerError: they cannot be written.
        """
        ...
