"""The interface of every engine: inputs go in, and an outcome comes out for each as soon as it is done."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from transcription_api.spec import Clip, Decoding, LanguageDetection, Quality, TaskKind

from transcription_worker.errors import WorkerError

if TYPE_CHECKING:
    # The phases without a model run where numpy is not installed.
    import numpy as np

Samples: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"

SAMPLE_RATE = 16_000  # Hz


class Audio(Protocol):
    """Mono audio at 16 kHz, read in blocks and in any order, so that a file of any length fits into memory."""

    @property
    def count(self) -> int:
        """The number of samples."""
        ...

    def read(self, start: int, count: int) -> Samples:
        """Samples [start, start + count), each in [-1, 1); fewer at the end. Thread-safe."""
        ...

    def close(self) -> None:
        """Release the samples."""
        ...


@dataclass(frozen=True)
class InMemory:
    """An Audio of samples in memory."""

    samples: Samples

    @property
    def count(self) -> int:
        return int(self.samples.size)

    def read(self, start: int, count: int) -> Samples:
        """Implement Audio.read."""
        return self.samples[start : start + count]

    def close(self) -> None:
        """Implement Audio.close: there is nothing to release."""


def ignore_progress(seconds_done: float) -> None:
    """No-op progress callback."""


def ignore_language(language: str) -> None:
    """No-op language callback."""


def no_checkpoints() -> None:
    """Say that no checkpoints of an input are kept."""


@dataclass(frozen=True)
class Options:
    """The options of one input.

    language: None for auto. clips: empty for all of the audio. seed: of the sampling at temperatures above 0.
    """

    task: TaskKind
    language: str | None
    decoding: Decoding
    detection: LanguageDetection = field(default_factory=LanguageDetection)
    clips: tuple[Clip, ...] = ()
    quality: Quality = field(default_factory=Quality)
    seed: int = 0


@dataclass(frozen=True)
class Input:
    """A file to transcribe.

    open: called by the engine when it is the input's turn, in any thread; it may take long and raise WorkerError. The engine
    closes the audio. on_progress: called with the seconds of audio done. on_language: called once the language is known.
    checkpoints: called once the input is open; None if none are kept. An engine that cannot go on from one ignores it.
    """

    id: str
    open: Callable[[], Audio]
    options: Options
    on_progress: Callable[[float], None] = ignore_progress
    on_language: Callable[[str], None] = ignore_language
    checkpoints: "Callable[[], Checkpoints | None]" = no_checkpoints


@dataclass(frozen=True)
class Counters:
    """How much work one input took."""

    windows: int = 0  # of 30 s, decoded
    steps: int = 0  # decode steps of all attempts; 0 if the engine does not count them
    fallbacks: int = 0  # decodings above the first temperature
    retried: int = 0  # windows decoded again for their quality


@dataclass(frozen=True)
class PartCheckpoint:
    """What whisper.transcribe keeps from window to window, after a window of one part of an input.

    A part is all that is transcribed of the input, or with longForm chunked one of its chunks. `number` counts them from 0.

    clip, seek: the next window begins at this frame of 10 ms, in the clip of this number. segments: as in a Transcript.
    tokens: of the initial prompt and of all windows so far. reset_since: how many of these are left out of the next prompt.
    last_speech: the end of the last word, in seconds, where words have times.
    """

    number: int
    clip: int
    seek: int
    segments: tuple[dict[str, Any], ...]
    tokens: tuple[int, ...]
    reset_since: int
    last_speech: float
    counters: Counters


@dataclass(frozen=True)
class InputCheckpoint:
    """How far an engine has come with an input: from here another engine goes on, to the same transcript.

    samples: of the audio. seconds: of audio that are done. parts: those that were begun. wall_seconds: what that took, which
    whoever keeps the checkpoint fills in.
    """

    language: str
    precision: str
    samples: int
    seconds: float
    parts: tuple[PartCheckpoint, ...]
    language_probability: float | None = None
    wall_seconds: float = 0.0


class Checkpoints(Protocol):
    """Keeps the checkpoints of one input. Methods are called from several threads."""

    def find(self) -> InputCheckpoint | None:
        """Return the checkpoint that an engine before has left, or None. It may take long."""
        ...

    def resume(self, seconds: float) -> None:
        """Note that the engine goes on from the checkpoint that was found, with so many seconds of audio done."""
        ...

    def keep(self, checkpoint: InputCheckpoint) -> None:
        """Take a checkpoint in place of those before. It is called after each window and must not block."""
        ...


@dataclass(frozen=True)
class Transcript:
    """The text of one input.

    segments: dictionaries with openai-whisper's keys: id, seek, start, end, text, tokens, avg_logprob and so on, and words if
    requested. language_probability: None if the language was given. long_form, precision: those that were used. warnings: what
    the engine had to give up, in sentences.
    """

    text: str
    segments: list[dict[str, Any]]
    language: str
    language_probability: float | None
    audio_seconds: float
    counters: Counters = field(default_factory=Counters)
    long_form: str = "sequential"
    precision: str = "float32"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The transcript of an input, or the error that it failed with."""

    id: str
    transcript: Transcript | None = None
    error: WorkerError | None = None

    def value(self) -> Transcript:
        """Return the transcript.

        Raises:
            WorkerError: the input failed.
        """
        if self.transcript is None:
            raise self.error or ValueError(f"outcome of {self.id!r} has neither transcript nor error")
        return self.transcript


class Engine(Protocol):
    """An engine with its model loaded."""

    name: str

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Yield an outcome for each input, in any order, as soon as it is done. Inputs are consumed as capacity allows.

        Raises:
            WorkerError: GPUFault; inputs without an outcome have not failed, and another device may transcribe them.
        """
        ...
