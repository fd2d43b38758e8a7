"""openai-whisper's text decoder over caches of fixed size: the same weights and products, a batch of rows at any position."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.numba_jit import has_loops
from transcription_worker.engines.batched.kernels.vocabulary_cpu import FEW, ROWS, all_logits, packed, padded
from transcription_worker.engines.batched.model.backend import Ways
from transcription_worker.engines.batched.model.cross_attention import Kept, by_head, projected
from transcription_worker.engines.batched.model.layer_norm import normed


@dataclass
class Caches:
    """What is kept of the text, see remembering, and of the audio, see hearing."""

    text: Kept
    audio: Kept


class Decoder:
    """Reads the model's own parameters; nothing of them is changed.

    `embedding`: of the vocabulary, (vocabulary, width); `packed_embedding`: as vocabulary_kernel takes it, where it is of use.
    """

    def __init__(self, model: Any, dtype: torch.dtype, ways: Ways) -> None:
        self._text = model.decoder
        self._dtype, self._device = dtype, torch.device(model.device)
        self._heads = model.dims.n_text_head
        self._blocks = list(model.decoder.blocks)
        self._qkv = [_joined(dtype, block.attn.query, block.attn.key, block.attn.value) for block in self._blocks]
        self._hearing, self._remembering = ways.hearing(model, dtype), ways.remembering(model, dtype)
        self._add_and_norm = ways.add_and_norm
        # The norm that follows each block, that of the next one; the last is left to who looks for tokens.
        self._following = [*(block.attn_ln for block in self._blocks[1:]), None]
        self.embedding: Tensor = self._text.token_embedding.weight.detach().to(dtype)
        self.packed_embedding = packed(self.embedding) if has_loops(dtype, self._device) else None

    @property
    def length_step(self) -> int:
        """A multiple of it bounds every row's position in a step."""
        return self._remembering.length_step

    def caches(self, slots: int, group: int) -> Caches:
        """For so many slots of `group` rows."""
        return Caches(self._remembering.empty(slots * group), self._hearing.empty(slots))

    def prefill(self, tokens: Tensor, features: Tensor, caches: Caches, slots: slice) -> Tensor:
        """Hidden states of whole prompts, (slots, length, width); every row of a slot's group gets their keys and values.

        features: (slots, n_audio_ctx, width). Prompts are padded at their end: what is written there is masked until the row
        overwrites it.
        """
        group = caches.text[0].shape[1] // caches.audio[0].shape[1]
        rows = slice(slots.start * group, slots.stop * group)
        length = tokens.shape[1]
        self._hearing.write(features, caches.audio, slots)
        hidden = self._embedded(tokens, self._text.positional_embedding[:length])
        for number, block in enumerate(self._blocks):
            queries, keys, values = self._by_head(number, hidden)
            self._remembering.write(number, keys, values, caches.text, rows)
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=length > 1)
            hidden = hidden + projected(block.attn, seen)
            hidden = hidden + self._hearing.prompts(number, self._normed_for_audio(block, hidden), caches.audio, slots)
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
            queries, keys, values = self._by_head(number, hidden)
            seen = scaled_dot_product_attention(queries, keys, values, is_causal=tokens.shape[1] > 1)
            hidden = hidden + projected(block.attn, seen)
            asking = self._normed_for_audio(block, hidden)
            scores |= self._scores(number, [pair for pair in wanted if pair[0] == number], asking, features)
            hidden = hidden + self._hearing.texts(number, asking, features)
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
        reach = self._remembering.reach(positions, length)
        hidden = self._embedded(tokens, self._text.positional_embedding[positions])
        norm = normed(self._blocks[0].attn_ln, hidden)
        for number, block in enumerate(self._blocks):
            asking = linear(norm, *self._qkv[number])
            seen = self._remembering.step(number, asking, positions, reach, caches.text, tokens.shape[0] // slots)
            hidden, norm = self._add_and_norm(hidden, block.attn.out(seen), block.cross_attn_ln)
            heard = self._hearing.step(number, norm, caches.audio, slots)
            hidden, norm = self._add_and_norm(hidden, heard, block.mlp_ln)
            if (following := self._following[number]) is None:
                return hidden + block.mlp(norm)
            hidden, norm = self._add_and_norm(hidden, block.mlp(norm), following)
        return hidden

    def follow(self, caches: Caches, source: Tensor, length: int) -> None:
        """The first rows go on from others of their groups; source: (rows,), `length` as in `step`."""
        self._remembering.follow(caches.text, source, length)

    def move(self, caches: Caches, slots: tuple[int, int], group: int, length: int) -> None:
        """A window from the first slot to the second; its rows have come to `length` at most."""
        before, after = slots
        there, here = (slice(slot * group, (slot + 1) * group) for slot in slots)
        self._remembering.move(caches.text, there, here, length)
        for one in caches.audio:
            one[:, after] = one[:, before]

    def normed(self, hidden: Tensor) -> Tensor:
        """What is multiplied with the embedding to be logits."""
        return normed(self._text.ln, hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the whole vocabulary, float32."""
        looking = self.normed(hidden)
        if self.packed_embedding is None or hidden.shape[0] > FEW:
            return linear(looking, self.embedding).float()
        logits = torch.empty(hidden.shape[0], self.embedding.shape[0])
        all_logits(padded(looking.numpy(), ROWS), self.packed_embedding, logits.numpy())
        return logits

    def _embedded(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return (self._text.token_embedding(tokens) + positions).to(self._dtype)

    def _by_head(self, number: int, hidden: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of a block, each (batch, heads, length, head width)."""
        together = linear(normed(self._blocks[number].attn_ln, hidden), *self._qkv[number])
        return tuple(by_head(part, self._heads) for part in together.chunk(3, dim=-1))

    def _normed_for_audio(self, block: Any, hidden: Tensor) -> Tensor:
        return normed(block.cross_attn_ln, hidden)

    def _feed_forward(self, block: Any, hidden: Tensor) -> Tensor:
        return block.mlp(normed(block.mlp_ln, hidden))


def _joined(dtype: torch.dtype, *projections: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of projections that are computed as one."""
    weight = torch.cat([one.weight for one in projections]).to(dtype)
    biases = [torch.zeros_like(one.weight[:, 0]) if one.bias is None else one.bias for one in projections]
    return weight, torch.cat([bias.to(dtype) for bias in biases])
