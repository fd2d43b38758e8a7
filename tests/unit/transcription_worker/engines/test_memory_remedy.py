"""Where a GPU's memory runs out, the failure says what would fit."""

from collections.abc import Iterable, Iterator

import pytest
from transcription_api import reasons
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import Decoding, EngineKind, Precision, TaskKind
from transcription_worker.engines import memory, selection
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.memory_remedy import ExplainedEngine, MemoryNeed
from transcription_worker.engines.memory_steps import MemorySteps
from transcription_worker.engines.protocol import Input, Options, Outcome
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.engine_loader import EngineLoader

from tests.support.testmodel import model_path


def remedy(free: int, decoding: Decoding, model: str = "large-v3") -> str:
    return MemoryNeed(model, EngineKind.BATCHED, decoding, free).remedy()


@pytest.mark.parametrize(
    ("free", "decoding", "expected"),
    [
        (8000, Decoding(precision=Precision.FLOAT32), "spec.decoding.precision float16 fits, with 5696 MiB"),
        (4864, Decoding(), "spec.model.name turbo fits, in float16 with 3009 MiB"),
        (4864, Decoding(precision=Precision.FLOAT32), "spec.model.name turbo fits, in float16 with 3009 MiB"),
        (6000, Decoding(beam_size=20), "spec.decoding.beamSize and bestOf of 5 fit, with 5696 MiB"),
        (1100, Decoding(), "no model of openai-whisper's fits"),
        (80_000, Decoding(), "another process has taken some since, do not share the GPU"),
    ],
)
def test_what_fits_is_named_by_its_field(free: int, decoding: Decoding, expected: str) -> None:
    said = remedy(free, decoding)
    assert said.startswith("large-v3 in float")
    assert f"{free} MiB of the GPU were free: " in said
    assert said.endswith(expected)


def test_of_a_file_of_ones_own_only_the_models_that_fit_are_known() -> None:
    said = remedy(4864, Decoding(), "mine.pt")
    assert said == "4864 MiB of the GPU were free: spec.model.name turbo fits, in float16 with 3009 MiB"


class Failing:
    """Fails the first input for want of memory and the second for its model."""

    name = "failing"

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        for item, reason in zip(inputs, (reasons.OUT_OF_MEMORY, reasons.NUMERIC_OVERFLOW), strict=False):
            yield Outcome(item.id, error=WorkerError(reason, "transcribing: CUDA out of memory"))


def test_an_input_that_does_not_fit_by_itself_says_what_would() -> None:
    inputs = [Input(name, lambda: None, Options(TaskKind.TRANSCRIBE, "en", Decoding())) for name in "ab"]  # type: ignore[arg-type,return-value]
    need = MemoryNeed("large-v3", EngineKind.BATCHED, Decoding(), 4864)
    first, second = ExplainedEngine(Failing(), need).transcribe(inputs)
    assert first.error is not None
    assert first.error.message == f"transcribing: CUDA out of memory; {need.remedy()}"
    assert second.error is not None
    assert second.error.message == "transcribing: CUDA out of memory"


def test_a_model_that_does_not_fit_is_refused_with_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> BatchedEngine:
        raise WorkerError(reasons.OUT_OF_MEMORY, "loading model 'large-v3' on cuda:0: CUDA out of memory")

    monkeypatch.setattr(memory, "free_gpu_mib", lambda: 4864)
    monkeypatch.setitem(selection.ENGINES, EngineKind.BATCHED, selection.EngineFactory(lambda _: None, load))
    loader = EngineLoader(
        EngineKind.BATCHED,
        Options(TaskKind.TRANSCRIBE, "en", Decoding()),
        DeviceUsed("cuda", "NVIDIA A100 MIG 1g.5gb"),
        lambda: ModelFile(model_path(), ModelUsed("large-v3", "sha256:0")),
    )
    with pytest.raises(WorkerError) as caught:
        loader.load()
    assert caught.value.reason is reasons.OUT_OF_MEMORY
    assert "on cuda:0: CUDA out of memory; large-v3 in float16" in caught.value.message
    assert caught.value.message.endswith("spec.model.name turbo fits, in float16 with 3009 MiB")


def test_the_steps_are_one_sentence_however_often_they_are_taken() -> None:
    steps = MemorySteps()
    assert steps.describe() is None
    for _ in range(1000):
        for size in (96, 48, 24):
            steps.lowered(size, size // 2)
    assert steps.describe() == "memory ran out: windows decoded together went from 96 to 48, 24, 12"
