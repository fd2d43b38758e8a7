"""The table of memory by model counts what the engines really hold."""

import dataclasses
import gc
from typing import Any

import pytest
import torch
from transcription_api.model_memory import AUDIO_POSITIONS, DIMENSIONS, TEXT_POSITIONS, Dimensions, weight_bytes
from transcription_api.model_memory import window_bytes as window_bytes_of_model
from transcription_api.spec import EngineKind, Precision
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.scheduling.capacity import window_bytes
from transcription_worker.engines.checkpoints.model_builder import _NoRandomInit
from transcription_worker.engines.checkpoints.precision import store
from whisper.model import ModelDimensions, Whisper

HEADS = 4  # any divisor of the width


def made(dimensions: Dimensions) -> Any:
    """Return whisper's model of these dimensions. Its weights are never written, so that they take no memory."""
    mels, vocabulary, width, audio, text = dataclasses.astuple(dimensions)
    with _NoRandomInit():
        return Whisper(
            ModelDimensions(mels, AUDIO_POSITIONS, width, HEADS, audio, vocabulary, TEXT_POSITIONS, width, HEADS, text)
        )


def held(parameters: Any) -> int:
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in parameters}.values())


@pytest.mark.parametrize("name", ["tiny.en", "base", "medium", "large-v2", "large-v3", "turbo"])
def test_the_weights_of_a_model_are_counted_to_the_byte(name: str) -> None:
    model = made(DIMENSIONS[name])
    found = held(one for one in [*model.parameters(), *model.buffers()] if one.layout is torch.strided)
    masked = TEXT_POSITIONS * TEXT_POSITIONS * 4  # the decoder's mask, which the table leaves out
    assert found - masked == weight_bytes(DIMENSIONS[name], 4, EngineKind.OPENAI_WHISPER)


def test_what_the_batched_engine_holds_twice_is_counted() -> None:
    dimensions = Dimensions(80, 51865, 832, 2, 3)  # wider than what a CPU decodes in another type
    model = made(dimensions)
    store(model, torch.bfloat16)
    known = tensors()  # kept, so that no identity is used twice
    runner = ModelRunner(model, torch.bfloat16)
    copies = held(one for one in tensors() if id(one) not in {id(other) for other in known})
    weights = held([*model.parameters(), model.encoder.positional_embedding])
    assert runner.dtype is torch.bfloat16
    assert weights + copies == pytest.approx(weight_bytes(dimensions, 2), rel=0.001)


def tensors() -> list[torch.Tensor]:
    gc.collect()
    return [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor) and one.layout is torch.strided]


@pytest.mark.parametrize("name", ["tiny", "large-v3", "turbo"])
def test_the_cache_of_a_window_is_the_one_that_the_engine_counts_with(name: str) -> None:
    dims, device = made(DIMENSIONS[name]).dims, torch.device("cuda")
    assert window_bytes_of_model(DIMENSIONS[name], 2) == window_bytes(dims, 5, torch.float16, device)
    eight = window_bytes(dims, 5, torch.float16, device, Precision.FLOAT8)
    # But for the scales, and what fills up the columns of values.
    assert window_bytes_of_model(DIMENSIONS[name], 2, audio_itemsize=1) == pytest.approx(eight, rel=0.002)
