"""The decoder's self-attention to the text of each row: its KV cache, and how a step reads and extends it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.model.cross_attention import CacheTensors

# A step reads the cache up to a multiple of this many positions; on a GPU each multiple has its own CUDA graph.
LENGTH_MULTIPLE_CPU = 32
LENGTH_MULTIPLE_GPU = 64


class SelfAttention:
    """Caches keys and values of every layer; rows that continue other rows are copied.

    In all methods, `layer` is a decoder layer's number. length_multiple: `length`, the upper bound of positions that `step`
    and `reorder` are given, is a multiple of it.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._dims, self._dtype, self._device = model.dims, dtype, torch.device(model.device)
        self.length_multiple = LENGTH_MULTIPLE_GPU if self._device.type == "cuda" else LENGTH_MULTIPLE_CPU

    def allocate(self, rows: int) -> CacheTensors:
        """Keys and values, each (layers, rows, heads, n_text_ctx, head width). Zeros, since what is masked must not be NaN."""
        dims = self._dims
        shape = (dims.n_text_layer, rows, dims.n_text_head, dims.n_text_ctx, dims.n_text_state // dims.n_text_head)
        return tuple(torch.zeros(shape, dtype=self._dtype, device=self._device) for _ in range(2))

    def write(self, layer: int, keys: Tensor, values: Tensor, cache: CacheTensors, rows: slice) -> None:
        """Cache keys and values of whole prompts, each (slots, heads, length, head width), in all rows of the slots."""
        group, length = (rows.stop - rows.start) // keys.shape[0], keys.shape[2]
        for whole, new in zip(cache, (keys, values), strict=False):
            whole[layer, rows, :, :length] = new.repeat_interleave(group, dim=0)

    def mask(self, positions: Tensor, length: int) -> Tensor:
        """The attention mask that `step` takes, the same for all layers. positions: (rows,)."""
        return (torch.arange(length, device=positions.device) <= positions[:, None])[:, None, None, :]

    def step(
        self,
        layer: int,
        qkv: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: CacheTensors,
        group: int,  # noqa: ARG002
        finished: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Self-attention of one token of each row, (rows, width). Its key and value are written to the cache.

        qkv: (rows, 3 * width), queries, keys and values. finished: (rows,), which rows may get anything that is a number.
        """
        rows, length = qkv.shape[0], mask.shape[-1]
        every = torch.arange(rows, device=qkv.device)
        queries, keys, values = (x.view(rows, self._dims.n_text_head, -1) for x in qkv.chunk(3, dim=-1))
        row_keys, row_values = cache[0][layer, :rows], cache[1][layer, :rows]
        row_keys[every, :, positions] = keys
        row_values[every, :, positions] = values
        out = scaled_dot_product_attention(
            queries[:, :, None], row_keys[:, :, :length], row_values[:, :, :length], attn_mask=mask
        )
        return out.flatten(1)

    def reorder(self, cache: CacheTensors, source: Tensor, length: int) -> None:
        """Let the first rows continue other rows of their groups. source: (rows,). length: upper bound of their positions."""
        for one in cache:
            one[:, : source.shape[0], :, :length] = one[:, source, :, :length]

    def move(self, cache: CacheTensors, source: slice, target: slice, length: int) -> None:
        """Copy a slot's rows to those of another slot, up to `length` positions."""
        for one in cache:
            one[:, target, :, :length] = one[:, source, :, :length]
