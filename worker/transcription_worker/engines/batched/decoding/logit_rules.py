"""Which tokens may come next: the logit filters of whisper.decoding for a whole batch, without a look at single rows.

The vocabulary has three ranges: text [0, eot), special tokens [eot, timestamp_begin) and timestamps [timestamp_begin, end).
Every rule forbids a whole range, a few tokens, or a part of the timestamps, so that only the timestamps need a full mask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MINUS_INFINITY = float("-inf")
LOWEST = torch.finfo(torch.float32).min
# Tokens of the vocabulary whose highest logit is computed together, for top-k by blocks.
PEAK_BLOCK = 256


@dataclass(frozen=True)
class LogitRules:
    """The rules of one decode batch.

    suppressed, blank: token ids that may never, or not first, be sampled. timestamps: whether timestamps are decoded.
    max_initial_timestamp_index: the highest timestamp that may come first.
    """

    eot: int
    timestamp_begin: int
    suppressed: tuple[int, ...]
    blank: tuple[int, ...]
    timestamps: bool
    max_initial_timestamp_index: int | None


@dataclass(frozen=True)
class RuleTensors:
    """Token ids of the rules on the device of the logits: a CUDA graph cannot copy from the host."""

    suppressed: Tensor
    blank: Tensor

    @staticmethod
    def of(rules: LogitRules, device: torch.device) -> "RuleTensors":
        """Copy the token ids to the device."""
        suppressed, blank = (
            torch.tensor(ids, dtype=torch.int64, device=device) for ids in (rules.suppressed, rules.blank)
        )
        return RuleTensors(suppressed, blank)


@dataclass
class RuleState:
    """What the rules need to know of each row's tokens so far; every tensor has the shape (rows,)."""

    num_sampled: Tensor  # tokens sampled so far, int64
    last_was_timestamp: Tensor
    penultimate_was_timestamp: Tensor  # True as well where there is no penultimate token
    last_timestamp: Tensor  # the latest timestamp token, timestamp_begin - 1 for none

    @staticmethod
    def empty(rows: int, rules: LogitRules, device: torch.device) -> "RuleState":
        """The state of rows before their first token."""
        return RuleState(
            torch.zeros(rows, dtype=torch.int64, device=device),
            torch.zeros(rows, dtype=torch.bool, device=device),
            torch.ones(rows, dtype=torch.bool, device=device),
            torch.full((rows,), rules.timestamp_begin - 1, dtype=torch.int64, device=device),
        )

    def tensors(self) -> tuple[Tensor, ...]:
        return self.num_sampled, self.last_was_timestamp, self.penultimate_was_timestamp, self.last_timestamp

    def update(self, tokens: Tensor, active: Tensor, rules: LogitRules, rows: int) -> None:
        """Account for one more token of each active row among the first `rows`. tokens, active: (rows,)."""
        timestamp = tokens >= rules.timestamp_begin
        last = self.last_was_timestamp[:rows] | (self.num_sampled[:rows] == 0)
        self.penultimate_was_timestamp[:rows] = torch.where(active, last, self.penultimate_was_timestamp[:rows])
        self.last_was_timestamp[:rows] = torch.where(active, timestamp, self.last_was_timestamp[:rows])
        self.last_timestamp[:rows] = torch.where(active & timestamp, tokens, self.last_timestamp[:rows])
        self.num_sampled[:rows] += active


