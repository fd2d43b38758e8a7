"""How a batch chooses its next tokens: greedily or by sampling, row by row, or by beam search over a slot's rows.

Everything is done on tensors of fixed shape without reading their values on the host, so that a GPU can replay a decode
step as one CUDA graph. The classes have the names of their counterparts in whisper.decoding.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import MINUS_INFINITY, LogitRules, RuleState


@dataclass(frozen=True)
class Candidate:
    """A decoded text: its tokens up to the end of text, and the sum of their log probabilities."""

    tokens: list[int]
    sum_logprob: float


@dataclass
class DecodeState:
    """The state of every row of a decode batch; all tensors but `tokens` have the shape (rows,).

    tokens: tokens sampled so far, (rows, max_length + 1); its last column takes writes that are to be ignored. token: the
    last one. position: of that token in the context.
    """

    rule_state: RuleState
    tokens: Tensor
    sum_logprobs: Tensor
    max_tokens: Tensor
    token: Tensor
    position: Tensor
    finished: Tensor
    temperature: Tensor

    @staticmethod
    def empty(rows: int, max_length: int, rules: LogitRules, device: torch.device) -> "DecodeState":
        """The state of rows that are all finished."""

        def full(fill: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.full((rows,), fill, dtype=dtype, device=device)

        tokens = torch.full((rows, max_length + 1), rules.eot, dtype=torch.int64, device=device)
        return DecodeState(
            RuleState.empty(rows, rules, device), tokens, full(0, torch.float32), full(0), full(rules.eot), full(0),
            full(1, torch.bool), full(1, torch.float32),
        )  # fmt: skip

    def tensors(self) -> tuple[Tensor, ...]:
        return (
            *self.rule_state.tensors(), self.tokens, self.sum_logprobs, self.max_tokens, self.token, self.position,
            self.finished, self.temperature,
        )  # fmt: skip

    def sampled(self, slots: Tensor, group: int) -> list[list[Candidate]]:
        """What the `group` rows of each of some slots have sampled. slots: numbers, (n,). Waits for the device once a tensor."""
        rows = (slots[:, None] * group + torch.arange(group, device=slots.device)).flatten()
        held = (one[rows].tolist() for one in (self.tokens, self.rule_state.num_sampled, self.sum_logprobs))
        found = [Candidate(row[:count], total) for row, count, total in zip(*held, strict=True)]
        return [found[start : start + group] for start in range(0, len(found), group)]

    def append(self, tokens: Tensor, logprobs: Tensor, active: Tensor, rules: LogitRules) -> None:
        """Append one token to each active row. tokens, logprobs, active: of the first rows, each (rows,)."""
        rows = tokens.shape[0]
        column = torch.where(active, self.rule_state.num_sampled[:rows], self.tokens.shape[1] - 1)
        self.tokens[:rows].scatter_(1, column[:, None], tokens[:, None])
        self.sum_logprobs[:rows] += torch.where(active, logprobs, 0.0)
        self.token[:rows] = torch.where(active, tokens, self.token[:rows])
        self.rule_state.update(tokens, active, rules, rows)


class TokenDecoder(Protocol):
    """A way to choose tokens, for slots of `group` rows. top_k: how many tokens of each row the sampler offers."""

    group: int
    top_k: int

    def update(self, state: DecodeState, tokens: Tensor, logprobs: Tensor, rules: LogitRules) -> Tensor | None:
        """Append one of the offered tokens to each of the first rows.

        tokens, logprobs: (rows, top_k), best first.

        Returns:
            The row that each row continues, (rows,), if rows change places; else None.
        """
        ...

    def finalize(self, state: DecodeState, slots: Tensor, rules: LogitRules) -> list[list[Candidate]]:
        """Return the candidates of finished slots. slots: their numbers, (n,), on the model's device."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """The decoder's own state; the first dimension of each tensor is the slots."""
        ...

    def reset(self, slot: int) -> None:
        """Clear the state of a slot before a new window."""
        ...


class GreedyDecoder:
    """Appends the one token that the sampler offers for each row: the most probable one, or a sampled one."""

    top_k = 1

    def __init__(self, group: int) -> None:
        self.group = group

    def update(self, state: DecodeState, tokens: Tensor, logprobs: Tensor, rules: LogitRules) -> Tensor | None:
        """Implement TokenDecoder."""
        rows, chosen = tokens.shape[0], tokens[:, 0]
        active = ~state.finished[:rows]
        state.append(chosen, logprobs[:, 0], active, rules)
        ended = (chosen == rules.eot) | (state.rule_state.num_sampled[:rows] >= state.max_tokens[:rows])
        state.finished[:rows] |= ended & active
        return None

    def finalize(self, state: DecodeState, slots: Tensor, rules: LogitRules) -> list[list[Candidate]]:
        """Implement TokenDecoder: one candidate for each row."""
        return [
            [Candidate(_until_eot(one.tokens, rules.eot), one.sum_logprob) for one in rows]
            for rows in state.sampled(slots, self.group)
        ]

    def tensors(self) -> tuple[Tensor, ...]:
        """Implement TokenDecoder: there is no state."""
        return ()

    def reset(self, slot: int) -> None:
        """Implement TokenDecoder: there is no state."""


class BeamSearchDecoder:
    """Beam search as in whisper.decoding.BeamSearchDecoder, for all slots at once.

    group: beams of a slot. max_candidates: finished candidates after which a slot is done (beams x patience).
    """

    def __init__(self, group: int, max_candidates: int, slots: int, max_length: int, device: torch.device) -> None:
        self.group, self.top_k = group, group + 1
        self._max_candidates = max_candidates
        # The additional column takes writes that are to be ignored.
        shape = (slots, max_candidates + 1)
        self._count = torch.zeros(slots, dtype=torch.int64, device=device)
        self._sum_logprobs = torch.zeros(shape, device=device)
        self._lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        self._tokens = torch.zeros((*shape, max_length + 1), dtype=torch.int64, device=device)

    def tensors(self) -> tuple[Tensor, ...]:
        """Implement TokenDecoder: the finished candidates of each slot."""
        return self._count, self._sum_logprobs, self._lengths, self._tokens

    def reset(self, slot: int) -> None:
        """Implement TokenDecoder."""
        self._count[slot] = 0

    def update(self, state: DecodeState, tokens: Tensor, logprobs: Tensor, rules: LogitRules) -> Tensor | None:
        """Implement TokenDecoder: continue each slot's best `group` sequences that do not end here.

        Sequences that end and rank before those become finished candidates.
        """
        count, group = tokens.shape[0], self.group
        slots = count // group
        sums = (state.sum_logprobs[:count, None] + logprobs).view(slots, group, group + 1)
        # All rows of a new slot are equal: only the first is considered.
        new = (state.rule_state.num_sampled[:count].view(slots, group) == 0).clone()
        new[:, 0] = False
        ranked = sums.masked_fill(new[:, :, None], MINUS_INFINITY).flatten(1).sort(dim=1, descending=True, stable=True)
        ends = tokens.view(slots, -1).gather(1, ranked.indices) == rules.eot
        continued = (~ends).cumsum(dim=1)
        active = ~state.finished[:count]
        self._add_candidates(state, ranked, ends & (continued < group), active.view(slots, group)[:, 0])
        place = torch.where(~ends & (continued <= group), continued - 1, group)
        chosen = torch.zeros((slots, group + 1), dtype=torch.int64, device=place.device).scatter_(
            1, place, ranked.indices
        )
        return self._continue(state, rules, chosen[:, :group], tokens, logprobs, active)

    def _add_candidates(
        self, state: DecodeState, ranked: "torch.return_types.sort", ended: Tensor, active: Tensor
    ) -> None:
        """Store finished candidates. ended: (slots, offers), which of the ranked offers end here. active: (slots,)."""
        slots, group = ended.shape[0], self.group
        index = self._count[:slots, None] + ended.cumsum(dim=1) - 1
        kept = ended & active[:, None] & (index < self._max_candidates)
        index = torch.where(kept, index, self._max_candidates)
        self._sum_logprobs[:slots].scatter_(1, index, ranked.values)
        self._count[:slots] += kept.sum(dim=1)
        # A beam ends at most once in a step: where the tokens of each beam are stored.
        place = torch.full((slots, group), self._max_candidates, dtype=torch.int64, device=index.device)
        place.scatter_reduce_(1, ranked.indices // (group + 1), index, "amin", include_self=True)
        tokens = state.tokens[: slots * group].view(slots, group, -1)
        self._tokens[:slots].scatter_(1, place[:, :, None].expand_as(tokens), tokens)
        self._lengths[:slots].scatter_(1, place, state.rule_state.num_sampled[: slots * group].view(slots, group))

    def _continue(
        self, state: DecodeState, rules: LogitRules, chosen: Tensor, tokens: Tensor, logprobs: Tensor, active: Tensor
    ) -> Tensor | None:
        """Append the chosen tokens. chosen: (slots, group), indices among a slot's offers.

        Returns the rows that are continued, (rows,); None if no row can change its place.
        """
        slots, group = chosen.shape
        count = slots * group
        source = None
        if group > 1:
            own = torch.arange(count, device=chosen.device)
            source = (chosen // (group + 1) + torch.arange(slots, device=chosen.device)[:, None] * group).flatten()
            source = torch.where(active, source, own)
            tokens, logprobs = tokens[source], logprobs[source]
            for tensor in (*state.rule_state.tensors(), state.tokens, state.sum_logprobs):
                tensor[:count] = tensor[source]
        column = (chosen % (group + 1)).flatten()[:, None]
        state.append(tokens.gather(1, column)[:, 0], logprobs.gather(1, column)[:, 0], active, rules)
        full = (self._count[:slots] >= self._max_candidates).repeat_interleave(group)
        state.finished[:count] |= full | (state.rule_state.num_sampled[:count] >= state.max_tokens[:count])
        return source

    def finalize(self, state: DecodeState, slots: Tensor, rules: LogitRules) -> list[list[Candidate]]:  # noqa: ARG002
        """Implement TokenDecoder: the finished candidates, and the best unfinished ones if there are fewer than `group`."""
        held = (one[slots].tolist() for one in (self._count, self._tokens, self._lengths, self._sum_logprobs))
        found = []
        unfinished = state.sampled(slots, self.group)
        for rows, count, tokens, lengths, sums in zip(unfinished, *held, strict=True):
            ended = zip(tokens[:count], lengths[:count], sums[:count], strict=True)
            done = [Candidate(one[:length], sum_logprob) for one, length, sum_logprob in ended]
            rows.sort(key=lambda one: one.sum_logprob, reverse=True)
            found.append(done + rows[: max(0, self.group - len(done))])
        return found


def _until_eot(tokens: list[int], eot: int) -> list[int]:
    return tokens[: tokens.index(eot)] if eot in tokens else tokens
