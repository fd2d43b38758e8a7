"""The next token of each row at temperature 0 without beams, and above it: whisper.decoding.GreedyDecoder for a batch."""

import torch
from torch import Tensor

from transcription_worker.engines.batched.rules import MINUS_INFINITY, Allowed


def choose_highest(allowed: Allowed) -> tuple[Tensor, Tensor]:
    """Tokens and their log probabilities, each (rows,). Of equals the lowest id, as argmax."""
    values, tokens = _highest(allowed.best(lambda logits: logits.max(dim=-1)))
    return tokens, values - allowed.log_sum


def choose_sampled(allowed: Allowed, temperatures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """As choose_highest, drawn from the distribution at each row's temperature.

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
    """The `count` likeliest tokens of each row, best first, and their log probabilities; each (rows, count)."""

    def pick(logits: Tensor) -> tuple[Tensor, Tensor]:
        return _top(logits, min(count, logits.shape[1]))

    found = allowed.best(pick)
    values, columns = torch.cat([v for v, _ in found], dim=1).topk(count, dim=1)
    tokens = torch.cat([t for _, t in found], dim=1).gather(1, columns)
    return tokens, values - allowed.log_sum[:, None]


def _top(logits: Tensor, count: int, block: int = 256) -> tuple[Tensor, Tensor]:
    """topk of wide rows by their blocks: the k highest lie in the k blocks with the highest maxima."""
    rows, width = logits.shape
    blocks = -(-width // block)
    if blocks <= 4 * count:
        values, columns = logits.topk(count, dim=1)
        return values, columns
    padded = torch.nn.functional.pad(logits, (0, blocks * block - width), value=MINUS_INFINITY).view(
        rows, blocks, block
    )
    chosen = padded.amax(dim=2).topk(count, dim=1).indices.sort(dim=1).values
    inside = padded.gather(1, chosen[:, :, None].expand(-1, -1, block)).flatten(1)
    values, found = inside.topk(count, dim=1)
    columns = chosen.gather(1, found // block) * block + found % block
    return values, columns.clamp(max=width - 1)
