"""How the decoder attends to the audio of each slot: what of it is kept, and how it is read at every step."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.attention_cpu import attend

# Up to so many queries of a slot the loops of attention_kernel are quicker than torch's products, which read the audio twice.
FEW = 16

# What is kept of the audio: tensors whose second dimension is the slots.
Kept = tuple[Tensor, ...]


def by_head(x: Tensor, heads: int) -> Tensor:
    """(batch, length, width) to (batch, heads, length, head width)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def projected(attention: Any, seen: Tensor) -> Tensor:
    """(batch, heads, length, head width) to (batch, length, width), through the block's own last product."""
    out: Tensor = attention.out(seen.transpose(1, 2).flatten(start_dim=2))
    return out


class Hearing:
    """Keeps keys and values of each block, computed once a window: what a GPU's attention kernels take.

    `number` is a block's; `hidden` is normed.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._dims, self._dtype, self._device = model.dims, dtype, torch.device(model.device)
        self._heads = model.dims.n_text_head
        self._blocks = [block.cross_attn for block in model.decoder.blocks]

    def empty(self, slots: int) -> Kept:
        """Two of shape (layers, slots, heads, n_audio_ctx, head width)."""
        dims = self._dims
        shape = (dims.n_text_layer, slots, self._heads, dims.n_audio_ctx, dims.n_text_state // self._heads)
        return tuple(torch.zeros(shape, dtype=self._dtype, device=self._device) for _ in range(2))

    def write(self, features: Tensor, kept: Kept, slots: slice) -> None:
        """Windows, (slots, n_audio_ctx, width), as they are admitted."""
        for number in range(len(self._blocks)):
            for whole, new in zip(kept, self.keys_and_values(number, features), strict=True):
                whole[number, slots] = new

    def prompts(self, number: int, hidden: Tensor, kept: Kept, slots: slice) -> Tensor:
        """What the block adds to whole prompts, (slots, length, width)."""
        return self._attend(number, hidden, *(one[number, slots] for one in kept))

    def step(self, number: int, hidden: Tensor, kept: Kept, slots: int) -> Tensor:
        """As `prompts`, for one token of each row of the first slots: (rows, width)."""
        queries = hidden.view(slots, -1, hidden.shape[-1])
        return self._attend(number, queries, *(one[number, :slots] for one in kept)).flatten(0, 1)

    def texts(self, number: int, hidden: Tensor, features: Tensor) -> Tensor:
        """As `prompts`, over windows of which nothing is kept."""
        return self._attend(number, hidden, *self.keys_and_values(number, features))

    def queries(self, number: int, hidden: Tensor) -> Tensor:
        """(batch, heads, length, head width)."""
        return by_head(self._blocks[number].query(hidden), self._heads)

    def keys_and_values(self, number: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """Each (slots, heads, n_audio_ctx, head width)."""
        block = self._blocks[number]
        return by_head(block.key(features), self._heads), by_head(block.value(features), self._heads)

    def _attend(self, number: int, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        seen = scaled_dot_product_attention(self.queries(number, hidden), keys, values)
        return projected(self._blocks[number], seen)


class FeaturesOnly(Hearing):
    """Keeps the features: a query goes through the weights of the keys, and what it sees through those of the values.

    q (x K)' = (q K') x', and softmax(..) (x V) = (softmax(..) x) V. A window is kept once for all blocks instead of twice
    for each, and a block reads it once a step. Every head has products as wide as the model for that, which a CPU has time
    for where it would wait for memory. DeepSeek-V2 absorbs its projections so (arXiv:2405.04434, section 2.1.2). In float32.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(model, dtype)
        shape = (self._heads, model.dims.n_text_state // self._heads, model.dims.n_text_state)
        self._scale = shape[1] ** -0.5
        self._through_keys = [one.key.weight.view(shape) for one in self._blocks]
        self._through_values = [one.value.weight.view(shape).transpose(1, 2) for one in self._blocks]

    def empty(self, slots: int) -> Kept:
        """One of shape (1, slots, n_audio_ctx, width)."""
        return (
            torch.from_numpy(np.zeros((1, slots, self._dims.n_audio_ctx, self._dims.n_text_state), dtype=np.float32)),
        )

    def write(self, features: Tensor, kept: Kept, slots: slice) -> None:
        """As Hearing."""
        kept[0][0, slots] = features

    def prompts(self, number: int, hidden: Tensor, kept: Kept, slots: slice) -> Tensor:
        """As Hearing."""
        return self.texts(number, hidden, kept[0][0, slots])

    def step(self, number: int, hidden: Tensor, kept: Kept, slots: int) -> Tensor:
        """As Hearing."""
        return self._absorbed(number, hidden.view(slots, -1, hidden.shape[-1]), kept[0][0, :slots]).flatten(0, 1)

    def texts(self, number: int, hidden: Tensor, features: Tensor) -> Tensor:
        """As Hearing. Long texts have so many queries that the keys and values are worth their products."""
        length, width = hidden.shape[1:]
        few = length * (self._heads - 1) < width
        return self._absorbed(number, hidden, features) if few else super().texts(number, hidden, features)

    def _absorbed(self, number: int, hidden: Tensor, features: Tensor) -> Tensor:
        """hidden: (slots, length, width); features: (slots, n_audio_ctx, width)."""
        block, (slots, length, width) = self._blocks[number], hidden.shape
        queries = (block.query(hidden) * self._scale).view(slots * length, self._heads, -1).transpose(0, 1)
        wide = torch.bmm(queries, self._through_keys[number])
        wide = wide.transpose(0, 1).reshape(slots, length * self._heads, width).contiguous()
        seen = _attended(wide, features)
        seen = seen.reshape(slots * length, self._heads, width).transpose(0, 1)
        narrow = torch.bmm(seen, self._through_values[number]).transpose(0, 1).reshape(slots, length, width)
        out: Tensor = block.out(narrow + block.value.bias)
        return out


def _attended(queries: Tensor, features: Tensor) -> Tensor:
    """softmax(queries @ features') @ features; queries: (slots, queries, width)."""
    count = queries.shape[1]
    if count > FEW:
        return torch.bmm(torch.bmm(queries, features.transpose(1, 2)).softmax(dim=-1), features)
    even = pad(queries, (0, 0, 0, count % 2))
    seen = torch.empty_like(even)
    attend(even.numpy(), features.numpy(), seen.numpy())
    return seen[:, :count]
