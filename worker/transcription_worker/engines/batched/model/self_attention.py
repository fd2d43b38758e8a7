"""How the decoder attends to the text of each row: what of it is kept, and how it is read at every step."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.model.cross_attention import Kept

# A step reads what is kept up to a multiple of so many positions; on a GPU each multiple is a graph of its own.
LENGTH_STEP_ON_CPU = 32
LENGTH_STEP_ON_GPU = 64


class Remembering:
    """Keeps keys and values of each block; rows that go on from others are copied.

    `number` is a block's; `length_step`: a multiple of it bounds the positions that `step` and `follow` are given.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._dims, self._dtype, self._device = model.dims, dtype, torch.device(model.device)
        self.length_step = LENGTH_STEP_ON_GPU if self._device.type == "cuda" else LENGTH_STEP_ON_CPU

    def empty(self, rows: int) -> Kept:
        """Two of shape (layers, rows, heads, n_text_ctx, head width): zeroed, since what is masked must not be NaN."""
        dims = self._dims
        shape = (dims.n_text_layer, rows, dims.n_text_head, dims.n_text_ctx, dims.n_text_state // dims.n_text_head)
        return tuple(torch.zeros(shape, dtype=self._dtype, device=self._device) for _ in range(2))

    def write(self, number: int, keys: Tensor, values: Tensor, kept: Kept, rows: slice) -> None:
        """Of whole prompts, each (slots, heads, length, head width): to the rows of the slots' groups."""
        group, length = (rows.stop - rows.start) // keys.shape[0], keys.shape[2]
        for whole, new in zip(kept, (keys, values), strict=False):
            whole[number, rows, :, :length] = new.repeat_interleave(group, dim=0)

    def reach(self, positions: Tensor, length: int) -> Tensor:
        """How far each row has come, as `step` takes it; the same for all blocks. positions: (rows,)."""
        return (torch.arange(length, device=positions.device) <= positions[:, None])[:, None, None, :]

    def step(self, number: int, projected: Tensor, positions: Tensor, reach: Tensor, kept: Kept, group: int) -> Tensor:  # noqa: ARG002
        """What a token more of each row sees of the row's text, (rows, width); it is kept itself.

        projected: (rows, 3 * width), queries, keys and values.
        """
        rows, length = projected.shape[0], reach.shape[-1]
        every = torch.arange(rows, device=projected.device)
        queries, keys, values = (x.view(rows, self._dims.n_text_head, -1) for x in projected.chunk(3, dim=-1))
        own_keys, own_values = kept[0][number, :rows], kept[1][number, :rows]
        own_keys[every, :, positions] = keys
        own_values[every, :, positions] = values
        seen = scaled_dot_product_attention(
            queries[:, :, None], own_keys[:, :, :length], own_values[:, :, :length], attn_mask=reach
        )
        return seen.flatten(1)

    def follow(self, kept: Kept, source: Tensor, length: int) -> None:
        """The first rows go on from others of their groups, source (rows,), from so many positions at most."""
        for one in kept:
            one[:, : source.shape[0], :, :length] = one[:, source, :, :length]

    def move(self, kept: Kept, before: slice, after: slice, length: int) -> None:
        """A slot's rows to another's, as far as they have come."""
        for one in kept:
            one[:, after, :, :length] = one[:, before, :, :length]
