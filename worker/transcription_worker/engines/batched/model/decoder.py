"""openai-whisper's text decoder over a KV cache of fixed size: the same weights and products, with rows at any positions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear, pad, scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.linear_cpu import multiply, pack_weight
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba
from transcription_worker.engines.batched.model.backend import Backend
from transcription_worker.engines.batched.model.cross_attention import CacheTensors, project_heads, split_heads
from transcription_worker.engines.batched.model.fused_projections import fuse
from transcription_worker.engines.batched.model.layer_norm import layer_norm_float32

# The product with the embedding is padded to a multiple of so many columns on a GPU: tensor cores take aligned rows. On an H200
# logits of 480 rows took 0.29 ms for 51,866 tokens, 220 TFLOP/s, while products of aligned sides reached 450.
VOCABULARY_MULTIPLE = 8


@dataclass
class KVCache:
    """The cached keys and values of a batch: of the text, by row, and of the audio, by slot.

    What the tensors are depends on the backend, see SelfAttention and CrossAttention.
    """

    self_attention: CacheTensors
    cross_attention: CacheTensors


class Decoder:
    """The text decoder of a whisper.model.Whisper, whose parameters it reads and never changes.

    embedding: the token embedding, (vocabulary, width). packed_embedding: the same for kernels of numba, None on devices that
    do not use it.
    """

    def __init__(self, model: Any, dtype: torch.dtype, backend: Backend) -> None:
        self._text = model.decoder
        self._dtype, self._device = dtype, torch.device(model.device)
        self._heads = model.dims.n_text_head
        self._blocks = list(model.decoder.blocks)
        self._qkv = [
            backend.linear(fuse(dtype, block.attn.query, block.attn.key, block.attn.value)) for block in self._blocks
        ]
        self._out = [backend.linear(block.attn.out) for block in self._blocks]
        self._up, self._down = ([backend.linear(block.mlp[at]) for block in self._blocks] for at in (0, 2))
        self._cross_attention = backend.cross_attention(model, dtype)
        self._self_attention = backend.self_attention(model, dtype)
        self._add_and_norm = backend.add_and_norm
        # The norm after each layer is the next layer's first. The decoder's last norm is the sampler's part, see final_norm.
        self._next_norms = [*(block.attn_ln for block in self._blocks[1:]), None]
        self.embedding: Tensor = self._text.token_embedding.weight.detach().to(dtype)
        self._padded_embedding = _padded(self.embedding) if backend.pads_vocabulary else self.embedding
        self.packed_embedding = pack_weight(self.embedding) if uses_numba(dtype, self._device) else None

    @property
    def length_multiple(self) -> int:
        """The `length` given to `step` must be a multiple of this, or the context's length."""
        return self._self_attention.length_multiple

    def allocate_cache(self, slots: int, group: int) -> KVCache:
        """An empty cache for slots of `group` rows each."""
        return KVCache(self._self_attention.allocate(slots * group), self._cross_attention.allocate(slots, group))

    def prefill(self, tokens: Tensor, features: Tensor, cache: KVCache, slots: slice) -> Tensor:
        """Run whole prompts and cache their keys and values in every row of each slot. Returns (slots, length, width).

        tokens: (slots, length), padded at the end: what is cached of the padding is masked until the row overwrites it.
        features: (slots, n_audio_ctx, width).
        """
        group = cache.self_attention[0].shape[1] // cache.cross_attention[0].shape[1]
        rows = slice(slots.start * group, slots.stop * group)
        length = tokens.shape[1]
        self._cross_attention.write(features, cache.cross_attention, slots)

        def attend_to_text(layer: int, norm: Tensor) -> Tensor:
            queries, keys, values = self._split_qkv(layer, norm)
            self._self_attention.write(layer, keys, values, cache.self_attention, rows)
            attended = scaled_dot_product_attention(queries, keys, values, is_causal=length > 1)
            return project_heads(self._out[layer], attended)

        def attend_to_audio(layer: int, norm: Tensor) -> Tensor:
            return self._cross_attention.prefill(layer, norm, cache.cross_attention, slots)

        hidden = self._embed(tokens, self._text.positional_embedding[:length])
        return self._run_layers(hidden, attend_to_text, attend_to_audio)

    def forward(self, tokens: Tensor, features: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Run whole texts without a cache.

        tokens: (rows, length), padded at the end, which causal attention never sees. features: (rows, n_audio_ctx, width).
        heads: (2, n), layers and numbers of the heads whose cross-attention is returned.

        Returns:
            Hidden states, (rows, length, width), and the heads' scores before the softmax, (rows, n, length, n_audio_ctx),
            float32.
        """
        wanted = [tuple(pair) for pair in heads.T.tolist()]
        scores: dict[tuple[int, int], Tensor] = {}
        hidden = self._embed(tokens, self._text.positional_embedding[: tokens.shape[1]])
        for layer, block in enumerate(self._blocks):
            queries, keys, values = self._split_qkv(layer, layer_norm_float32(block.attn_ln, hidden))
            attended = scaled_dot_product_attention(queries, keys, values, is_causal=tokens.shape[1] > 1)
            hidden = hidden + project_heads(self._out[layer], attended)
            norm = layer_norm_float32(block.cross_attn_ln, hidden)
            scores |= self._scores(layer, [pair for pair in wanted if pair[0] == layer], norm, features)
            hidden = hidden + self._cross_attention.forward(layer, norm, features)
            hidden = hidden + self._feed_forward(layer, layer_norm_float32(block.mlp_ln, hidden))
        nothing = hidden.new_zeros(hidden.shape[0], 0, *hidden.shape[1:2], features.shape[1], dtype=torch.float32)
        return hidden, torch.stack([scores[key] for key in wanted], dim=1) if wanted else nothing

    def _scores(
        self, layer: int, wanted: list[tuple[int, int]], norm: Tensor, features: Tensor
    ) -> dict[tuple[int, int], Tensor]:
        if not wanted:
            return {}
        queries = self._cross_attention.queries(layer, norm)
        keys, _ = self._cross_attention.keys_and_values(layer, features)
        scale = queries.shape[-1] ** -0.5
        return {pair: (queries[:, pair[1]] @ keys[:, pair[1]].transpose(1, 2)).float() * scale for pair in wanted}

    def step(
        self, tokens: Tensor, positions: Tensor, finished: Tensor, cache: KVCache, slots: int, length: int
    ) -> Tensor:
        """A decode step: run one more token of each row of the first slots. Returns hidden states, (rows, width).

        tokens, positions: (rows,). finished: (rows,), which rows need no hidden state. length: an upper bound of every
        row's position.
        """
        mask = self._self_attention.mask(positions, length)
        group = tokens.shape[0] // slots

        def attend_to_text(layer: int, norm: Tensor) -> Tensor:
            qkv, own = self._qkv[layer](norm), cache.self_attention
            return self._out[layer](self._self_attention.step(layer, qkv, positions, mask, own, group, finished))

        def attend_to_audio(layer: int, norm: Tensor) -> Tensor:
            return self._cross_attention.step(layer, norm, cache.cross_attention, slots, finished)

        hidden = self._embed(tokens, self._text.positional_embedding[positions])
        return self._run_layers(hidden, attend_to_text, attend_to_audio)

    def _run_layers(
        self,
        hidden: Tensor,
        attend_to_text: Callable[[int, Tensor], Tensor],
        attend_to_audio: Callable[[int, Tensor], Tensor],
    ) -> Tensor:
        """Run all layers over embedded tokens. Both kinds of attention are given the layer's number and what its norm gives."""
        norm = layer_norm_float32(self._blocks[0].attn_ln, hidden)
        for layer, block in enumerate(self._blocks):
            hidden, norm = self._add_and_norm(hidden, attend_to_text(layer, norm), block.cross_attn_ln)
            hidden, norm = self._add_and_norm(hidden, attend_to_audio(layer, norm), block.mlp_ln)
            if (next_norm := self._next_norms[layer]) is None:
                return hidden + self._feed_forward(layer, norm)
            hidden, norm = self._add_and_norm(hidden, self._feed_forward(layer, norm), next_norm)
        return hidden

    def reorder_cache(self, cache: KVCache, source: Tensor, length: int) -> None:
        """Let the first rows continue other rows of their groups. source: (rows,). length: see `step`."""
        self._self_attention.reorder(cache.self_attention, source, length)

    def move_slot(self, cache: KVCache, slots: tuple[int, int], group: int, length: int) -> None:
        """Copy the cache of the first of two slots to the second. length: an upper bound of the rows' positions."""
        source, target = slots
        source_rows, target_rows = (slice(slot * group, (slot + 1) * group) for slot in slots)
        self._self_attention.move(cache.self_attention, source_rows, target_rows, length)
        for one in cache.cross_attention:
            one[:, target] = one[:, source]

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The last norm; its product with the embedding are the logits."""
        return layer_norm_float32(self._text.ln, hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the whole vocabulary, (rows, vocabulary), float32. hidden: (rows, width)."""
        norm = self.final_norm(hidden)
        if self.packed_embedding is None:
            return linear(norm, self._padded_embedding)[:, : self.embedding.shape[0]].float()
        logits = torch.empty(hidden.shape[0], self.embedding.shape[0])
        multiply(norm.numpy(), self.packed_embedding, 0, logits.numpy())
        return logits

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return (self._text.token_embedding(tokens) + positions).to(self._dtype)

    def _split_qkv(self, layer: int, norm: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of a layer's self-attention, each (batch, heads, length, head width)."""
        return tuple(split_heads(part, self._heads) for part in self._qkv[layer](norm).chunk(3, dim=-1))

    def _feed_forward(self, layer: int, norm: Tensor) -> Tensor:
        return self._down[layer](gelu(self._up[layer](norm)))


def _padded(embedding: Tensor) -> Tensor:
    """The embedding with rows of zeros up to a multiple of VOCABULARY_MULTIPLE."""
    return pad(embedding, (0, 0, 0, -embedding.shape[0] % VOCABULARY_MULTIPLE))
