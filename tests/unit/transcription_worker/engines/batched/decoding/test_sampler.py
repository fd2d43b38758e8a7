"""Both ways to look for the next tokens give what whisper.decoding's filters and a softmax give."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transcription_worker.engines.batched.decoding.logit_rules import Rules, Trace
from transcription_worker.engines.batched.decoding.sampler import Vocabulary, WholeVocabulary
from transcription_worker.engines.batched.decoding.sampler_cpu import BlockedVocabulary
from transcription_worker.engines.batched.kernels.numba_jit import widens
from transcription_worker.engines.batched.kernels.vocabulary_cpu import all_logits, packed

from tests.support.filtered_logits import Logits, batches, expected, mixed, rules, traced


def blocked(decoder: Any, of: Rules, highest: int) -> Vocabulary:
    return BlockedVocabulary(decoder, of, highest)


def whole(decoder: Any, of: Rules, highest: int) -> Vocabulary:
    return WholeVocabulary(decoder, of, highest)


Way = Callable[[Any, Rules, int], Vocabulary]


def picked(
    logits: torch.Tensor, trace: Trace, of: Rules, highest: int, way: Way = blocked
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = logits.shape[0]
    return way(Logits(logits), of, highest).pick(torch.eye(rows), trace, torch.ones(rows), None)


both_ways = pytest.mark.parametrize("way", [blocked, whole])


@both_ways
@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("last_initial", [50, None])
@pytest.mark.parametrize("highest", [1, 6])
def test_the_highest_tokens_and_their_probabilities_are_those_of_the_whole_vocabulary(
    timestamps: bool, last_initial: int | None, highest: int, way: Way
) -> None:
    of = rules(timestamps, last_initial)
    for rows, logits in batches():
        best = expected(rows, logits, of).topk(highest, dim=-1)
        tokens, chances = picked(logits, traced(rows, of), of, highest, way)
        likely = best.values > -math.inf
        assert torch.equal(tokens[likely], best.indices[likely])
        torch.testing.assert_close(chances, best.values, rtol=0, atol=1e-5)


@both_ways
def test_rows_of_different_lengths_in_one_batch_are_as_each_on_its_own(way: Way) -> None:
    of, (rows, logits) = rules(), mixed()
    tokens, chances = picked(logits, traced(rows, of), of, 1, way)
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
    trace = traced([[400], [400], [400]], of)
    tokens, _ = picked(logits, trace, of, 2)
    assert tokens.tolist() == [[allowed[2], allowed[3]], [allowed[20], allowed[21]], [allowed[7], 51800]]


def test_logits_far_apart_and_far_from_zero_lose_nothing() -> None:
    of = rules(timestamps=False)
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(4, 51865, generator=generator) * 30 + torch.tensor([[0.0], [400.0], [-400.0], [90.0]])
    rows = [[500], [500], [500], [500]]
    best = expected(rows, logits, of).topk(3, dim=-1)
    tokens, chances = picked(logits, traced(rows, of), of, 3)
    assert torch.equal(tokens, best.indices)
    torch.testing.assert_close(chances, best.values, rtol=0, atol=1e-4)


def test_half_precision_is_used_where_it_changes_no_number() -> None:
    halves = torch.randn(3000, 64, generator=torch.Generator().manual_seed(9)).half()
    halves[0, :4] = torch.tensor([0.0, 6e-8, -6e-8, 65504.0]).half()  # the least and the greatest
    hidden = torch.randn(8, 64, generator=torch.Generator().manual_seed(10))
    for embedding, kept in (
        (halves.float(), np.uint16 if widens() else np.float32),
        (halves.float() * 1.001, np.float32),
    ):
        weight = packed(embedding)
        assert weight.dtype == kept
        logits = torch.empty(7, 3000)
        all_logits(hidden.numpy(), weight, logits.numpy())
        exact = hidden[:7].double() @ embedding.double().T
        torch.testing.assert_close(logits.double(), exact, rtol=1e-5, atol=1e-4)
