"""Read a damaged file as the worker does, and say what is wrong with what became of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transcription_api import reasons
from transcription_worker.engines.protocol import SAMPLE_RATE
from transcription_worker.media.ffmpeg import LONGEST_SECONDS, SAMPLE_BYTES

from tests.media_fuzz.cases import Case
from tests.media_fuzz.front_end import COMPLETE, Request, read_media
from tests.media_fuzz.measured import PATIENCE_SECONDS, Read, Reader, Taken

# The most that a file may take, whatever its header says.
MOST_SECONDS = 30.0
MOST_WRITTEN = 64 << 20
MOST_MEMORY = 48 << 20
# Where a file is longer than that, as one whose header has but a sample a second, what may be written for its samples, and for
# the time stamps of its frames.
MOST_PER_SAMPLE = 1.75 * SAMPLE_BYTES
# The most that ffmpeg may take, but for a file in fifty: ffmpeg reserves what some headers announce, up to its own limit.
MOST_FFMPEG_MEMORY = 192 << 20
GREEDY_SHARE = 0.02


@dataclass
class Outcome:
    """The end of one file. No defects is success."""

    case: Case
    taken: Taken
    defects: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Complete, or a failure's reason."""
        return self.taken.ending.reason


def run(
    case: Case, folder: Path, reader: Reader, read: Read = read_media, patience: float = PATIENCE_SECONDS
) -> Outcome:
    """Read one file, in a folder that is empty before and afterwards."""
    path, scratch = folder / case.name, folder / "scratch"
    path.write_bytes(case.body)
    scratch.mkdir()
    taken = reader.read(Request(path, scratch, case.channel), read, patience)
    path.unlink()
    for file in scratch.iterdir():  # of a process that was killed
        file.unlink()
    scratch.rmdir()
    return Outcome(case, taken, list(defects(taken)))


def defects(taken: Taken) -> Iterator[str]:
    """Say what is wrong with the end of a file, or with what it took."""
    end = taken.ending
    if end.reason == reasons.INTERNAL_ERROR.name or end.reason not in (*reasons.BY_NAME, COMPLETE):
        yield f"the reason is {end.reason!r}: {end.message}"
    elif end.reason != COMPLETE and len(end.message) < 10:
        yield f"no message: {end.message!r}"
    if end.reason == COMPLETE and not 0 < end.audio_seconds <= LONGEST_SECONDS:
        yield f"complete with {end.audio_seconds} s of audio"
    if taken.seconds > MOST_SECONDS:
        yield f"it took {taken.seconds:.0f} s"
    samples = end.audio_seconds * SAMPLE_RATE * end.tracks
    yield from _too_much("wrote", taken.written, max(MOST_WRITTEN, round(samples * MOST_PER_SAMPLE)))
    yield from _too_much("took", taken.memory, MOST_MEMORY, " of memory")
    yield from (f"left {name} behind" for name in taken.left)


def greedy(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what ffmpeg took for each file that it took too much for, if these are more than may be."""
    found = [item for item in outcomes if item.taken.ffmpeg_memory > MOST_FFMPEG_MEMORY]
    enough = len(found) > max(1, GREEDY_SHARE * len(outcomes))
    return [f"{item.case}: ffmpeg took {item.taken.ffmpeg_memory >> 20} MiB of memory" for item in found if enough]


def _too_much(did: str, taken: int, most: int, of: str = "") -> Iterator[str]:
    if taken > most:
        yield f"it {did} {taken >> 20} MiB{of}, expected at most {most >> 20}"
