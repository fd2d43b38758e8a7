"""The sampler: the most probable next tokens of each row, or one drawn at a temperature above 0."""

from typing import Protocol

import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import (
    MINUS_INFINITY,
    PEAK_BLOCK,
    FilteredLogits,
    LogitRules,
    RuleState,
    RuleTensors,
    apply_rules,
)
from transcription_worker.engines.batched.model.decoder import Decoder


class Sampler(Protocol):
    """Picks next tokens from the decoder's hidden states."""

    def sample(
        self, hidden: Tensor, state: RuleState, temperatures: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return tokens and their log probabilities, each (rows, top_k), best first; with noise one sampled token, (rows, 1).

        hidden: (rows, width), after the decoder's last layer. temperatures: (rows,). noise: (rows, vocabulary),
        exponentially distributed.
        """
        ...


class TorchSampler:
    """Computes all logits at once, on any device. top_k: tokens to return for each row."""

    def __init__(self, decoder: Decoder, rules: LogitRules, top_k: int) -> None:
        self._decoder, self._rules, self._top_k = decoder, rules, top_k
        self._rule_tensors = RuleTensors.of(rules, decoder.embedding.device)

    def sample(
        self, hidden: Tensor, state: RuleState, temperatures: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Implement Sampler."""
        filtered = apply_rules(self._decoder.logits(hidden), state, self._rules, self._rule_tensors)
        if noise is None:
            return top_tokens(filtered, self._top_k)
        tokens, logprobs = draw_tokens(filtered, temperatures, noise)
        return tokens[:, None], logprobs[:, None]


def draw_tokens(filtered: FilteredLogits, temperatures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a token from each row's distribution at its temperature. Returns tokens and log probabilities, each (rows,).

    noise: (rows, vocabulary), exponentially distributed. The argmax of logits / temperature - log(noise) is a sample of the
    softmax (the Gumbel-max trick), and depends on the row and its own noise alone.
    """
    ranges = (filtered.text, filtered.special, filtered.timestamp)
    parts = noise.split([logits.shape[1] for logits in ranges], dim=1)
    noise_of = {id(logits): part for logits, part in zip(ranges, parts, strict=True)}

    def draw(logits: Tensor) -> tuple[Tensor, Tensor]:
        values, columns = (logits / temperatures[:, None] - noise_of[id(logits)].log()).max(dim=-1)
        return values, columns

    _, tokens = _highest(filtered.best_by_range(draw))
    logits = torch.cat(ranges, dim=1)
    return tokens, logits.gather(1, tokens[:, None])[:, 0] - filtered.log_sum


def _highest(found: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    values, tokens = found[0]
    for other_values, other_tokens in found[1:]:
        better = other_values > values
        values, tokens = torch.where(better, other_values, values), torch.where(better, other_tokens, tokens)
    return values, tokens


def top_tokens(filtered: FilteredLogits, count: int) -> tuple[Tensor, Tensor]:
    """The `count` most probable tokens of each row, best first, and their log probabilities; each (rows, count).

    With a count of 1, the lowest of equally probable tokens is returned, as by argmax.
    """

    def pick(logits: Tensor) -> tuple[Tensor, Tensor]:
        if count == 1:
            value, column = logits.max(dim=-1, keepdim=True)
            return value, column
        if logits is filtered.text and logits.shape[1] > 4 * count * PEAK_BLOCK:
            return _top_by_blocks(logits, filtered.peaks, count)
        values, columns = logits.topk(min(count, logits.shape[1]), dim=1)
        return values, columns

    found = filtered.best_by_range(pick)
    if count == 1:
        value, token = _highest([(values[:, 0], tokens[:, 0]) for values, tokens in found])
        return token[:, None], (value - filtered.log_sum)[:, None]
    values, columns = torch.cat([v for v, _ in found], dim=1).topk(count, dim=1)
    tokens = torch.cat([t for _, t in found], dim=1).gather(1, columns)
    return tokens, values - filtered.log_sum[:, None]


def _top_by_blocks(logits: Tensor, peaks: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """topk of wide rows: the k highest logits lie in the k blocks with the highest peaks."""
    blocks = peaks.topk(count, dim=1).indices.sort(dim=1).values
    columns = blocks[:, :, None] * PEAK_BLOCK + torch.arange(PEAK_BLOCK, device=logits.device)
    # The last block may be narrower: columns past the end repeat the last one and are masked.
    past = columns >= logits.shape[1]
    columns = columns.clamp(max=logits.shape[1] - 1).flatten(1)
    inside = logits.gather(1, columns).masked_fill(past.flatten(1), MINUS_INFINITY)
    values, found = inside.topk(count, dim=1)
    return values, columns.gather(1, found)
