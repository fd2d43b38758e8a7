"""The decoder's self-attention to the text of each row: its KV cache, and how a step reads and extends it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.self_attention_cpu import attend_to_text
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


class IndirectSelfAttention(SelfAttention):
    """Never copies a row to reorder beams; the base of those whose kernels take that into account.

    The cache has a third tensor, `sources`, of shape (1, rows, n_text_ctx): which row of its group holds each position. A row
    writes its own positions alone, and each of them once, so that whatever another row continues from stays; the prompt is
    in every row of the group. TensorRT-LLM calls this cache indirection.

    attend: the kernel; it takes qkv, keys, values, sources, positions, group and finished.
    """

    attend: Callable[..., Tensor]

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

    def reorder(self, cache: CacheTensors, source: Tensor, length: int) -> None:  # noqa: ARG002
        """See SelfAttention.reorder."""
        cache[2][0, : source.shape[0]] = cache[2][0, source]

    def move(self, cache: CacheTensors, source: slice, target: slice, length: int) -> None:
        """See SelfAttention.move."""
        super().move(cache[:2], source, target, length)
        cache[2][:, target] = cache[2][:, source]

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
        return self.attend(qkv, keys, values, sources, positions, group, finished)


class NumbaSelfAttention(IndirectSelfAttention):
    """Reads each row's cache up to its position, with a kernel compiled by numba. In float32 alone."""

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(model, dtype)
        self.length_multiple = 1

    @staticmethod
    def attend(
        qkv: Tensor,
        keys: Tensor,
        values: Tensor,
        sources: Tensor,
        positions: Tensor,
        group: int,
        finished: Tensor,
    ) -> Tensor:
        """Attend as attend_to_text does. Returns (rows, width)."""
        out = torch.empty(qkv.shape[0], qkv.shape[1] // 3)
        arrays = (one.numpy() for one in (qkv, keys, values, sources, positions, finished, out))
        attend_to_text(group, *arrays)
        return out
