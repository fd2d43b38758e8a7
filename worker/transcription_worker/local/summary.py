"""The last lines of the local command: what became of the files."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from transcription_api import exit_codes

from transcription_worker.errors import WorkerError
from transcription_worker.local.display import clock, times
from transcription_worker.local.options import in_options
from transcription_worker.pipeline.audio_wait import audio_wait_warning
from transcription_worker.pipeline.local_source import LocalFile

MORE_CPU = "a machine with more cores decodes more files at a time"


@dataclass
class FileCounts:
    """Count what became of the files so far, from several threads. `audio_seconds` were transcribed."""

    done: int = 0
    audio_seconds: float = 0.0
    failures: dict[int, tuple[LocalFile, WorkerError]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_done(self, audio_seconds: float) -> None:
        """Count a file that is transcribed."""
        with self._lock:
            self.done += 1
            self.audio_seconds += audio_seconds

    def add_failure(self, number: int, file: LocalFile, error: WorkerError) -> None:
        """Count a file that has failed. `number` is its place among all files."""
        with self._lock:
            self.failures[number] = (file, error)


@dataclass(frozen=True)
class RunSummary:
    """A run that is over.

    `files` were to be transcribed, `skipped` more had results, and `left_out` were not looked at. `seconds` are those of
    transcribing, without the loading of the model. `signal` ended the run early. `waited` is how long the GPU waited for audio,
    and of how many seconds in all.
    """

    files: int
    skipped: int
    counts: FileCounts
    seconds: float
    signal: str | None = None
    left_out: int = 0
    waited: tuple[float, float] = (0.0, 0.0)

    @property
    def left(self) -> int:
        """Files that the run did not come to."""
        return self.files - self.counts.done - len(self.counts.failures)


def summary_lines(summary: RunSummary) -> Iterator[str]:
    """Yield lines with counts, speed, and every failure with its reason and message."""
    counts = summary.counts
    shown = {"done": counts.done, "failed": len(counts.failures), "skipped": summary.skipped, "left": summary.left}
    words = ", ".join(f"{count} {name}" for name, count in shown.items() if count or name in ("done", "failed"))
    total = summary.files + summary.skipped
    more = f"; {summary.left_out} left out" if summary.left_out else ""
    yield f"{total} {'file' if total == 1 else 'files'}: {words}{more}"
    if counts.done:
        speed = times(counts.audio_seconds / max(summary.seconds, 1e-3))
        yield f"{clock(counts.audio_seconds)} of audio in {clock(summary.seconds)}, {speed} real time"
    if (warning := audio_wait_warning(*summary.waited, MORE_CPU)) is not None:
        yield f"warning: {warning}"
    for _, (file, error) in sorted(counts.failures.items()):
        yield f"failed: {file.name}: {in_options(error)}"
    if summary.signal:
        yield f"{summary.signal} ended it early; the same command with --skip-existing goes on"


def exit_code(summary: RunSummary) -> int:
    """Return 0, or the exit code of the reason of the first in the run's order."""
    failures = summary.counts.failures
    if failures:
        _, error = failures[min(failures)]
        return error.reason.exit_code or exit_codes.INTERNAL
    return exit_codes.OK if summary.left == 0 else exit_codes.INTERNAL
