"""An engine that needs no model: it reads all samples and says how long they are."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import EngineKind
from transcription_worker.engines.protocol import SAMPLE_RATE, Input, Options, Outcome, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.engine_loader import EngineLoader, LoadedEngine
from transcription_worker.pipeline.sink import EngineUsed

DEVICE = DeviceUsed("cpu")
BLOCK = 1 << 20  # samples


class InstantEngine:
    """Opens two inputs at a time in threads of its own."""

    name = "instant"

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Implement protocol.Engine."""
        listed = iter(inputs)
        with ThreadPoolExecutor(2) as threads:
            while pair := list(itertools.islice(listed, 2)):
                yield from threads.map(self.transcribe_file, pair)

    def transcribe_file(self, item: Input) -> Outcome:
        """Return a transcript that tells the number of seconds."""
        try:
            audio = item.open()
        except WorkerError as error:
            return Outcome(item.id, error=error)
        try:
            seconds = sum(audio.read(start, BLOCK).size for start in range(0, audio.count, BLOCK)) / SAMPLE_RATE
        except WorkerError as error:
            return Outcome(item.id, error=error)
        finally:
            audio.close()
        text = f" {seconds:.2f} seconds"
        segment: dict[str, Any] = {"id": 0, "start": 0.0, "end": seconds, "text": text, "avg_logprob": -0.1}
        segment |= {"no_speech_prob": 0.0, "compression_ratio": 1.0, "temperature": 0.0, "tokens": [], "seek": 0}
        return Outcome(item.id, Transcript(text, [segment], "en", None, seconds))


class InstantLoader(EngineLoader):
    """A loader of this engine, or of another one that is given; `loaded` counts the loadings."""

    def __init__(self, options: Options, engine: InstantEngine | None = None) -> None:
        self.loaded = 0
        self._engine = engine or InstantEngine()
        super().__init__(EngineKind.BATCHED, options, DEVICE, find_model=self._no_model)

    @staticmethod
    def _no_model() -> Any:
        raise AssertionError("no model is needed")

    def check(self) -> None:
        """Accept all options."""

    def _load(self) -> LoadedEngine:
        self.loaded += 1
        return LoadedEngine(self._engine, EngineUsed(self._engine.name, ModelUsed("none"), DEVICE))
