"""What the local command says at its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transcription_api import exit_codes

from transcription_worker.local.course import Tally
from transcription_worker.local.display import clock, times
from transcription_worker.local.files import LocalFile
from transcription_worker.local.options import in_options


@dataclass(frozen=True)
class Ended:
    """A run that is over. `seconds`: of transcribing, without the model's loading. `signal`: what ended it early."""

    files: Sequence[LocalFile]
    skipped: int
    tally: Tally
    seconds: float
    signal: str | None = None

    @property
    def left(self) -> int:
        """Files that were not come to."""
        return len(self.files) - self.tally.done - len(self.tally.failures)


def render_summary(ended: Ended) -> str:
    """Counts, speed, and every failure with its reason and message."""
    return "\n".join(_lines(ended))


def _lines(ended: Ended) -> Iterator[str]:
    tally = ended.tally
    counts = {"done": tally.done, "failed": len(tally.failures), "skipped": ended.skipped, "left": ended.left}
    shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in ("done", "failed"))
    total = len(ended.files) + ended.skipped
    yield f"{total} {'file' if total == 1 else 'files'}: {shown}"
    if tally.done:
        speed = times(tally.audio_seconds / max(ended.seconds, 1e-3))
        yield f"{clock(tally.audio_seconds)} of audio in {clock(ended.seconds)}, {speed} real time"
    for number, error in sorted(tally.failures.items()):
        yield f"failed: {ended.files[number].path}: {in_options(error)}"
    if ended.signal:
        yield f"{ended.signal} ended it early; the same command with --skip-existing goes on"


def exit_code(ended: Ended) -> int:
    """0, or that of the first failed file's reason."""
    if ended.tally.failures:
        first = ended.tally.failures[min(ended.tally.failures)]
        return first.reason.exit_code or exit_codes.INTERNAL
    return exit_codes.OK if ended.left == 0 else exit_codes.INTERNAL
