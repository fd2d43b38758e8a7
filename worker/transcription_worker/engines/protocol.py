"""What every engine is: many inputs in, one outcome for each as it is done."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from transcription_api.spec import Decoding, TaskKind

from transcription_worker.errors import WorkerError

Samples = np.ndarray[Any, np.dtype[np.float32]]


def ignore_progress(seconds_done: float) -> None:
    """For who does not watch."""


def ignore_language(language: str) -> None:
    """For who does not watch."""


@dataclass(frozen=True)
class Options:
    """`language` is None for auto."""

    task: TaskKind
    language: str | None
    decoding: Decoding


@dataclass(frozen=True)
class Input:
    """Mono samples at 16 kHz. The callbacks run in the engine's thread: seconds of audio done, and the language once known."""

    id: str
    samples: Samples
    options: Options
    on_progress: Callable[[float], None] = ignore_progress
    on_language: Callable[[str], None] = ignore_language


@dataclass(frozen=True)
class Transcript:
    """`segments` are openai-whisper's own dictionaries: id, seek, start, end, text, tokens, avg_logprob and so on, words when asked.

    `language_probability` is None where the language was given.
    """

    text: str
    segments: list[dict[str, Any]]
    language: str
    language_probability: float | None
    audio_seconds: float
    windows: int  # 30 s windows decoded
    fallbacks: int  # decodings above the first temperature


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
        """Outcomes in any order, each as soon as it is there."""
        ...
