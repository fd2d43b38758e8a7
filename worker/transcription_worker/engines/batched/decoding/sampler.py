"""The tokens that each row may go on with: the likeliest ones, or one drawn above temperature 0."""

from typing import Protocol

import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import (
    BLOCK,
    MINUS_INFINITY,
    Allowed,
    Columns,
    Rules,
    Trace,
    apply_rules,
)
from transcription_worker.engines.batched.model.decoder import Decoder


class Vocabulary(Protocol):
    """One way to look for them."""

    def pick(self, hidden: Tensor, trace: Trace, temperatures: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tokens and their log probabilities, each (rows, wanted), best first; with noise one token, drawn.

        hidden: (rows, width), after the decoder's layers; temperatures: (rows,); noise: (rows, vocabulary).
        """
        ...


class WholeVocabulary:
    """All logits at once, on any device. `highest`: tokens wanted of each row."""

    def __init__(self, decoder: Decoder, rules: Rules, highest: int) -> None:
        self._decoder, self._rules, self._highest = decoder, rules, highest
        self._columns = Columns.of(rules, decoder.embedding.device)

    def pick(self, hidden: Tensor, trace: Trace, temperatures: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """As Vocabulary."""
        allowed = apply_rules(self._decoder.logits(hidden), trace, self._rules, self._columns)
        if noise is None:
            return highest_candidates(allowed, self._highest)
        tokens, logprobs = choose_sampled(allowed, temperatures, noise)
        return tokens[:, None], logprobs[:, None]


def choose_sampled(allowed: Allowed, temperatures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens drawn from the distribution at each row's temperature, and their log probabilities; each (rows,).

    noise: (rows, vocabulary), exponentially distributed. The highest of logits / temperature - log(noise) is a sample of
    the softmax (the Gumbel-max trick), and depends on nothing but the row and its own noise.
    """
    parts = noise.split([allowed.text.shape[1], allowed.special.shape[1], allowed.timestamp.shape[1]], dim=1)
    of = {
        id(logits): part for logits, part in zip((allowed.text, allowed.special, allowed.timestamp), parts, strict=True)
    }

    def drawn(logits: Tensor) -> tuple[Tensor, Tensor]:
        values, columns = (logits / temperatures[:, None] - of[id(logits)].log()).max(dim=-1)
        return values, columns

    _, tokens = _highest(allowed.best(drawn))
    logits = torch.cat([allowed.text, allowed.special, allowed.timestamp], dim=1)
    return tokens, logits.gather(1, tokens[:, None])[:, 0] - allowed.log_sum


def _highest(found: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    values, tokens = found[0]
    for other_values, other_tokens in found[1:]:
        better = other_values > values
        values, tokens = torch.where(better, other_values, values), torch.where(better, other_tokens, tokens)
    return values, tokens


def highest_candidates(allowed: Allowed, count: int) -> tuple[Tensor, Tensor]:
    """The `count` likeliest tokens of each row, best first, and their log probabilities; each (rows, count).

    Where one is wanted it is the lowest of equals, as argmax.
    """

    def pick(logits: Tensor) -> tuple[Tensor, Tensor]:
        if count == 1:
            value, column = logits.max(dim=-1, keepdim=True)
            return value, column
        if logits is allowed.text and logits.shape[1] > 4 * count * BLOCK:
            return _top(logits, allowed.peaks, count)
        values, columns = logits.topk(min(count, logits.shape[1]), dim=1)
        return values, columns

    found = allowed.best(pick)
    if count == 1:
        value, token = _highest([(values[:, 0], tokens[:, 0]) for values, tokens in found])
        return token[:, None], (value - allowed.log_sum)[:, None]
    values, columns = torch.cat([v for v, _ in found], dim=1).topk(count, dim=1)
    tokens = torch.cat([t for _, t in found], dim=1).gather(1, columns)
    return tokens, values - allowed.log_sum[:, None]


def _top(logits: Tensor, peaks: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """topk of wide rows by their blocks: the k highest lie in the k blocks with the highest peaks."""
    blocks = peaks.topk(count, dim=1).indices.sort(dim=1).values
    columns = blocks[:, :, None] * BLOCK + torch.arange(BLOCK, device=logits.device)
    # The last block has fewer columns: those past the end stand for the last one, and lose to it.
    past = columns >= logits.shape[1]
    columns = columns.clamp(max=logits.shape[1] - 1).flatten(1)
    inside = logits.gather(1, columns).masked_fill(past.flatten(1), MINUS_INFINITY)
    values, found = inside.topk(count, dim=1)
    return values, columns.gather(1, found)
