"""Send a file through what the worker does before the engine, with an engine that answers at once."""

from dataclasses import dataclass
from pathlib import Path

from transcription_api.choices import Channel
from transcription_api.report import Report
from transcription_api.spec import QualityPolicy
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import make_report
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion

from tests.support.instant_engine import InstantLoader
from tests.support.local_files import plan

COMPLETE = "Complete"


@dataclass(frozen=True)
class Request:
    """A file that is to be read, a folder for the samples, and the channel."""

    path: Path
    scratch: Path
    channel: Channel


@dataclass
class Ending:
    """What became of a file: `reason` is Complete or a failure's, and `tracks` counts the channels that were read apart."""

    reason: str = ""
    message: str = ""
    audio_seconds: float = 0.0
    tracks: int = 1


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
    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self._ending.reason, self._ending.audio_seconds = COMPLETE, transcription.audio_seconds
        self._ending.tracks = len(transcription.tracks)

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self._ending.reason, self._ending.message = error.reason.name, error.message


def read_media(request: Request) -> Ending:
    """Read one file, and return what became of it."""
    asked = plan(request.path, "--channel", request.channel.value)
    item = LocalFile(request.path, request.path.parent, "out", request.path.stat().st_size)
    options = PipelineOptions(asked.options, asked.audio, request.scratch)
    ending = Ending()
    Pipeline(LocalSource([item]), NoResults(), InstantLoader(asked.options), options, _Listener(ending)).run()
    return ending
