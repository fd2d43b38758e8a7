"""Layers by oneDNN compute what torch's do, for any rows and in both types, and so does a whole encoder of them."""

import pytest
import torch
import whisper
from transcription_worker.engines.batched.model import backend
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.model.onednn_linear import OneDnnLinear, OneDnnMlp, has_onednn

from tests.support.testmodel import model_path

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
TYPES = [
    pytest.param(dtype, marks=pytest.mark.skipif(not has_onednn(dtype), reason=f"no products of {dtype} on this CPU"))
    for dtype in TOLERANCES
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 1500), (4, 7)])
def test_a_layer_computes_what_torchs_does(dtype: torch.dtype, bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(4)
    layer = torch.nn.Linear(48, 30, bias=bias).requires_grad_(False).to(dtype)
    x = torch.randn(*shape, 48).to(dtype)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(OneDnnLinear(layer)(x), layer(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TYPES)
def test_an_mlp_computes_what_whispers_does(dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    mlp = torch.nn.Sequential(torch.nn.Linear(48, 192), torch.nn.GELU(), torch.nn.Linear(192, 48)).to(dtype)
    x = torch.randn(2, 50, 48).to(dtype)
    tolerance = TOLERANCES[dtype]
    with torch.inference_mode():
        torch.testing.assert_close(OneDnnMlp(mlp)(x), mlp(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("available", [has_onednn(torch.float32), False])
def test_windows_are_encoded_as_whisper_encodes_them_with_onednn_and_without(
    available: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "has_onednn", lambda _: available)
    model = whisper.load_model(str(model_path()), device="cpu")
    windows = [torch.randn(model.dims.n_mels, 3000, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    with torch.inference_mode():
        found = ModelRunner(model, torch.float32).encode(windows)
        torch.testing.assert_close(torch.stack(found), model.encoder(torch.stack(windows)), rtol=1e-4, atol=1e-4)
