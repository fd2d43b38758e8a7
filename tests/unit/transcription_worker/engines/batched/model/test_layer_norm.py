"""The norm of a decode step's rows on a CPU is torch's."""

import pytest
import torch
from transcription_worker.engines.batched.kernels import layer_norm_cpu
from transcription_worker.engines.batched.model.layer_norm import add_and_norm, layer_norm_float32


@pytest.mark.parametrize(("spread", "middle"), [(0.01, 0.0), (1.0, 0.0), (300.0, 0.0), (1.0, 50.0)])
def test_rows_are_normed_as_torch_norms_them(spread: float, middle: float) -> None:
    torch.manual_seed(2)
    norm = torch.nn.LayerNorm(50).requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    hidden, update = torch.randn(7, 50) * spread + middle, torch.randn(7, 50)
    kernel = torch.empty_like(hidden)
    layer_norm_cpu.layer_norm(hidden.numpy(), norm.weight.numpy(), norm.bias.numpy(), norm.eps, kernel.numpy())
    torch.testing.assert_close(kernel, norm(hidden), rtol=1e-4, atol=1e-4)
    assert torch.equal(layer_norm_float32(norm, hidden), kernel)
    added, normed = add_and_norm(hidden, update, norm)
    assert torch.equal(added, hidden + update)
    torch.testing.assert_close(normed, norm(hidden + update), rtol=1e-4, atol=1e-4)
