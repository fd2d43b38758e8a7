"""An engine that answers at once, for tests of the pipeline around it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.protocol import SAMPLE_RATE, Input, Options, Outcome, Transcript
from transcription_worker.errors import WorkerError

from tests.support.instant_engine import InstantEngine

OPTIONS = Options(TaskKind.TRANSCRIBE, "en", Decoding())


def segment(text: str, seconds: float, tokens: int = 0) -> dict[str, Any]:
    return {
        "id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "tokens": [50_000 + n for n in range(tokens)],
        "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0,
    }  # fmt: skip


def say_length(item: Input) -> Transcript:
    """Open the input and say how long it is."""
    audio = item.open()
    seconds = audio.count / SAMPLE_RATE
    audio.close()
    text = f" {seconds:.2f} seconds"
    return Transcript(text, [segment(text, seconds)], "en", None, seconds)


class AtOnce(InstantEngine):
    """Transcribes one input after the other by a function. WorkerErrors are outcomes, and all else ends it."""

    name = "at once"

    def __init__(self, transcribe: Callable[[Input], Transcript] = say_length) -> None:
        self._transcribe = transcribe

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        for item in inputs:
            try:
                outcome = Outcome(item.id, self._transcribe(item))
            except WorkerError as error:
                outcome = Outcome(item.id, error=error)
            yield outcome
