"""Linear layers of the decoder on a CPU in float32: few rows by a kernel that reads weights of half precision."""

from typing import Any

import torch
from torch import Tensor

from transcription_worker.engines.batched.kernels.linear_cpu import linear, pack_weight

# Up to so many rows, by torch's threads, the kernel is used. With one thread it was ahead of torch's product at all of 1 to 80
# rows. Several threads of torch share the reading: chosen for two, whose few rows gain little, and not measured.
MAX_ROWS = {1: 256, 2: 16}

# Models as wide as small. Wider ones keep no second copy of their weights: they would take a quarter more memory.
MAX_WIDTH = 768


class PackedLinear:
    """Computes what a torch.nn.Linear computes, which it keeps for many rows."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._weight = layer, pack_weight(layer.weight.detach())
        bias = torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias
        self._bias = bias.detach().numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply. x: (..., inputs), float32. Returns (..., outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        if rows.shape[0] > MAX_ROWS.get(torch.get_num_threads(), 0):
            out: Tensor = self._layer(x)
            return out
        product = torch.empty(rows.shape[0], self._bias.shape[0])
        linear(rows.contiguous().numpy(), self._weight, self._bias, product.numpy())
        return product.view(*x.shape[:-1], -1)
