"""Cross-attention whose cached keys and values have 8 bits, by torch: on a device where the Triton kernel is not used."""

from typing import Any

import torch
from torch import Tensor

from transcription_worker.engines.batched.kernels import float8
from transcription_worker.engines.batched.kernels.float8 import Float8Tensors, Quantize
from transcription_worker.engines.batched.model.cross_attention import CacheTensors, CrossAttention


class Float8CrossAttention(CrossAttention):
    """Caches keys and values as float8 does; what attends to features that are not cached is as without it.

    quantize: what a window's keys and values are written by when it is admitted.
    """

    def __init__(self, model: Any, dtype: torch.dtype, quantize: Quantize = float8.quantize) -> None:
        super().__init__(model, dtype)
        self._quantize = quantize

    def allocate(self, slots: int, group: int = 1) -> CacheTensors:  # noqa: ARG002
        """See CrossAttention.allocate; the tensors are Float8Tensors of (layers, slots)."""
        dims = self._dims
        shape, width = (dims.n_text_layer, slots, self._heads), dims.n_text_state // self._heads
        return float8.allocate(shape, dims.n_audio_ctx, width, self._device)

    def write(self, features: Tensor, cache: CacheTensors, slots: slice) -> None:
        """See CrossAttention.write."""
        for layer in range(len(self._blocks)):
            keys, values = self.keys_and_values(layer, features)
            self._quantize(keys, values, Float8Tensors(*(one[layer, slots] for one in cache)))

    def read(self, layer: int, cache: CacheTensors, slots: slice) -> tuple[Tensor, ...]:
        """See CrossAttention.read."""
        return float8.dequantize(Float8Tensors(*(one[layer, slots] for one in cache)), self._dtype)
