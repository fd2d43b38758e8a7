"""openai-whisper's text decoder over caches of fixed size: the same weights and products, a batch of rows at any position."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention


@dataclass
class Caches:
    """Keys and values.

    `own_*`: (layers, rows, heads, n_text_ctx, head width); `audio_*`: (layers, slots, heads, n_audio_ctx, head width).
    """

    own_keys: Tensor
    own_values: Tensor
    audio_keys: Tensor
    audio_values: Tensor

    @staticmethod
    def empty(dims: Any, slots: int, group: int, dtype: torch.dtype, device: torch.device) -> "Caches":
        """Zeroed: what no row has written yet is masked, but must not be NaN."""
        layers, heads, width = dims.n_text_layer, dims.n_text_head, dims.n_text_state // dims.n_text_head

        def zeros(rows: int, context: int) -> Tensor:
            return torch.zeros(layers, rows, heads, context, width, dtype=dtype, device=device)

        own, audio = (slots * group, dims.n_text_ctx), (slots, dims.n_audio_ctx)
        return Caches(zeros(*own), zeros(*own), zeros(*audio), zeros(*audio))


@dataclass(frozen=True)
class _Layer:
    """A decoder block's weights: the three projections of self-attention in one, those of the audio's keys and values in one."""

    block: Any
    qkv: tuple[Tensor, Tensor]
    audio_kv: tuple[Tensor, Tensor]


class Decoder:
    """Reads the model's own parameters; nothing of them is changed."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._text = model.decoder
        self._dtype = dtype
        self._heads = model.dims.n_text_head
        self._layers = [self._layer(block) for block in model.decoder.blocks]
        self._embedding = self._text.token_embedding.weight.to(dtype)

    def _layer(self, block: Any) -> _Layer:
        own, audio = block.attn, block.cross_attn
        return _Layer(block, self._joined(own.query, own.key, own.value), self._joined(audio.key, audio.value))

    def _joined(self, *projections: Any) -> tuple[Tensor, Tensor]:
        weight = torch.cat([one.weight for one in projections]).to(self._dtype)
        biases = [torch.zeros_like(one.weight[:, 0]) if one.bias is None else one.bias for one in projections]
        return weight, torch.cat([bias.to(self._dtype) for bias in biases])

    def write_audio(self, features: Tensor, caches: Caches, slots: list[int]) -> None:
        """Keys and values of the audio, computed once a window. features: (slots, n_audio_ctx, width)."""
        index = torch.tensor(slots, device=features.device)
        for number, layer in enumerate(self._layers):
            keys, values = linear(features, *layer.audio_kv).chunk(2, dim=-1)
            caches.audio_keys[number].index_copy_(0, index, self._by_head(keys))
            caches.audio_values[number].index_copy_(0, index, self._by_head(values))

    def prefill(self, tokens: Tensor, caches: Caches, slots: list[int], group: int) -> Tensor:
        """Hidden states of whole prompts, shape (slots, length, width); every row of a slot's group gets their keys and values.

        Prompts are padded at their end: what is written there is masked until the row overwrites it.
        """
        index = torch.tensor(slots, device=tokens.device)
        rows = (index[:, None] * group + torch.arange(group, device=tokens.device)).flatten()
        length = tokens.shape[1]
        hidden = self._embedded(tokens, self._text.positional_embedding[:length])
        for number, layer in enumerate(self._layers):
            queries, keys, values = map(self._by_head, self._projected(layer, hidden))
            caches.own_keys[number, rows, :, :length] = keys.repeat_interleave(group, dim=0)
            caches.own_values[number, rows, :, :length] = values.repeat_interleave(group, dim=0)
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=length > 1)
            hidden = hidden + self._out(layer.block.attn, seen)
            queries = self._by_head(self._query_audio(layer, hidden))
            seen = scaled_dot_product_attention(
                queries, caches.audio_keys[number][index], caches.audio_values[number][index]
            )
            hidden = hidden + self._out(layer.block.cross_attn, seen)
            hidden = hidden + self._feed_forward(layer.block, hidden)
        return hidden

    def attend(self, tokens: Tensor, features: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of whole texts, shape (rows, length, width), and what `heads` (2, n) make of the audio.

        The latter are scores before the softmax, (rows, n, length, n_audio_ctx), float32. tokens: (rows, length);
        features: (rows, n_audio_ctx, width). Texts are padded at their end, which causal attention never sees.
        """
        wanted = [tuple(pair) for pair in heads.T.tolist()]
        scores: dict[tuple[int, int], Tensor] = {}
        hidden = self._embedded(tokens, self._text.positional_embedding[: tokens.shape[1]])
        for number, layer in enumerate(self._layers):
            queries, keys, values = map(self._by_head, self._projected(layer, hidden))
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=tokens.shape[1] > 1)
            hidden = hidden + self._out(layer.block.attn, seen)
            queries = self._by_head(self._query_audio(layer, hidden))
            keys, values = map(self._by_head, linear(features, *layer.audio_kv).chunk(2, dim=-1))
            for of, head in wanted:
                if of == number:
                    scale = queries.shape[-1] ** -0.5
                    scores[of, head] = (queries[:, head] @ keys[:, head].transpose(1, 2)).float() * scale
            hidden = hidden + self._out(layer.block.cross_attn, scaled_dot_product_attention(queries, keys, values))
            hidden = hidden + self._feed_forward(layer.block, hidden)
        nothing = hidden.new_zeros(hidden.shape[0], 0, *hidden.shape[1:2], features.shape[1], dtype=torch.float32)
        return hidden, torch.stack([scores[key] for key in wanted], dim=1) if wanted else nothing

    def step(self, tokens: Tensor, positions: Tensor, caches: Caches, slots: int, length: int, out: Tensor) -> None:
        """Logits after one more token of each row to `out`, shape (rows, vocabulary), float32. tokens, positions: (rows,).

        The first `slots` slots are run; `length` bounds every row's position from above.
        """
        rows = tokens.shape[0]
        every = torch.arange(rows, device=tokens.device)
        mask = (torch.arange(length, device=tokens.device) <= positions[:, None])[:, None, None, :]
        hidden = self._embedded(tokens, self._text.positional_embedding[positions])
        for number, layer in enumerate(self._layers):
            queries, keys, values = (x.view(rows, self._heads, -1) for x in self._projected(layer, hidden))
            own_keys, own_values = caches.own_keys[number, :rows], caches.own_values[number, :rows]
            own_keys[every, :, positions] = keys
            own_values[every, :, positions] = values
            seen = scaled_dot_product_attention(
                queries[:, :, None], own_keys[:, :, :length], own_values[:, :, :length], attn_mask=mask
            )
            hidden = hidden + self._out(layer.block.attn, seen)[:, 0]
            hidden = hidden + self._attend_audio(number, layer, hidden, caches, slots)
            hidden = hidden + self._feed_forward(layer.block, hidden)
        self.logits(hidden, out)

    def _attend_audio(self, number: int, layer: _Layer, hidden: Tensor, caches: Caches, slots: int) -> Tensor:
        queries = self._query_audio(layer, hidden).view(slots, -1, hidden.shape[-1])
        keys, values = caches.audio_keys[number, :slots], caches.audio_values[number, :slots]
        seen = scaled_dot_product_attention(self._by_head(queries), keys, values)
        return self._out(layer.block.cross_attn, seen).flatten(0, 1)

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        """Of the whole vocabulary, float32; written to `out` where it is given, which on a CPU saves a pass over them."""
        normed = _normed(self._text.ln, hidden)
        if out is not None and self._dtype is torch.float32:
            return torch.mm(normed, self._embedding.T, out=out)
        found = linear(normed, self._embedding).float()
        return found if out is None else out.copy_(found)

    def _embedded(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return (self._text.token_embedding(tokens) + positions).to(self._dtype)

    def _projected(self, layer: _Layer, hidden: Tensor) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = linear(_normed(layer.block.attn_ln, hidden), *layer.qkv).chunk(3, dim=-1)
        return parts

    def _query_audio(self, layer: _Layer, hidden: Tensor) -> Tensor:
        return layer.block.cross_attn.query(_normed(layer.block.cross_attn_ln, hidden))

    def _feed_forward(self, block: Any, hidden: Tensor) -> Tensor:
        return block.mlp(_normed(block.mlp_ln, hidden))

    def _by_head(self, x: Tensor) -> Tensor:
        """(batch, length, width) to (batch, heads, length, head width)."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)

    @staticmethod
    def _out(attention: Any, seen: Tensor) -> Tensor:
        """(batch, heads, length, head width) to (batch, length, width), projected."""
        return attention.out(seen.transpose(1, 2).flatten(start_dim=2))


def _normed(norm: Any, x: Tensor) -> Tensor:
    """In float32, as openai-whisper's LayerNorm."""
    return layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(x.dtype)
