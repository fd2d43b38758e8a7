"""How a lane takes the next tokens: greedily or by sampling (a row at a time) or by beams (a slot's rows together).

All of it is on tensors of fixed shape without a look at their values, so that a GPU can replay a step as one graph.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import MINUS_INFINITY, Rules, Trace


@dataclass
class Rows:
    """State of every row of a lane.

    `history`: (rows, longest), tokens sampled; `score`: sum of their log probabilities; `limit`: tokens that may be
    sampled; `finished`: nothing more comes.
    """

    trace: Trace
    history: Tensor
    score: Tensor
    limit: Tensor
    token: Tensor
    position: Tensor
    finished: Tensor
    temperature: Tensor

    @staticmethod
    def empty(rows: int, longest: int, rules: Rules, device: torch.device) -> "Rows":
        """All of them finished."""

        def whole(fill: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.full((rows,), fill, dtype=dtype, device=device)

        history = torch.full((rows, longest + 1), rules.eot, dtype=torch.int64, device=device)
        return Rows(
            Trace.empty(rows, rules, device), history, whole(0, torch.float32), whole(0), whole(rules.eot), whole(0),
            whole(1, torch.bool), whole(1, torch.float32),
        )  # fmt: skip

    def tensors(self) -> tuple[Tensor, ...]:
        return (
            *self.trace.tensors(), self.history, self.score, self.limit, self.token, self.position, self.finished,
            self.temperature,
        )  # fmt: skip

    def take(self, tokens: Tensor, logprobs: Tensor, active: Tensor, rules: Rules) -> None:
        """One more token for the active ones of the first rows; scores are added to."""
        rows = tokens.shape[0]
        column = torch.where(active, self.trace.sampled[:rows], self.history.shape[1] - 1)
        self.history[:rows].scatter_(1, column[:, None], tokens[:, None])
        self.score[:rows] += torch.where(active, logprobs, 0.0)
        self.token[:rows] = torch.where(active, tokens, self.token[:rows])
        self.trace.advance(tokens, active, rules, rows)


@dataclass(frozen=True)
class Sequence:
    """A candidate: sampled tokens up to the end of text, and the sum of their log probabilities."""

    tokens: list[int]
    score: float


class Search(Protocol):
    """One way to take tokens; `group` rows make a slot. `wanted`: of how many tokens it takes a row's next one."""

    group: int
    wanted: int

    def advance(self, rows: Rows, tokens: Tensor, logprobs: Tensor, rules: Rules) -> Tensor | None:
        """Takes one of the tokens for each of the first rows; returns the rows that each goes on from, if they change places.

        tokens, logprobs: (rows, wanted), best first.
        """
        ...

    def candidates(self, rows: Rows, slot: int, rules: Rules) -> list[Sequence]:
        """Of a slot that is finished."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """State of the search itself, by slot."""
        ...

    def clear(self, slot: int) -> None:
        """Before a new window."""
        ...


class Sampling:
    """Each row on its own, with the token that was picked for it."""

    wanted = 1

    def __init__(self, group: int) -> None:
        self.group = group

    def advance(self, rows: Rows, tokens: Tensor, logprobs: Tensor, rules: Rules) -> Tensor | None:
        """As Search."""
        count, picked = tokens.shape[0], tokens[:, 0]
        active = ~rows.finished[:count]
        rows.take(picked, logprobs[:, 0], active, rules)
        ended = (picked == rules.eot) | (rows.trace.sampled[:count] >= rows.limit[:count])
        rows.finished[:count] |= ended & active
        return None

    def candidates(self, rows: Rows, slot: int, rules: Rules) -> list[Sequence]:
        """As Search."""
        of = slice(slot * self.group, (slot + 1) * self.group)
        histories, counts = rows.history[of].tolist(), rows.trace.sampled[of].tolist()
        scores = rows.score[of].tolist()
        return [
            Sequence(_until_end(history[:count], rules.eot), score)
            for history, count, score in zip(histories, counts, scores, strict=True)
        ]

    def tensors(self) -> tuple[Tensor, ...]:
        """None of its own."""
        return ()

    def clear(self, slot: int) -> None:
        """Nothing is kept."""


class Beams:
    """whisper.decoding.BeamSearchDecoder. `enough`: finished candidates after which a slot is done."""

    def __init__(self, group: int, enough: int, slots: int, longest: int, device: torch.device) -> None:
        self.group, self.wanted = group, group + 1
        self._enough = enough
        # One column more than enough: what is not to be kept is written there.
        shape = (slots, enough + 1)
        self._count = torch.zeros(slots, dtype=torch.int64, device=device)
        self._scores = torch.zeros(shape, device=device)
        self._lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        self._tokens = torch.zeros((*shape, longest + 1), dtype=torch.int64, device=device)

    def tensors(self) -> tuple[Tensor, ...]:
        """As Search."""
        return self._count, self._scores, self._lengths, self._tokens

    def clear(self, slot: int) -> None:
        """As Search."""
        self._count[slot] = 0

    def advance(self, rows: Rows, tokens: Tensor, logprobs: Tensor, rules: Rules) -> Tensor | None:
        """As Search: each slot's best `group` sequences that go on; those that end before them are kept as finished."""
        count, group = tokens.shape[0], self.group
        slots = count // group
        scores = (rows.score[:count, None] + logprobs).view(slots, group, group + 1)
        # All rows of a new slot are the same: the first speaks for them.
        new = (rows.trace.sampled[:count].view(slots, group) == 0).clone()
        new[:, 0] = False
        ranked = (
            scores.masked_fill(new[:, :, None], MINUS_INFINITY).flatten(1).sort(dim=1, descending=True, stable=True)
        )
        ends = tokens.view(slots, -1).gather(1, ranked.indices) == rules.eot
        going_on = (~ends).cumsum(dim=1)
        active = ~rows.finished[:count]
        self._finish(rows, ranked, ends & (going_on < group), active.view(slots, group)[:, 0])
        place = torch.where(~ends & (going_on <= group), going_on - 1, group)
        chosen = torch.zeros((slots, group + 1), dtype=torch.int64, device=place.device).scatter_(
            1, place, ranked.indices
        )
        return self._go_on(rows, rules, chosen[:, :group], tokens, logprobs, active)

    def _finish(self, rows: Rows, ranked: "torch.return_types.sort", ended: Tensor, active: Tensor) -> None:
        """ended: (slots, candidates), which of the ranked ones end here."""
        slots, group = ended.shape[0], self.group
        index = self._count[:slots, None] + ended.cumsum(dim=1) - 1
        kept = ended & active[:, None] & (index < self._enough)
        index = torch.where(kept, index, self._enough)
        self._scores[:slots].scatter_(1, index, ranked.values)
        self._count[:slots] += kept.sum(dim=1)
        # A beam ends at most once a step: its row and the place of what it gave.
        place = torch.full((slots, group), self._enough, dtype=torch.int64, device=index.device)
        place.scatter_reduce_(1, ranked.indices // (group + 1), index, "amin", include_self=True)
        history = rows.history[: slots * group].view(slots, group, -1)
        self._tokens[:slots].scatter_(1, place[:, :, None].expand_as(history), history)
        self._lengths[:slots].scatter_(1, place, rows.trace.sampled[: slots * group].view(slots, group))

    def _go_on(
        self, rows: Rows, rules: Rules, chosen: Tensor, tokens: Tensor, logprobs: Tensor, active: Tensor
    ) -> Tensor | None:
        """chosen: (slots, group), indices among a slot's candidates. Returns the source rows, (rows,); None where all stay."""
        slots, group = chosen.shape
        count = slots * group
        source = None
        if group > 1:
            own = torch.arange(count, device=chosen.device)
            source = (chosen // (group + 1) + torch.arange(slots, device=chosen.device)[:, None] * group).flatten()
            source = torch.where(active, source, own)
            tokens, logprobs = tokens[source], logprobs[source]
            for state in (*rows.trace.tensors(), rows.history, rows.score):
                state[:count] = state[source]
        column = (chosen % (group + 1)).flatten()[:, None]
        rows.take(tokens.gather(1, column)[:, 0], logprobs.gather(1, column)[:, 0], active, rules)
        full = (self._count[:slots] >= self._enough).repeat_interleave(group)
        rows.finished[:count] |= full | (rows.trace.sampled[:count] >= rows.limit[:count])
        return source

    def candidates(self, rows: Rows, slot: int, rules: Rules) -> list[Sequence]:  # noqa: ARG002
        """As Search; the best unfinished ones too, where fewer than `group` are finished."""
        count = int(self._count[slot])
        tokens, lengths = self._tokens[slot, :count].tolist(), self._lengths[slot, :count].tolist()
        scores = self._scores[slot, :count].tolist()
        done = [Sequence(t[:n], s) for t, n, s in zip(tokens, lengths, scores, strict=True)]
        if len(done) >= self.group:
            return done
        of = slice(slot * self.group, (slot + 1) * self.group)
        sampled = int(rows.trace.sampled[of][0])
        unfinished = [
            Sequence(history[:sampled], score)
            for history, score in zip(rows.history[of].tolist(), rows.score[of].tolist(), strict=True)
        ]
        unfinished.sort(key=lambda one: one.score, reverse=True)
        return done + unfinished[: self.group - len(done)]


def _until_end(tokens: list[int], eot: int) -> list[int]:
    return tokens[: tokens.index(eot)] if eot in tokens else tokens
