"""The rules for whole batches forbid what whisper.decoding's filters forbid, row by row."""

import math
import random

import pytest
import torch
from transcription_worker.engines.batched.choose import highest_candidates
from transcription_worker.engines.batched.rules import Allowed, Columns, apply_rules

from tests.unit.worker.batched.filtered import CPU, VOCABULARY, batches, expected, history, rules, traced


def whole(allowed: Allowed) -> torch.Tensor:
    """Log probabilities of the whole vocabulary."""
    parts = []
    for logits, never in zip((allowed.text, allowed.special, allowed.timestamp), allowed.forbidden, strict=True):
        parts.append(logits if never is None else logits.masked_fill(never[:, None], -math.inf))
    return torch.cat(parts, dim=1) - allowed.log_sum[:, None]


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("last_initial", [50, None])
def test_every_token_has_the_probability_that_whispers_filters_leave_it(
    timestamps: bool, last_initial: int | None
) -> None:
    of = rules(timestamps, last_initial)
    for rows, logits in batches():
        wanted = expected(rows, logits, of)
        trace = traced(rows, of)
        found = whole(apply_rules(logits.clone(), trace, of, Columns.of(of, CPU)))
        assert torch.equal(found == -math.inf, wanted == -math.inf)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_highest_token_and_candidates_are_those_of_the_whole_vocabulary() -> None:
    of = rules()
    for rows, logits in batches():
        wanted = expected(rows, logits, of)
        trace = traced(rows, of)
        allowed = apply_rules(logits.clone(), trace, of, Columns.of(of, CPU))
        tokens, chances = highest_candidates(allowed, 1)
        assert torch.equal(tokens[:, 0], wanted.argmax(dim=-1))
        torch.testing.assert_close(chances[:, 0], wanted.amax(dim=-1), rtol=0, atol=1e-5)
        best = wanted.topk(6, dim=-1)
        candidates, scores = highest_candidates(allowed, 6)
        likely = best.values > -math.inf
        assert torch.equal(candidates[likely], best.indices[likely])
        torch.testing.assert_close(scores, best.values, rtol=0, atol=1e-5)


def test_rows_of_different_lengths_in_one_batch_are_as_each_on_its_own() -> None:
    of, chance = rules(), random.Random(6)
    rows = [history(chance, length) for length in (1, 2, 3, 5, 9, 14)]
    logits = torch.randn(len(rows), VOCABULARY, generator=torch.Generator().manual_seed(6))
    together = whole(apply_rules(logits.clone(), traced(rows, of), of, Columns.of(of, CPU)))
    for row, tokens in enumerate(rows):
        torch.testing.assert_close(
            together[row : row + 1], expected([tokens], logits[row : row + 1], of), rtol=0, atol=1e-5
        )
