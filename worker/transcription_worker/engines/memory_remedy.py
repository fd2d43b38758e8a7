"""What would fit where a GPU's memory ran out: fewer beams, a smaller precision or a smaller model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from transcription_api import reasons
from transcription_api.model_memory import ROWS, fitting, gpu_memory_mib, on_gpu
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding, EngineKind, Precision

from transcription_worker.engines.protocol import Engine, Input, Outcome
from transcription_worker.errors import WorkerError


@dataclass(frozen=True)
class MemoryNeed:
    """What was asked for, and the memory of the GPU that was free before the model was loaded, in MiB."""

    model: str
    engine: EngineKind
    decoding: Decoding
    free_mib: int

    def remedy(self) -> str:
        """What the model takes, and what to ask for instead."""
        precision, rows = on_gpu(self.decoding.precision), rows_of(self.decoding)
        needed = gpu_memory_mib(self.model, precision, self.engine, rows)
        found = f"{self.free_mib} MiB of the GPU were free"
        if needed is None:
            return f"{found}: {self._smaller(precision)}"
        asked = f"{self.model} in {precision.value} with {rows} beams or samples needs about {needed} MiB, and {found}"
        if needed <= self.free_mib:
            return f"{asked}: another process has taken some since, do not share the GPU"
        fewer = gpu_memory_mib(self.model, precision, self.engine)
        if rows > ROWS and fewer is not None and fewer <= self.free_mib:
            return f"{asked}: spec.decoding.beamSize and bestOf of {ROWS} fit, with {fewer} MiB"
        return f"{asked}: {self._smaller(precision)}"

    def _smaller(self, precision: Precision) -> str:
        found = fitting(self.free_mib, self.model, precision, self.engine)
        if found is None:
            return "no model of openai-whisper's fits"
        name, fits = found
        takes = gpu_memory_mib(name, fits, self.engine)
        if name == self.model:
            return f"spec.decoding.precision {fits.value} fits, with {takes} MiB"
        return f"spec.model.name {name} fits, in {fits.value} with {takes} MiB"

    def explain(self, error: WorkerError) -> WorkerError:
        """Return the error with the remedy behind its words, if it says that memory ran out."""
        if error.reason is not reasons.OUT_OF_MEMORY:
            return error
        return WorkerError(error.reason, f"{error.message}; {self.remedy()}")


class ExplainedEngine:
    """An engine whose inputs that fail for want of memory say what would fit."""

    def __init__(self, engine: Engine, need: MemoryNeed) -> None:
        self._engine, self._need = engine, need
        self.name = engine.name

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Implement protocol.Engine."""
        for outcome in self._engine.transcribe(inputs):
            yield outcome if outcome.error is None else replace(outcome, error=self._need.explain(outcome.error))


def rows_of(decoding: Decoding) -> int:
    """The most rows that a window is decoded in: beams at temperature 0, samples above it."""
    return max(decoding.beam_size or DEFAULT_BEAM_SIZE, decoding.best_of or DEFAULT_BEST_OF)
