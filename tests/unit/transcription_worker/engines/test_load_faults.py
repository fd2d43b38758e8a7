"""A GPU that fails, or memory that runs out, while an engine loads its model makes no bad model of the file."""

from collections.abc import Iterator
from typing import Any

import faster_whisper
import pytest
import torch
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import EngineKind, Precision
from transcription_worker.engines.checkpoints import model_builder
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.faster_whisper import conversion
from transcription_worker.engines.selection import load_engine
from transcription_worker.errors import WorkerError

from tests.support.testmodel import model_path, model_sha256

CPU = DeviceUsed("cpu")
FAULT = "an illegal memory access was encountered"
# Each is a RuntimeError, as that of a file which is no checkpoint is.
ERRORS: dict[str, tuple[type[Exception], str, Reason]] = {
    "memory of the GPU": (
        torch.OutOfMemoryError,
        "CUDA out of memory. Tried to allocate 2 GiB.",
        reasons.OUT_OF_MEMORY,
    ),
    "memory of the host": (RuntimeError, "DefaultCPUAllocator: can't allocate memory", reasons.OUT_OF_MEMORY),
    "accelerator": (
        torch.AcceleratorError,
        f"CUDA error: {FAULT}\nCUDA kernel errors might be reported",
        reasons.GPU_FAULT,
    ),
    "libraries": (RuntimeError, "CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx", reasons.GPU_FAULT),
    "CTranslate2": (RuntimeError, f"CUDA failed with error {FAULT}", reasons.GPU_FAULT),
}
# Where the weights are on the device for the first time, or are computed with.
PLACES: dict[str, tuple[EngineKind, Any, str]] = {
    "batched": (EngineKind.BATCHED, model_builder, "refuse_not_finite"),
    "openai-whisper": (EngineKind.OPENAI_WHISPER, model_builder, "refuse_not_finite"),
    "conversion": (EngineKind.FASTER_WHISPER, conversion, "refuse_not_finite"),
    "faster-whisper": (EngineKind.FASTER_WHISPER, faster_whisper, "WhisperModel"),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give each place a cache of its own, so that a conversion is where the model of faster-whisper is opened alone."""
    root = tmp_path_factory.getbasetemp() / request.param
    (root / "var/cache/transcription/models").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSCRIPTION_ROOT", str(root))
        yield request.param


@pytest.mark.parametrize("name", ERRORS)
def test_what_fails_beside_the_file_is_told_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    kind, owner, function = PLACES[place]
    error, words, reason = ERRORS[name]

    def fail(*_: Any, **__: Any) -> Any:
        raise error(words)

    monkeypatch.setattr(owner, function, fail)
    model = ModelFile(model_path(), ModelUsed("own.pt", f"sha256:{model_sha256()}"))
    with pytest.raises(WorkerError, match=r"(load|convert)ing model 'own\.pt'") as caught:
        load_engine(kind, model, CPU, Precision.AUTO)
    assert caught.value.reason is reason
    assert not reason.permanent
