"""One table of engines and one of formats, each with a row for every choice of the spec."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transcription_api import reasons
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import Decoding, EngineKind, Format, LongForm, Precision, TaskKind
from transcription_worker.engines import selection
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.formats.writers import FORMATS
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

CPU = DeviceUsed("cpu")


def test_every_engine_of_the_spec_has_a_row() -> None:
    assert list(selection.ENGINES) == list(EngineKind)


def test_every_format_of_the_spec_has_a_row() -> None:
    assert list(FORMATS) == list(Format)


@pytest.mark.parametrize("kind", EngineKind)
def test_the_engine_that_was_asked_for_is_the_one_that_is_loaded(
    kind: EngineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*given: Any) -> Any:
        return given

    row = selection.EngineFactory(selection.ENGINES[kind].refuse, load)
    monkeypatch.setitem(selection.ENGINES, kind, row)
    model: Any = ModelFile(Path("tiny.pt"), ModelUsed("tiny", "sha256:0"))
    loaded: Any = selection.load_engine(kind, model, CPU, Precision.AUTO, 3)
    assert loaded == (model, CPU, Precision.AUTO, 3)


def test_memory_that_runs_out_while_the_engine_copies_weights_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    row = selection.EngineFactory(selection.ENGINES[EngineKind.BATCHED].refuse, load)
    monkeypatch.setitem(selection.ENGINES, EngineKind.BATCHED, row)
    model = ModelFile(Path("tiny.pt"), ModelUsed("tiny", "sha256:0"))
    with pytest.raises(WorkerError, match="OutOfMemory: loading model 'tiny': CUDA out of memory"):
        selection.load_engine(EngineKind.BATCHED, model, CPU, Precision.AUTO)


def test_an_engine_refuses_what_it_does_not_have_and_the_batched_engine_nothing() -> None:
    asked = Options(TaskKind.TRANSCRIBE, "en", Decoding(long_form=LongForm.CHUNKED))
    selection.refuse(EngineKind.BATCHED, asked, CPU)
    for kind in (EngineKind.OPENAI_WHISPER, EngineKind.FASTER_WHISPER):
        with pytest.raises(WorkerError, match=f"with engine {kind.value}"):
            selection.refuse(kind, asked, CPU)


def test_int8_is_for_the_cpu_and_for_engines_that_have_it() -> None:
    asked = Options(TaskKind.TRANSCRIBE, "en", Decoding(precision=Precision.INT8))
    for kind in (EngineKind.BATCHED, EngineKind.FASTER_WHISPER):
        selection.refuse(kind, asked, CPU)
        with pytest.raises(WorkerError, match=r"spec\.decoding\.precision: got 'int8' on a GPU, expected auto"):
            selection.refuse(kind, asked, DeviceUsed("cuda", "H100"))
    with pytest.raises(WorkerError, match=r"got int8 with engine openai-whisper, expected auto, float32 or float16"):
        selection.refuse(EngineKind.OPENAI_WHISPER, asked, CPU)


@pytest.mark.parametrize(("name", "capability"), [("NVIDIA A100", "8.0"), ("NVIDIA A10", "8.6"), ("Tesla T4", "7.5")])
def test_float8_on_a_gpu_without_such_numbers_is_refused_with_its_name(name: str, capability: str) -> None:
    asked = Options(TaskKind.TRANSCRIBE, "en", Decoding(precision=Precision.FLOAT8))
    expected = rf"got 'float8' on {name}, whose compute capability is {capability}, expected .* a GPU of at least 8\.9"
    with pytest.raises(WorkerError, match=expected) as caught:
        selection.refuse(EngineKind.BATCHED, asked, DeviceUsed("cuda", name, compute_capability=capability))
    assert caught.value.reason is reasons.ENGINE_UNSUITABLE


def test_float8_is_for_newer_gpus_and_the_batched_engine() -> None:
    asked = Options(TaskKind.TRANSCRIBE, "en", Decoding(precision=Precision.FLOAT8))
    for capability in ("8.9", "9.0", "10.0", "12.0", None):
        selection.refuse(EngineKind.BATCHED, asked, DeviceUsed("cuda", "GPU", compute_capability=capability))
    with pytest.raises(
        WorkerError, match=r"precision: got 'float8' on a CPU, expected auto, float32, bfloat16 or int8"
    ):
        selection.refuse(EngineKind.BATCHED, asked, CPU)
    for kind in (EngineKind.OPENAI_WHISPER, EngineKind.FASTER_WHISPER):
        with pytest.raises(WorkerError, match=f"got float8 with engine {kind.value}, expected auto"):
            selection.refuse(kind, asked, DeviceUsed("cuda", "H100", compute_capability="9.0"))


def test_a_precision_that_the_device_has_not_is_refused_for_every_engine() -> None:
    asked = Options(TaskKind.TRANSCRIBE, "en", Decoding(precision=Precision.FLOAT16))
    for kind in EngineKind:
        with pytest.raises(WorkerError, match=r"spec\.decoding\.precision"):
            selection.refuse(kind, asked, CPU)
