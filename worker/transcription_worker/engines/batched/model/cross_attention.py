"""The decoder's cross-attention to the audio features: what of them is cached for each slot, and how a step reads it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.cross_attention_cpu import attend_to_audio, panel_shapes, write_panels

# Up to this many queries of a slot its features are cached, see caches_features. Between 12, the heads of small with one beam, and 30,
# those of tiny with five, nothing was measured.
MAX_FEATURE_QUERIES = 16

# Tensors of a KV cache; their second dimension is the slots or rows.
CacheTensors = tuple[Tensor, ...]
# Computes a torch.nn.Linear: (..., inputs) to (..., outputs).
Linear = Callable[[Tensor], Tensor]


def unchanged(layer: Any) -> Any:
    """The layer itself."""
    return layer


def caches_features(heads: int, group: int) -> bool:
    """Whether NumbaCrossAttention caches features for slots of `group` rows, and not keys and values.

    A slot has a query for each head of each row, as wide as the model where features are cached. With many of them the narrow
    products with keys and values are quicker, though those are to be computed for every layer of each window first.
    """
    return heads * group <= MAX_FEATURE_QUERIES


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, length, width) to (batch, heads, length, head width)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def project_heads(projection: Linear, x: Tensor) -> Tensor:
    """Join heads, (batch, heads, length, head width) to (batch, length, width), and apply the output projection."""
    return projection(x.transpose(1, 2).flatten(start_dim=2))


class CrossAttention:
    """Caches keys and values of every layer, computed once for each window, as attention kernels of GPUs take them.

    In all methods, `layer` is a decoder layer's number and `hidden` has passed the layer's norm. linear: makes what computes
    the projections of queries and results.
    """

    def __init__(self, model: Any, dtype: torch.dtype, linear: Callable[[Any], Linear] = unchanged) -> None:
        self._dims, self._dtype, self._device = model.dims, dtype, torch.device(model.device)
        self._heads = model.dims.n_text_head
        self._blocks = [block.cross_attn for block in model.decoder.blocks]
        self._query = [linear(block.query) for block in self._blocks]
        self._out = [linear(block.out) for block in self._blocks]

    def allocate(self, slots: int, group: int = 1) -> CacheTensors:  # noqa: ARG002
        """Empty keys and values, each (layers, slots, heads, n_audio_ctx, head width), for slots of `group` rows."""
        dims = self._dims
        shape = (dims.n_text_layer, slots, self._heads, dims.n_audio_ctx, dims.n_text_state // self._heads)
        return tuple(torch.zeros(shape, dtype=self._dtype, device=self._device) for _ in range(2))

    def write(self, features: Tensor, cache: CacheTensors, slots: slice) -> None:
        """Cache the features of admitted windows, (slots, n_audio_ctx, width)."""
        for layer in range(len(self._blocks)):
            for whole, new in zip(cache, self.keys_and_values(layer, features), strict=True):
                whole[layer, slots] = new

    def read(self, layer: int, cache: CacheTensors, slots: slice) -> tuple[Tensor, ...]:
        """The layer's cached keys and values, each (slots, heads, n_audio_ctx, head width)."""
        return tuple(one[layer, slots] for one in cache)

    def prefill(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: slice) -> Tensor:
        """The layer's cross-attention for whole prompts, (slots, length, width)."""
        return self._attend(layer, hidden, *self.read(layer, cache, slots))

    def step(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: int, finished: Tensor) -> Tensor:  # noqa: ARG002
        """The layer's cross-attention for one token of each row of the first slots, (rows, width).

        finished: (rows,), which rows may get anything that is a number.
        """
        queries = hidden.view(slots, -1, hidden.shape[-1])
        return self._attend(layer, queries, *self.read(layer, cache, slice(slots))).flatten(0, 1)

    def forward(self, layer: int, hidden: Tensor, features: Tensor) -> Tensor:
        """The layer's cross-attention to features that are not cached. hidden: (slots, length, width)."""
        return self._attend(layer, hidden, *self.keys_and_values(layer, features))

    def queries(self, layer: int, hidden: Tensor) -> Tensor:
        """The layer's queries, (batch, heads, length, head width)."""
        return split_heads(self._query[layer](hidden), self._heads)

    def keys_and_values(self, layer: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's keys and values, each (slots, heads, n_audio_ctx, head width)."""
        block = self._blocks[layer]
        return split_heads(block.key(features), self._heads), split_heads(block.value(features), self._heads)

    def _attend(self, layer: int, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        out = scaled_dot_product_attention(self.queries(layer, hidden), keys, values)
        return project_heads(self._out[layer], out)


class NumbaCrossAttention(CrossAttention):
    """Caches the features themselves where a slot has few queries, and attends with a kernel compiled by numba.

    The weights of keys and values are absorbed into queries and results: q (x K)' = (q K') x', and softmax(..) (x V) =
    (softmax(..) x) V. A window is cached once for all layers, and nothing of it is computed for each layer. In return every
    head's products are as wide as the model, which a CPU computes while it would otherwise wait for memory. With many heads and
    beams that takes longer than the memory: then keys and values are cached. DeepSeek-V2 absorbs its projections in the same
    way (arXiv:2405.04434, section 2.1.2). In float32 alone.
    """

    def __init__(
        self, model: Any, dtype: torch.dtype = torch.float32, linear: Callable[[Any], Linear] = unchanged
    ) -> None:
        super().__init__(model, dtype, linear)
        shape = (self._heads, model.dims.n_text_state // self._heads, model.dims.n_text_state)
        self._scale = shape[1] ** -0.5
        self._key_weights = [one.key.weight.view(shape) for one in self._blocks]
        self._value_weights = [one.value.weight.view(shape).transpose(1, 2) for one in self._blocks]

    def allocate(self, slots: int, group: int = 1) -> CacheTensors:
        """Keys and values of zeros in panels, see `panel_shapes`: (layers, slots, heads, *panels).

        Where features are cached they are both, and there are neither layers nor heads: (1, slots, *panels).
        """
        dims, size = self._dims, self._dims.n_text_state
        outer: tuple[int, ...] = (1, slots)
        if not caches_features(self._heads, group):
            outer, size = (dims.n_text_layer, slots, self._heads), dims.n_text_state // self._heads
        shapes = ((*outer, *panels) for panels in panel_shapes(dims.n_audio_ctx, size))
        return tuple(torch.from_numpy(np.zeros(shape, dtype=np.float32)) for shape in shapes)

    def write(self, features: Tensor, cache: CacheTensors, slots: slice) -> None:
        """See CrossAttention.write."""
        if _holds_features(cache):
            write_panels(features.numpy(), features.numpy(), *(one[0, slots, None].numpy() for one in cache))
            return
        for layer, block in enumerate(self._blocks):
            exact = (block.key(features).numpy(), block.value(features).numpy())
            write_panels(*exact, *(one[layer, slots].numpy() for one in cache))

    def prefill(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: slice) -> Tensor:
        """See CrossAttention.prefill."""
        if not _holds_features(cache):
            return self._out[layer](self._attend_to(cache, layer, slots, self._query[layer](hidden), self._scale))
        if self._has_few_queries(hidden.shape[1]):
            return self._absorbed(layer, hidden, lambda wide: self._attend_to(cache, 0, slots, wide, 1.0))
        return super().forward(layer, hidden, self._features(cache, slots))

    def step(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: int, finished: Tensor) -> Tensor:  # noqa: ARG002
        """See CrossAttention.step."""
        rows = hidden.view(slots, -1, hidden.shape[-1])
        return self.prefill(layer, rows, cache, slice(slots)).flatten(0, 1)

    def forward(self, layer: int, hidden: Tensor, features: Tensor) -> Tensor:
        """See CrossAttention.forward."""
        if not self._has_few_queries(hidden.shape[1]):
            return super().forward(layer, hidden, features)
        return self._absorbed(
            layer, hidden, lambda wide: torch.bmm(torch.bmm(wide, features.mT).softmax(dim=-1), features)
        )

    def _has_few_queries(self, length: int) -> bool:
        """Whether texts of this length have too few queries to make computing keys and values worth it."""
        return bool(length * (self._heads - 1) < self._dims.n_text_state)

    def _features(self, cache: CacheTensors, slots: slice) -> Tensor:
        """The cached features, (slots, n_audio_ctx, width)."""
        panels = cache[1][0, slots]
        return panels.transpose(1, 2).flatten(2)[:, : self._dims.n_audio_ctx, : self._dims.n_text_state]

    def _attend_to(self, cache: CacheTensors, layer: int, slots: slice, queries: Tensor, scale: float) -> Tensor:
        """Attend to the panels of a layer with queries of some slots, (slots, rows, width). Returns the same shape."""
        heads = [one[layer, slots, None] if _holds_features(cache) else one[layer, slots] for one in cache]
        out = torch.empty_like(queries)
        keys, values = (one.numpy() for one in heads)
        attend_to_audio(queries.numpy(), scale, keys, values, self._dims.n_audio_ctx, out.numpy())
        return out

    def _absorbed(self, layer: int, hidden: Tensor, attend: Callable[[Tensor], Tensor]) -> Tensor:
        """Attend to features. hidden: (slots, length, width). attend: takes scaled queries, (slots, length * heads, width)."""
        slots, length, width = hidden.shape
        queries = (self._query[layer](hidden) * self._scale).view(slots * length, self._heads, -1).transpose(0, 1)
        wide = torch.bmm(queries, self._key_weights[layer])
        seen = attend(wide.transpose(0, 1).reshape(slots, length * self._heads, width).contiguous())
        seen = seen.reshape(slots * length, self._heads, width).transpose(0, 1)
        narrow = torch.bmm(seen, self._value_weights[layer]).transpose(0, 1).reshape(slots, length, width)
        return self._out[layer](narrow + self._blocks[layer].value.bias)


def _holds_features(cache: CacheTensors) -> bool:
    return bool(cache[0].dim() == 5)
