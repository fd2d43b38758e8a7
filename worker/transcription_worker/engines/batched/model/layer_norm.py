"""Layer norms, computed in float32 as in openai-whisper's LayerNorm, and their fusion with the sum before them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from transcription_worker.engines.batched.kernels import layer_norm_cpu
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba

# (hidden, update, norm) to (hidden + update, norm of that sum), both in the type and shape of hidden, (..., width). `norm` is a
# torch.nn.LayerNorm.
AddAndNorm = Callable[[Tensor, Tensor, Any], tuple[Tensor, Tensor]]


def layer_norm_float32(norm: Any, x: Tensor) -> Tensor:
    """Apply a torch.nn.LayerNorm in float32. The result has the type of `x`."""
    if x.dim() == 2 and uses_numba(x.dtype, x.device):  # the rows of a decode step
        out = torch.empty_like(x)
        layer_norm_cpu.layer_norm(x.numpy(), norm.weight.numpy(), norm.bias.numpy(), norm.eps, out.numpy())
        return out
    return layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(x.dtype)


def add_and_norm(hidden: Tensor, update: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """Implement AddAndNorm by torch, for any device."""
    added = hidden + update
    return added, layer_norm_float32(norm, added)
