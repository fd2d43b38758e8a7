"""A GPU that fails ends the run: no file is named as failed for it, and those that are done stay done."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import whisper
from transcription_api import reasons
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.scheduling.decode_batch import DecodeBatch
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import Outcome
from transcription_worker.errors import WorkerError

from tests.support.engine_cases import GREEDY, SHORT, item, options, spoken
from tests.support.testmodel import model_path

WORDS = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported at some other call"
FILES = 5

# Where a GPU computes: the first pass over the audio, a window's spectrogram, the encoder and so on.
PLACES = [
    (LogMel, "__init__"),
    (LogMel, "window"),
    (ModelRunner, "encode"),
    (ModelRunner, "detect_languages"),
    (ModelRunner, "align"),
    (Decoder, "prefill"),
    (DecodeBatch, "launch"),
    (DecodeBatch, "collect"),
]


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


def fail_from(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, first: int) -> None:
    """Let a method raise what CUDA raises, from its call of that number on: such an error stays."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    def failing(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] >= first:
            raise RuntimeError(WORDS)
        return original(*given, **named)

    monkeypatch.setattr(owner, name, failing)


def taken(outcomes: Iterator[Outcome]) -> tuple[list[Outcome], WorkerError]:
    """Return the outcomes up to the error that ends them, and that error."""
    found: list[Outcome] = []
    with pytest.raises(WorkerError) as caught:
        found.extend(outcomes)
    return found, caught.value


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=lambda one: getattr(one, "__name__", one))
def test_no_file_is_named_as_failed_for_a_gpu_that_failed(
    model: Any, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    asked = options(GREEDY | {"word_timestamps": True})
    inputs = [item(str(number), spoken("en", 940, SHORT), asked) for number in range(FILES)]
    fail_from(monkeypatch, owner, name, first=2)
    found, error = taken(BatchedEngine(model, batch=2).transcribe(inputs))
    assert error.reason is reasons.GPU_FAULT
    assert "an illegal memory access" in error.message
    assert [outcome.error for outcome in found] == [None] * len(found)
    assert len(found) < FILES


def test_openai_whisper_ends_too_when_its_gpu_failed(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [item(str(number), spoken("en", 940, SHORT)) for number in range(3)]
    fail_from(monkeypatch, whisper, "transcribe", first=2)
    found, error = taken(OpenAIWhisper(model).transcribe(inputs))
    assert error.reason is reasons.GPU_FAULT
    assert [outcome.error for outcome in found] == [None]


def test_memory_that_runs_out_while_a_cuda_graph_is_captured_is_no_fault_of_the_gpu(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch, refused = DecodeBatch.launch, []

    def capturing(self: DecodeBatch[Any], steps: int = 1) -> None:
        if self.slots > 1:
            refused.append(self.slots)
            try:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            finally:  # the end of the capture
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        launch(self, steps)

    monkeypatch.setattr(DecodeBatch, "launch", capturing)
    inputs = [item(str(number), spoken("en", 940, SHORT)) for number in range(2)]
    assert all(outcome.error is None for outcome in BatchedEngine(model, batch=2).transcribe(inputs))
    assert refused
