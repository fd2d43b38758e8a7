"""openai-whisper's text decoder over caches of fixed size: the same weights and products, a batch of rows at any position."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

from transcription_worker.engines.batched.compiled import has_loops
from transcription_worker.engines.batched.hearing import Kept, by_head, hearing, projected
from transcription_worker.engines.batched.vocabulary_kernel import FEW, ROWS, all_logits, packed, padded


@dataclass
class Caches:
    """Keys and values of the text, and what is kept of the audio.

    `keys`, `values`: (layers, rows, heads, n_text_ctx, head width); `audio`: see hearing.
    """

    keys: Tensor
    values: Tensor
    audio: Kept


class Decoder:
    """Reads the model's own parameters; nothing of them is changed.

    `embedding`: of the vocabulary, (vocabulary, width); `packed_embedding`: as vocabulary_kernel takes it, where it is of use.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._text = model.decoder
        self._dtype, self._dims, self._device = dtype, model.dims, torch.device(model.device)
        self._heads = model.dims.n_text_head
        self._blocks = list(model.decoder.blocks)
        self._qkv = [_joined(dtype, block.attn.query, block.attn.key, block.attn.value) for block in self._blocks]
        self._hearing = hearing(model, dtype)
        self.embedding: Tensor = self._text.token_embedding.weight.detach().to(dtype)
        self.packed_embedding = packed(self.embedding) if has_loops(dtype, self._device) else None

    def caches(self, slots: int, group: int) -> Caches:
        """For so many slots of `group` rows. Zeroed: what no row has written yet is masked, but must not be NaN."""
        dims = self._dims
        shape = (dims.n_text_layer, slots * group, self._heads, dims.n_text_ctx, dims.n_text_state // self._heads)
        keys, values = (torch.zeros(shape, dtype=self._dtype, device=self._device) for _ in range(2))
        return Caches(keys, values, self._hearing.empty(slots))

    def prefill(self, tokens: Tensor, features: Tensor, caches: Caches, slots: list[int]) -> Tensor:
        """Hidden states of whole prompts, (slots, length, width); every row of a slot's group gets their keys and values.

        features: (slots, n_audio_ctx, width). Prompts are padded at their end: what is written there is masked until the row
        overwrites it.
        """
        index = torch.tensor(slots, device=tokens.device)
        group = caches.keys.shape[1] // caches.audio[0].shape[1]
        rows = (index[:, None] * group + torch.arange(group, device=tokens.device)).flatten()
        length = tokens.shape[1]
        self._hearing.write(features, caches.audio, index)
        hidden = self._embedded(tokens, self._text.positional_embedding[:length])
        for number, block in enumerate(self._blocks):
            queries, keys, values = (by_head(x, self._heads) for x in self._projected(number, hidden))
            caches.keys[number, rows, :, :length] = keys.repeat_interleave(group, dim=0)
            caches.values[number, rows, :, :length] = values.repeat_interleave(group, dim=0)
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=length > 1)
            hidden = hidden + projected(block.attn, seen)
            hidden = hidden + self._hearing.prompts(number, self._normed_for_audio(block, hidden), caches.audio, index)
            hidden = hidden + self._feed_forward(block, hidden)
        return hidden

    def attend(self, tokens: Tensor, features: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of whole texts, shape (rows, length, width), and what `heads` (2, n) make of the audio.

        The latter are scores before the softmax, (rows, n, length, n_audio_ctx), float32. tokens: (rows, length);
        features: (rows, n_audio_ctx, width). Texts are padded at their end, which causal attention never sees.
        """
        wanted = [tuple(pair) for pair in heads.T.tolist()]
        scores: dict[tuple[int, int], Tensor] = {}
        hidden = self._embedded(tokens, self._text.positional_embedding[: tokens.shape[1]])
        for number, block in enumerate(self._blocks):
            queries, keys, values = (by_head(x, self._heads) for x in self._projected(number, hidden))
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=tokens.shape[1] > 1)
            hidden = hidden + projected(block.attn, seen)
            normed = self._normed_for_audio(block, hidden)
            scores |= self._scores(number, [pair for pair in wanted if pair[0] == number], normed, features)
            hidden = hidden + self._hearing.texts(number, normed, features)
            hidden = hidden + self._feed_forward(block, hidden)
        nothing = hidden.new_zeros(hidden.shape[0], 0, *hidden.shape[1:2], features.shape[1], dtype=torch.float32)
        return hidden, torch.stack([scores[key] for key in wanted], dim=1) if wanted else nothing

    def _scores(
        self, number: int, wanted: list[tuple[int, int]], hidden: Tensor, features: Tensor
    ) -> dict[tuple[int, int], Tensor]:
        if not wanted:
            return {}
        queries, (keys, _) = self._hearing.queries(number, hidden), self._hearing.keys_and_values(number, features)
        scale = queries.shape[-1] ** -0.5
        return {pair: (queries[:, pair[1]] @ keys[:, pair[1]].transpose(1, 2)).float() * scale for pair in wanted}

    def step(self, tokens: Tensor, positions: Tensor, caches: Caches, slots: int, length: int) -> Tensor:
        """Hidden states after one more token of each row, (rows, width). tokens, positions: (rows,).

        The first `slots` slots are run; `length` bounds every row's position from above.
        """
        rows = tokens.shape[0]
        every = torch.arange(rows, device=tokens.device)
        mask = (torch.arange(length, device=tokens.device) <= positions[:, None])[:, None, None, :]
        hidden = self._embedded(tokens, self._text.positional_embedding[positions])
        for number, block in enumerate(self._blocks):
            queries, keys, values = (x.view(rows, self._heads, -1) for x in self._projected(number, hidden))
            own_keys, own_values = caches.keys[number, :rows], caches.values[number, :rows]
            own_keys[every, :, positions] = keys
            own_values[every, :, positions] = values
            seen = scaled_dot_product_attention(
                queries[:, :, None], own_keys[:, :, :length], own_values[:, :, :length], attn_mask=mask
            )
            hidden = hidden + projected(block.attn, seen)[:, 0]
            hidden = hidden + self._hearing.step(number, self._normed_for_audio(block, hidden), caches.audio, slots)
            hidden = hidden + self._feed_forward(block, hidden)
        return hidden

    def normed(self, hidden: Tensor) -> Tensor:
        """What is multiplied with the embedding to be logits."""
        return _normed(self._text.ln, hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the whole vocabulary, float32."""
        normed = self.normed(hidden)
        if self.packed_embedding is None or hidden.shape[0] > FEW:
            return linear(normed, self.embedding).float()
        logits = torch.empty(hidden.shape[0], self.embedding.shape[0])
        all_logits(padded(normed.numpy(), ROWS), self.packed_embedding, logits.numpy())
        return logits

    def _embedded(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return (self._text.token_embedding(tokens) + positions).to(self._dtype)

    def _projected(self, number: int, hidden: Tensor) -> tuple[Tensor, ...]:
        normed = _normed(self._blocks[number].attn_ln, hidden)
        parts: tuple[Tensor, ...] = linear(normed, *self._qkv[number]).chunk(3, dim=-1)
        return parts

    def _normed_for_audio(self, block: Any, hidden: Tensor) -> Tensor:
        return _normed(block.cross_attn_ln, hidden)

    def _feed_forward(self, block: Any, hidden: Tensor) -> Tensor:
        return block.mlp(_normed(block.mlp_ln, hidden))


def _joined(dtype: torch.dtype, *projections: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of projections that are computed as one."""
    weight = torch.cat([one.weight for one in projections]).to(dtype)
    biases = [torch.zeros_like(one.weight[:, 0]) if one.bias is None else one.bias for one in projections]
    return weight, torch.cat([bias.to(dtype) for bias in biases])


def _normed(norm: Any, x: Tensor) -> Tensor:
    """In float32, as openai-whisper's LayerNorm."""
    return layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(x.dtype)
