"""Show and count the local command's files while the pipeline runs."""

import time
from pathlib import Path

from transcription_api import reasons
from transcription_api.report import Report

from transcription_worker.errors import WorkerError
from transcription_worker.local.display import Display, clock
from transcription_worker.local.options import in_options
from transcription_worker.local.progress import FilesProgress
from transcription_worker.local.summary import FileCounts
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_source import LocalFile
from transcription_worker.pipeline.sink import EngineUsed, Transcription


class LocalListener(PipelineListener[LocalFile]):
    """Shows a line for each file and the progress of all of them. `scratch` is the folder of samples, below TMPDIR."""

    def __init__(self, progress: FilesProgress, display: Display, scratch: Path) -> None:
        self.counts = FileCounts()
        self._progress, self._display, self._scratch = progress, display, scratch
        self.waited = (0.0, 0.0)
        self._began = time.monotonic()

    def engine_loaded(self, engine: EngineUsed) -> None:
        seconds = time.monotonic() - self._began
        self._display.say(f"{engine.model.name} on {engine.device.name}, {engine.name}, ready after {seconds:.1f} s")
        self._progress.begin()

    def audio_waited(self, waited: float, seconds: float) -> None:
        self.waited = (waited, seconds)

    def input_opened(self, number: int, seconds: float, tracks: int) -> None:
        self._progress.open(number, seconds, tracks)
        self._display.draw()

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        self._progress.advance(number, track, seconds)
        self._display.draw()

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        if report.reason is not None:  # written, and yet refused for its quality
            self.input_failed(number, item, WorkerError(reasons.BY_NAME[report.reason], report.message or ""))
            return
        self.counts.add_done(transcription.audio_seconds)
        self._progress.end(number, failed=False)
        self._display.say(f"done     {item.name}: {describe(transcription)}")
        for words in transcription.all_warnings:
            self._display.say(f"warning  {item.name}: {words}")
        self._display.draw()

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        if error.reason is reasons.NO_SPACE_LEFT and error.message.startswith(str(self._scratch)):
            hint = "samples take 115 MB an hour of audio; TMPDIR names another folder"
            error = WorkerError(error.reason, f"{error.message}: {hint}")
        self.counts.add_failure(number, item, error)
        self._progress.end(number, failed=True)
        self._display.say(f"failed   {item.name}: {in_options(error)}")
        self._display.draw()


def describe(transcription: Transcription) -> str:
    """Return, for example, `1:02:10 of audio, en, 840 segments, 3 of them flagged`."""
    transcripts = [track.transcript for track in transcription.tracks]
    segments = [segment for transcript in transcripts for segment in transcript.segments]
    languages = ", ".join(transcript.language for transcript in transcripts)
    flagged = sum("flags" in segment for segment in segments)
    words = f"{clock(transcription.audio_seconds)} of audio, {languages}, {len(segments)} segments"
    return f"{words}, {flagged} of them flagged" if flagged else words