@dataclass(frozen=True)
class FilteredLogits:
    """Logits after the rules, by range of the vocabulary.

    forbidden: for each range the rows in which all of it is forbidden, or None. log_sum: logsumexp of what is allowed,
    (rows,). peaks: the highest logit of each block of text, (rows, blocks).
    """

    text: Tensor
    special: Tensor
    timestamp: Tensor
    forbidden: tuple[Tensor, Tensor, Tensor | None]
    log_sum: Tensor
    peaks: Tensor

    def best_by_range(self, pick: Callable[[Tensor], tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Apply `pick`, which returns (values, columns), to each range.

        Returns the values, minus infinity where the range is forbidden, and the token ids.
        """
        found, offset = [], 0
        for logits, forbidden in zip((self.text, self.special, self.timestamp), self.forbidden, strict=True):
            values, columns = pick(logits)
            if forbidden is not None:
                mask = forbidden if values.ndim == 1 else forbidden[:, None]
                values = values.masked_fill(mask, MINUS_INFINITY)
            found.append((values, columns + offset))
            offset += logits.shape[1]
        return found


def apply_rules(logits: Tensor, state: RuleState, rules: LogitRules, tensors: RuleTensors) -> FilteredLogits:
    """Mask logits, (rows, vocabulary), in place.

    Does what SuppressBlank, SuppressTokens and ApplyTimestampRules of whisper.decoding do.
    """
    rows = logits.shape[0]
    first = state.num_sampled[:rows] == 0
    logits.index_fill_(1, tensors.suppressed, MINUS_INFINITY)
    text, special, timestamps = _ranges(logits, rules)
    if not rules.timestamps:
        logits[:, tensors.blank] = logits[:, tensors.blank].masked_fill(first[:, None], MINUS_INFINITY)
        no_row = torch.zeros_like(first)
        peaks = block_peaks(text)
        log_sum = _log_sum(logits, logits.amax(dim=-1))
        return FilteredLogits(text, special, timestamps, (no_row, no_row, None), log_sum, peaks)
    _mask_timestamps(timestamps, state, rules, first)
    # A single timestamp has ended a segment: the next token must begin one.
    closing = state.last_was_timestamp[:rows] & ~state.penultimate_was_timestamp[:rows]
    peaks = block_peaks(text)
    tops = (peaks.amax(dim=-1), special.amax(dim=-1), timestamps.amax(dim=-1))
    sums = [_log_sum(part, top) for part, top in zip((text, special, timestamps), tops, strict=True)]
    no_text, no_special = first | closing, first
    highest = torch.maximum(_unless(no_text, tops[0]), _unless(no_special, tops[1]))
    # If all timestamps together are likelier than any other token, a timestamp comes next.
    only_timestamps = sums[2] > highest
    no_text, no_special = no_text | only_timestamps, no_special | only_timestamps
    log_sum = torch.logsumexp(torch.stack([_unless(no_text, sums[0]), _unless(no_special, sums[1]), sums[2]]), dim=0)
    return FilteredLogits(text, special, timestamps, (no_text, no_special, None), log_sum, peaks)


def block_peaks(logits: Tensor) -> Tensor:
    """The highest logit of each PEAK_BLOCK columns, the last block of which may be narrower; shape (rows, blocks)."""
    whole = logits.shape[1] // PEAK_BLOCK * PEAK_BLOCK
    peaks = logits[:, :whole].unflatten(1, (-1, PEAK_BLOCK)).amax(dim=2) if whole else logits[:, :0]
    if whole == logits.shape[1]:
        return peaks
    return torch.cat([peaks, logits[:, whole:].amax(dim=1, keepdim=True)], dim=1)


def _log_sum(logits: Tensor, top: Tensor) -> Tensor:
    """logsumexp of rows whose highest value is known; minus infinity for rows that hold nothing else."""
    finite = top.clamp(min=LOWEST)
    return (logits - finite[:, None]).exp_().sum(dim=-1).log() + finite


def _ranges(logits: Tensor, rules: LogitRules) -> tuple[Tensor, Tensor, Tensor]:
    sizes = (rules.eot, rules.timestamp_begin - rules.eot, logits.shape[1] - rules.timestamp_begin)
    text, special, timestamps = logits.split(sizes, dim=1)
    return text, special, timestamps


def _unless(forbidden: Tensor, values: Tensor) -> Tensor:
    return values.masked_fill(forbidden, MINUS_INFINITY)


def _mask_timestamps(timestamps: Tensor, state: RuleState, rules: LogitRules, first: Tensor) -> None:
    """Timestamps come in pairs, never go back, and every segment lasts: whisper.decoding.ApplyTimestampRules."""
    rows = timestamps.shape[0]
    last, penultimate = state.last_was_timestamp[:rows], state.penultimate_was_timestamp[:rows]
    column = torch.arange(timestamps.shape[1], device=timestamps.device)
    lowest = state.last_timestamp[:rows] - rules.timestamp_begin + 1 - (last & ~penultimate).long()
    forbidden = (column < lowest[:, None]) | (last & penultimate)[:, None]
    if rules.max_initial_timestamp_index is not None:
        forbidden |= first[:, None] & (column > rules.max_initial_timestamp_index)
    timestamps.masked_fill_(forbidden, MINUS_INFINITY)
