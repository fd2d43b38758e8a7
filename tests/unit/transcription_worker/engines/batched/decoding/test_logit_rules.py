"""The rules for whole batches forbid what whisper.decoding's filters forbid, row by row."""

import math

import pytest
import torch
from transcription_worker.engines.batched.decoding.logit_rules import FilteredLogits, RuleTensors, apply_rules

from tests.support.filtered_logits import CPU, batches, expected, mixed, rules, state_after


def whole(filtered: FilteredLogits) -> torch.Tensor:
    """Return the log probabilities of the whole vocabulary."""
    parts = []
    for logits, forbidden in zip(
        (filtered.text, filtered.special, filtered.timestamp), filtered.forbidden, strict=True
    ):
        parts.append(logits if forbidden is None else logits.masked_fill(forbidden[:, None], -math.inf))
    return torch.cat(parts, dim=1) - filtered.log_sum[:, None]


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("max_initial_timestamp_index", [50, None])
def test_every_token_has_the_probability_that_whispers_filters_leave_it(
    timestamps: bool, max_initial_timestamp_index: int | None
) -> None:
    of = rules(timestamps, max_initial_timestamp_index)
    for rows, logits in batches():
        wanted = expected(rows, logits, of)
        state = state_after(rows, of)
        found = whole(apply_rules(logits.clone(), state, of, RuleTensors.of(of, CPU)))
        assert torch.equal(found == -math.inf, wanted == -math.inf)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_rows_of_different_lengths_in_one_batch_are_as_each_on_its_own() -> None:
    of, (rows, logits) = rules(), mixed()
    together = whole(apply_rules(logits.clone(), state_after(rows, of), of, RuleTensors.of(of, CPU)))
    for row, tokens in enumerate(rows):
        torch.testing.assert_close(
            together[row : row + 1], expected([tokens], logits[row : row + 1], of), rtol=0, atol=1e-5
        )
