"""Which tokens may come next: the logit filters of whisper.decoding for a batch of rows, without a look at single rows.

The vocabulary is three ranges: text [0, eot), specials [eot, timestamp_begin), timestamps [timestamp_begin, end). Every rule
forbids a whole range, or a few columns, or a part of the timestamps, so nothing but the timestamps is ever masked whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MINUS_INFINITY = float("-inf")
LOWEST = torch.finfo(torch.float32).min
# Columns of the vocabulary that are looked at together when the highest ones are sought.
BLOCK = 256


@dataclass(frozen=True)
class Rules:
    """Of one lane. `suppressed` and `blank`: token ids. `last_initial`: the highest timestamp that may come first."""

    eot: int
    timestamp_begin: int
    suppressed: tuple[int, ...]
    blank: tuple[int, ...]
    timestamps: bool
    last_initial: int | None


@dataclass(frozen=True)
class Columns:
    """Token ids of the rules where the logits are: a step of a GPU is recorded, and no record may copy from the host."""

    suppressed: Tensor
    blank: Tensor

    @staticmethod
    def of(rules: Rules, device: torch.device) -> "Columns":
        """Copies them there."""
        suppressed, blank = (
            torch.tensor(ids, dtype=torch.int64, device=device) for ids in (rules.suppressed, rules.blank)
        )
        return Columns(suppressed, blank)


@dataclass
class Trace:
    """What the rules need of each row's tokens so far; each of shape (rows,)."""

    sampled: Tensor  # tokens given, int64
    after_timestamp: Tensor  # the last token is one
    after_two: Tensor  # the one before it is one, or there is none
    last_timestamp: Tensor  # the latest one, timestamp_begin - 1 for none

    @staticmethod
    def empty(rows: int, rules: Rules, device: torch.device) -> "Trace":
        """Of rows that have given nothing."""
        return Trace(
            torch.zeros(rows, dtype=torch.int64, device=device),
            torch.zeros(rows, dtype=torch.bool, device=device),
            torch.ones(rows, dtype=torch.bool, device=device),
            torch.full((rows,), rules.timestamp_begin - 1, dtype=torch.int64, device=device),
        )

    def tensors(self) -> tuple[Tensor, ...]:
        return self.sampled, self.after_timestamp, self.after_two, self.last_timestamp

    def advance(self, tokens: Tensor, active: Tensor, rules: Rules, rows: int) -> None:
        """After one more token of the first `rows` rows, for those that are active."""
        stamp = tokens >= rules.timestamp_begin
        before = self.after_timestamp[:rows] | (self.sampled[:rows] == 0)
        self.after_two[:rows] = torch.where(active, before, self.after_two[:rows])
        self.after_timestamp[:rows] = torch.where(active, stamp, self.after_timestamp[:rows])
        self.last_timestamp[:rows] = torch.where(active & stamp, tokens, self.last_timestamp[:rows])
        self.sampled[:rows] += active


@dataclass(frozen=True)
class Allowed:
    """Logits after the rules, by range, and the logarithm of the sum of their exponentials, shape (rows,)."""

    text: Tensor
    special: Tensor
    timestamp: Tensor
    forbidden: tuple[Tensor, Tensor, Tensor | None]  # whole ranges, for each row
    log_sum: Tensor
    peaks: Tensor  # the highest of each block of text, shape (rows, blocks)

    def best(self, pick: Callable[[Tensor], tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """`pick` gives (values, columns) of each range; values of forbidden ranges are minus infinity, columns are token ids."""
        found, offset = [], 0
        for logits, never in zip((self.text, self.special, self.timestamp), self.forbidden, strict=True):
            values, columns = pick(logits)
            if never is not None:
                mask = never if values.ndim == 1 else never[:, None]
                values = values.masked_fill(mask, MINUS_INFINITY)
            found.append((values, columns + offset))
            offset += logits.shape[1]
        return found


def apply_rules(logits: Tensor, trace: Trace, rules: Rules, columns: Columns) -> Allowed:
    """logits: (rows, vocabulary), masked in place. Source: SuppressBlank, SuppressTokens and ApplyTimestampRules."""
    rows = logits.shape[0]
    first = trace.sampled[:rows] == 0
    logits.index_fill_(1, columns.suppressed, MINUS_INFINITY)
    text, special, stamps = _ranges(logits, rules)
    if not rules.timestamps:
        logits[:, columns.blank] = logits[:, columns.blank].masked_fill(first[:, None], MINUS_INFINITY)
        no_row = torch.zeros_like(first)
        peaks = block_peaks(text)
        return Allowed(text, special, stamps, (no_row, no_row, None), _log_sum(logits, logits.amax(dim=-1)), peaks)
    _mask_timestamps(stamps, trace, rules, first)
    # A segment has ended: no text before the next begins.
    closing = trace.after_timestamp[:rows] & ~trace.after_two[:rows]
    peaks = block_peaks(text)
    tops = (peaks.amax(dim=-1), special.amax(dim=-1), stamps.amax(dim=-1))
    sums = [_log_sum(part, top) for part, top in zip((text, special, stamps), tops, strict=True)]
    no_text, no_special = first | closing, first
    highest = torch.maximum(_unless(no_text, tops[0]), _unless(no_special, tops[1]))
    # If timestamps together are likelier than any other token, one of them is next.
    only_stamps = sums[2] > highest
    no_text, no_special = no_text | only_stamps, no_special | only_stamps
    log_sum = torch.logsumexp(torch.stack([_unless(no_text, sums[0]), _unless(no_special, sums[1]), sums[2]]), dim=0)
    return Allowed(text, special, stamps, (no_text, no_special, None), log_sum, peaks)


def block_peaks(logits: Tensor) -> Tensor:
    """The highest of each BLOCK columns, the last of fewer; shape (rows, blocks)."""
    whole = logits.shape[1] // BLOCK * BLOCK
    peaks = logits[:, :whole].unflatten(1, (-1, BLOCK)).amax(dim=2) if whole else logits[:, :0]
    if whole == logits.shape[1]:
        return peaks
    return torch.cat([peaks, logits[:, whole:].amax(dim=1, keepdim=True)], dim=1)


def _log_sum(logits: Tensor, top: Tensor) -> Tensor:
    """logsumexp of rows whose highest value is known; minus infinity for rows that hold nothing else."""
    finite = top.clamp(min=LOWEST)
    return (logits - finite[:, None]).exp_().sum(dim=-1).log() + finite


def _ranges(logits: Tensor, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
    sizes = (rules.eot, rules.timestamp_begin - rules.eot, logits.shape[1] - rules.timestamp_begin)
    text, special, stamps = logits.split(sizes, dim=1)
    return text, special, stamps


def _unless(forbidden: Tensor, values: Tensor) -> Tensor:
    return values.masked_fill(forbidden, MINUS_INFINITY)


def _mask_timestamps(stamps: Tensor, trace: Trace, rules: Rules, first: Tensor) -> None:
    """Timestamps come in pairs, never go back, and every segment lasts: whisper.decoding.ApplyTimestampRules."""
    rows = stamps.shape[0]
    after, two = trace.after_timestamp[:rows], trace.after_two[:rows]
    column = torch.arange(stamps.shape[1], device=stamps.device)
    lowest = trace.last_timestamp[:rows] - rules.timestamp_begin + 1 - (after & ~two).long()
    never = (column < lowest[:, None]) | (after & two)[:, None]
    if rules.last_initial is not None:
        never |= first[:, None] & (column > rules.last_initial)
    stamps.masked_fill_(never, MINUS_INFINITY)
