"""The rules for whole batches forbid what whisper.decoding's filters forbid, row by row."""

import math
import random
from collections.abc import Iterator

import pytest
import torch
from transcription_worker.engines.batched.choose import choose_highest, highest_candidates
from transcription_worker.engines.batched.rules import Allowed, Rules, Trace, apply_rules
from whisper.decoding import ApplyTimestampRules, LogitFilter, SuppressBlank, SuppressTokens
from whisper.tokenizer import Tokenizer, get_tokenizer

TOKENIZER: Tokenizer = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
VOCABULARY = 51865
CPU = torch.device("cpu")
SUPPRESSED = (*TOKENIZER.non_speech_tokens, TOKENIZER.sot, TOKENIZER.sot_prev, TOKENIZER.no_timestamps)


def rules(timestamps: bool = True, last_initial: int | None = 50) -> Rules:
    blank = (*TOKENIZER.encode(" "), TOKENIZER.eot)
    return Rules(TOKENIZER.eot, TOKENIZER.timestamp_begin, SUPPRESSED, blank, timestamps, last_initial)


def filters(of: Rules) -> list[LogitFilter]:
    """Those of DecodingTask, in its order; the sampled tokens begin at once."""
    found: list[LogitFilter] = [SuppressBlank(TOKENIZER, 0), SuppressTokens(list(of.suppressed))]
    return [*found, ApplyTimestampRules(TOKENIZER, 0, of.last_initial)] if of.timestamps else found


def history(chance: random.Random, length: int) -> list[int]:
    """Text and timestamps that never go back, in pairs or not."""
    tokens: list[int] = []
    stamp = TOKENIZER.timestamp_begin
    for _ in range(length):
        if chance.random() < 0.4:
            stamp = min(stamp + chance.randrange(0, 300), VOCABULARY - 1)
            tokens.append(stamp)
        else:
            tokens.append(chance.randrange(0, TOKENIZER.eot))
    return tokens


def traced(histories: list[list[int]], of: Rules) -> Trace:
    """What the rules know of rows with these tokens, each given one after the other."""
    trace = Trace.empty(len(histories), of, CPU)
    for step in range(max(map(len, histories))):
        active = torch.tensor([step < len(tokens) for tokens in histories])
        given = torch.tensor([tokens[step] if step < len(tokens) else 0 for tokens in histories])
        trace.advance(given, active, of, len(histories))
    return trace


def batches() -> Iterator[tuple[list[list[int]], torch.Tensor]]:
    """Rows of one length at a time, as whisper's filters take them. Some logits favour timestamps."""
    chance = random.Random(5)
    generator = torch.Generator().manual_seed(5)
    for length in (0, 0, 1, 1, 2, 3, 4, 7, 20):
        rows = [history(chance, length) for _ in range(16)]
        logits = torch.randn(16, VOCABULARY, generator=generator) * 3
        logits[::3, TOKENIZER.timestamp_begin :] += 4
        yield rows, logits


def expected(rows: list[list[int]], logits: torch.Tensor, of: Rules) -> torch.Tensor:
    """Log probabilities after whisper's own filters."""
    filtered = logits.clone()
    tokens = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), -1)
    for one in filters(of):
        one.apply(filtered, tokens)
    return filtered.log_softmax(dim=-1)


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
        trace = traced(rows, of) if rows[0] else Trace.empty(len(rows), of, CPU)
        found = whole(apply_rules(logits.clone(), trace, of))
        assert torch.equal(found == -math.inf, wanted == -math.inf)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_highest_token_and_candidates_are_those_of_the_whole_vocabulary() -> None:
    of = rules()
    for rows, logits in batches():
        wanted = expected(rows, logits, of)
        trace = traced(rows, of) if rows[0] else Trace.empty(len(rows), of, CPU)
        allowed = apply_rules(logits.clone(), trace, of)
        tokens, chances = choose_highest(allowed)
        assert torch.equal(tokens, wanted.argmax(dim=-1))
        torch.testing.assert_close(chances, wanted.amax(dim=-1), rtol=0, atol=1e-5)
        best = wanted.topk(6, dim=-1)
        candidates, scores = highest_candidates(allowed, 6)
        likely = best.values > -math.inf
        assert torch.equal(candidates[likely], best.indices[likely])
        torch.testing.assert_close(scores, best.values, rtol=0, atol=1e-5)


def test_rows_of_different_lengths_in_one_batch_are_as_each_on_its_own() -> None:
    of, chance = rules(), random.Random(6)
    rows = [history(chance, length) for length in (1, 2, 3, 5, 9, 14)]
    logits = torch.randn(len(rows), VOCABULARY, generator=torch.Generator().manual_seed(6))
    together = whole(apply_rules(logits.clone(), traced(rows, of), of))
    for row, tokens in enumerate(rows):
        torch.testing.assert_close(
            together[row : row + 1], expected([tokens], logits[row : row + 1], of), rtol=0, atol=1e-5
        )
