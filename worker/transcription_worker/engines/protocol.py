"""What every engine is: many inputs in, one outcome for each as it is done."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from transcription_api.spec import Clip, Decoding, LanguageDetection, Quality, TaskKind

from transcription_worker.errors import WorkerError

Samples = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_RATE = 16_000  # Hz


class Audio(Protocol):
    """Mono audio at 16 kHz that is read in pieces and in any order, so that no length of it fills the memory."""

    @property
    def count(self) -> int:
        """Samples in all."""
        ...

    def read(self, start: int, count: int) -> Samples:
        """Samples [start, start + count) in [-1, 1), fewer at the end. Safe to call from several threads."""
        ...

    def close(self) -> None:
        """Gives up what holds the samples."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Samples that are there already, as an Audio."""

    samples: Samples

    @property
    def count(self) -> int:
        return int(self.samples.size)

    def read(self, start: int, count: int) -> Samples:
        """As Audio.read."""
        return self.samples[start : start + count]

    def close(self) -> None:
        """Nothing is held."""


def ignore_progress(seconds_done: float) -> None:
    """For who does not watch."""


def ignore_language(language: str) -> None:
    """For who does not watch."""


@dataclass(frozen=True)
class Options:
    """`language` is None for auto. No clips: all of the audio. `seed` is of the sampling above temperature 0."""

    task: TaskKind
    language: str | None
    decoding: Decoding
    detection: LanguageDetection = field(default_factory=LanguageDetection)
    clips: tuple[Clip, ...] = ()
    quality: Quality = field(default_factory=Quality)
    seed: int = 0


@dataclass(frozen=True)
class Input:
    """`open` may take long and raise WorkerError; the engine calls it when it is the input's turn, in any thread, and closes the audio.

    The other two are called with the seconds of audio done, and with the language once it is known.
    """

    id: str
    open: Callable[[], Audio]
    options: Options
    on_progress: Callable[[float], None] = ignore_progress
    on_language: Callable[[str], None] = ignore_language


@dataclass(frozen=True)
class Counters:
    """What the work was, of one input."""

    windows: int = 0  # of 30 s, decoded
    steps: int = 0  # tokens that the decoder gave, of all attempts; 0 where the engine does not tell
    fallbacks: int = 0  # decodings above the first temperature
    retried: int = 0  # windows decoded again for their quality


@dataclass(frozen=True)
class Transcript:
    """`segments` are openai-whisper's own dictionaries: id, seek, start, end, text, tokens, avg_logprob and so on, words when asked.

    `language_probability` is None where the language was given. `long_form` and `precision` are the ones used.
    """

    text: str
    segments: list[dict[str, Any]]
    language: str
    language_probability: float | None
    audio_seconds: float
    counters: Counters = field(default_factory=Counters)
    long_form: str = "sequential"
    precision: str = "float32"


@dataclass(frozen=True)
class Outcome:
    """One of the two is set: what fails for one input is that input's outcome."""

    id: str
    transcript: Transcript | None = None
    error: WorkerError | None = None

    def value(self) -> Transcript:
        """The transcript, or the error raised."""
        if self.transcript is None:
            raise self.error or ValueError(f"outcome of {self.id!r} has neither transcript nor error")
        return self.transcript


class Engine(Protocol):
    """An engine with its model loaded."""

    name: str

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Outcomes in any order, each as soon as it is there. Inputs are taken as there is room for them."""
        ...
