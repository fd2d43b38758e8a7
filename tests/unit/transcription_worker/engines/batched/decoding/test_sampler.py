"""Both samplers give what whisper.decoding's filters and a softmax give."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.decoding import sampler_cpu
from transcription_worker.engines.batched.decoding.logit_rules import LogitRules, RuleState
from transcription_worker.engines.batched.decoding.sampler import Sampler, TorchSampler
from transcription_worker.engines.batched.decoding.sampler_cpu import NumbaSampler
from transcription_worker.engines.batched.kernels.vocabulary_cpu import scan_vocabulary

from tests.support.filtered_logits import Logits, batches, expected, mixed, rules, state_after


def numba_sampler(decoder: Any, of: LogitRules, top_k: int) -> Sampler:
    return NumbaSampler(decoder, of, top_k)


def whole(decoder: Any, of: LogitRules, top_k: int) -> Sampler:
    return TorchSampler(decoder, of, top_k)


MakeSampler = Callable[[Any, LogitRules, int], Sampler]


def picked(
    logits: torch.Tensor, state: RuleState, of: LogitRules, top_k: int, make: MakeSampler = numba_sampler
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = logits.shape[0]
    return make(Logits(logits), of, top_k).sample(torch.eye(rows), state, torch.ones(rows), None)


both_samplers = pytest.mark.parametrize("make", [numba_sampler, whole])


@both_samplers
@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("max_initial_timestamp_index", [50, None])
@pytest.mark.parametrize("top_k", [1, 6])
def test_the_highest_tokens_and_their_probabilities_are_those_of_the_whole_vocabulary(
    timestamps: bool, max_initial_timestamp_index: int | None, top_k: int, make: MakeSampler
) -> None:
    of = rules(timestamps, max_initial_timestamp_index)
    for rows, logits in batches():
        best = expected(rows, logits, of).topk(top_k, dim=-1)
        tokens, chances = picked(logits, state_after(rows, of), of, top_k, make)
        likely = best.values > -math.inf
        assert torch.equal(tokens[likely], best.indices[likely])
        torch.testing.assert_close(chances, best.values, rtol=0, atol=1e-5)


@both_samplers
def test_rows_of_different_lengths_in_one_batch_are_as_each_on_its_own(make: MakeSampler) -> None:
    of, (rows, logits) = rules(), mixed()
    tokens, chances = picked(logits, state_after(rows, of), of, 1, make)
    for row, given in enumerate(rows):
        best = expected([given], logits[row : row + 1], of)[0].max(dim=-1)
        assert int(tokens[row, 0]) == int(best.indices)
        assert float(chances[row, 0]) == pytest.approx(float(best.values), abs=1e-5)


def test_of_equals_the_lowest_token_is_taken_wherever_they_lie() -> None:
    of = rules(timestamps=False)
    logits = torch.full((3, 51865), -20.0)
    allowed = [token for token in range(300, 51000, 1000) if token not in of.suppressed]
    for row, some in enumerate((allowed[2:], allowed[20:], [allowed[7], 51800])):
        logits[row, some] = 3.0
    state = state_after([[400], [400], [400]], of)
    tokens, _ = picked(logits, state, of, 2)
    assert tokens.tolist() == [[allowed[2], allowed[3]], [allowed[20], allowed[21]], [allowed[7], 51800]]


def test_logits_far_apart_and_far_from_zero_lose_nothing() -> None:
    of = rules(timestamps=False)
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(4, 51865, generator=generator) * 30 + torch.tensor([[0.0], [400.0], [-400.0], [90.0]])
    rows = [[500], [500], [500], [500]]
    best = expected(rows, logits, of).topk(3, dim=-1)
    tokens, chances = picked(logits, state_after(rows, of), of, 3)
    assert torch.equal(tokens, best.indices)
    torch.testing.assert_close(chances, best.values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("top_k", [1, 6])
def test_several_threads_find_what_one_finds(threads: int, top_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of, ranges = rules(), list[tuple[int, int]]()

    def watched(hidden: Any, weight: Any, first: int, last: int, *found: Any) -> None:
        ranges.append((first, last))
        scan_vocabulary(hidden, weight, first, last, *found)

    monkeypatch.setattr(sampler_cpu, "scan_vocabulary", watched)
    usual = torch.get_num_threads()
    for rows, logits in batches():
        found = []
        for count in (1, threads):
            ranges.clear()
            torch.set_num_threads(count)
            try:
                found.append(picked(logits, state_after(rows, of), of, top_k))
            finally:
                torch.set_num_threads(usual)
        ends = sorted(ranges)
        assert (len(ends), ends[0][0], ends[-1][1]) == (threads, 0, logits.shape[1])
        assert all(before[1] == after[0] for before, after in itertools.pairwise(ends))
        (tokens, chances), (others, their_chances) = found
        assert torch.equal(tokens, others)
        torch.testing.assert_close(chances, their_chances, rtol=0, atol=1e-6)
