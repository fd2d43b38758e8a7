"""What a run tells about its inputs while it works on them."""

from collections.abc import Sequence
from typing import Generic

from transcription_api.report import Report

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.sink import EngineUsed, Transcription
from transcription_worker.pipeline.source import InputT, InputVersion


class PipelineListener(Generic[InputT]):
    """Is told what becomes of every input. Methods are called from several threads; a subclass overrides what it needs.

    `number` counts inputs from 0, in the order of the source.
    """

    def stage_entered(self, stage: str) -> None:
        """The next of transcription_api.report.STAGES begins: for the first input, and `write` for the last."""

    def input_found(self, number: int, version: InputVersion) -> None:
        """The input was looked up."""

    def input_decoded(self, number: int, seconds: Sequence[float]) -> None:
        """The input was decoded. `seconds` of each of its tracks are to be transcribed.

        On a full disk it may be told again: the samples were deleted in favour of an input before it.
        """

    def input_opened(self, number: int, seconds: float, tracks: int) -> None:
        """The engine has begun with it. `seconds` of the audio, whatever the number of tracks."""

    def engine_loaded(self, engine: EngineUsed) -> None:
        """Model and engine are ready."""

    def audio_waited(self, waited: float, seconds: float) -> None:
        """The GPU has waited for audio so long, of the seconds in all that the engine has worked since it was loaded."""

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        """The first `seconds` of a track are transcribed."""

    def track_resumed(self, number: int, track: int, seconds: float) -> None:
        """The first `seconds` of a track were transcribed by a worker before."""

    def language_detected(self, number: int, language: str) -> None:
        """The language of the input's first track is known."""

    def input_reused(self, number: int, item: InputT, report: Report) -> None:
        """Its results were there already."""

    def input_written(self, number: int, item: InputT, transcription: Transcription, report: Report) -> None:
        """Its results are written; the report's reason may still say that they fail the input."""

    def input_failed(self, number: int, item: InputT, error: WorkerError) -> None:
        """Nothing of it is written."""
