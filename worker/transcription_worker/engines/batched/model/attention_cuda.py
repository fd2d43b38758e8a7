"""Cross-attention and self-attention of a decode step on a GPU, by the Triton kernels."""

from typing import Any

import torch
from torch import Tensor

from transcription_worker.engines.batched.kernels.triton_kernels import MAX_QUERIES, cross_attention, self_attention
from transcription_worker.engines.batched.model.cross_attention import CacheTensors, CrossAttention
from transcription_worker.engines.batched.model.float8_attention import Float8CrossAttention
from transcription_worker.engines.batched.model.self_attention import SelfAttention


class TritonCrossAttention(CrossAttention):
    """Reads keys and values once for all queries of a slot, and not at all where the slot's rows are finished."""

    def prefill(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: slice) -> Tensor:
        """See CrossAttention.prefill. Short prompts take the kernel: those of torch compute at least 64 queries."""
        if hidden.shape[1] > MAX_QUERIES:
            return super().prefill(layer, hidden, cache, slots)
        block = self._blocks[layer]
        out: Tensor = block.out(cross_attention(block.query(hidden), *(one[layer, slots] for one in cache)))
        return out

    def step(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: int, finished: Tensor) -> Tensor:
        """See CrossAttention.step."""
        group = hidden.shape[0] // slots
        if group > MAX_QUERIES:
            return super().step(layer, hidden, cache, slots, finished)
        block = self._blocks[layer]
        queries = block.query(hidden).view(slots, group, -1)
        attended = cross_attention(queries, *(one[layer, :slots] for one in cache), finished=finished)
        out: Tensor = block.out(attended.flatten(0, 1))
        return out


class TritonFloat8CrossAttention(Float8CrossAttention, TritonCrossAttention):
    """Reads keys and values in 8 bits, as they are stored. Prompts of more queries than a tile has go by way of 16 bits."""


class TritonSelfAttention(SelfAttention):
    """Reads each row's cache only up to its position, and never copies a row to reorder beams.

    The cache has a third tensor, `sources`, of shape (1, rows, n_text_ctx): which row of its group holds each position. A row
    writes its own positions alone, and each of them once, so that whatever another row continues from stays; the prompt is
    in every row of the group. TensorRT-LLM calls this cache indirection.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        super().__init__(model, dtype)
        self.length_multiple = model.dims.n_text_ctx

    def allocate(self, rows: int) -> CacheTensors:
        """See SelfAttention.allocate; `sources` comes third."""
        sources = torch.zeros(1, rows, self._dims.n_text_ctx, dtype=torch.int8, device=self._device)
        return (*super().allocate(rows), sources)

    def mask(self, positions: Tensor, length: int) -> Tensor:  # noqa: ARG002
        """See SelfAttention.mask; the kernel needs nothing but the positions."""
        return positions

    def step(
        self,
        layer: int,
        qkv: Tensor,
        positions: Tensor,
        mask: Tensor,  # noqa: ARG002
        cache: CacheTensors,
        group: int,
        finished: Tensor,
    ) -> Tensor:
        """See SelfAttention.step."""
        keys, values, sources = cache[0][layer], cache[1][layer], cache[2][0]
        return self_attention(qkv, keys, values, sources, positions, group, finished)

    def reorder(self, cache: CacheTensors, source: Tensor, length: int) -> None:  # noqa: ARG002
        """See SelfAttention.reorder."""
        cache[2][0, : source.shape[0]] = cache[2][0, source]

    def move(self, cache: CacheTensors, source: slice, target: slice, length: int) -> None:
        """See SelfAttention.move."""
        super().move(cache[:2], source, target, length)
        cache[2][:, target] = cache[2][:, source]
