"""Which implementations and types a model is computed with."""

import types
from typing import Any

import pytest
import torch
from transcription_api.spec import Precision
from transcription_worker.engines.batched.model import backend as backend_module
from transcription_worker.engines.batched.model.backend import choose_backend, decoder_dtype
from transcription_worker.engines.batched.model.cross_attention import unchanged
from transcription_worker.engines.batched.model.encoder_attention import whisper_attention
from transcription_worker.engines.batched.model.int8_linear import quantize_linear
from transcription_worker.engines.batched.model.onednn_linear import OneDnnMlp
from transcription_worker.engines.batched.model.packed_linear import MAX_WIDTH, PackedLinear
from transcription_worker.engines.batched.model.self_attention import NumbaSelfAttention, SelfAttention

HALF, FULL = torch.bfloat16, torch.float32


def model(width: int, device: str = "cpu") -> Any:
    return types.SimpleNamespace(dims=types.SimpleNamespace(n_text_state=width, n_audio_state=width), device=device)


@pytest.mark.parametrize(
    ("width", "device", "dtype", "decoder"),
    [
        (MAX_WIDTH, "cpu", HALF, FULL),
        (MAX_WIDTH, "cpu", FULL, FULL),
        (MAX_WIDTH + 64, "cpu", HALF, HALF),
        (MAX_WIDTH, "cuda", HALF, HALF),
    ],
)
def test_a_narrow_decoder_stays_in_float32_on_a_cpu(
    width: int, device: str, dtype: torch.dtype, decoder: torch.dtype
) -> None:
    assert decoder_dtype(model(width, device), dtype) is decoder


@pytest.mark.parametrize(
    ("width", "dtype", "precision", "linear", "attention"),
    [
        (MAX_WIDTH, FULL, Precision.AUTO, PackedLinear, NumbaSelfAttention),
        (MAX_WIDTH + 64, FULL, Precision.AUTO, unchanged, NumbaSelfAttention),
        (MAX_WIDTH, FULL, Precision.INT8, quantize_linear, NumbaSelfAttention),
        (MAX_WIDTH + 64, HALF, Precision.BFLOAT16, unchanged, SelfAttention),
    ],
)
def test_what_decodes_on_a_cpu_hangs_on_width_and_precision(
    width: int, dtype: torch.dtype, precision: Precision, linear: Any, attention: Any
) -> None:
    backend = choose_backend(model(width), dtype, precision)
    assert (backend.linear, backend.self_attention) == (linear, attention)


@pytest.mark.parametrize(
    ("width", "dtype", "precision", "products", "mlp"),
    [
        (MAX_WIDTH, FULL, Precision.AUTO, {FULL}, OneDnnMlp),
        (MAX_WIDTH, HALF, Precision.BFLOAT16, {FULL, HALF}, OneDnnMlp),
        (MAX_WIDTH, HALF, Precision.BFLOAT16, {FULL}, unchanged),
        (MAX_WIDTH, FULL, Precision.AUTO, set(), unchanged),
        (MAX_WIDTH + 64, FULL, Precision.AUTO, {FULL}, unchanged),
        (MAX_WIDTH, FULL, Precision.INT8, {FULL}, unchanged),
    ],
)
def test_an_encoder_has_onednns_layers_where_there_are_products_of_its_type(
    width: int,
    dtype: torch.dtype,
    precision: Precision,
    products: set[torch.dtype],
    mlp: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend_module, "has_onednn", lambda asked: asked in products)
    backend = choose_backend(model(width), FULL, precision, dtype)
    assert backend.encoder_mlp is mlp
    assert (backend.encoder_attention is whisper_attention) == (mlp is unchanged)
