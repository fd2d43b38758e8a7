"""Beams of a whole batch give the candidates of whisper.decoding.BeamSearchDecoder, slot by slot."""

import math
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.decoding.logit_rules import Columns, Rules, Trace, apply_rules
from transcription_worker.engines.batched.decoding.sampler import choose_sampled, highest_candidates
from transcription_worker.engines.batched.decoding.search import Beams, Rows, Sampling
from whisper.decoding import BeamSearchDecoder, GreedyDecoder

# A vocabulary of its own: text [0, 20), the end 20, timestamps from 25 on that no rule looks at here.
VOCABULARY, EOT, BEGIN, LONGEST = 30, 20, 25, 40
RULES = Rules(EOT, BEGIN, (), (), timestamps=False, last_initial=None)
CPU = torch.device("cpu")


class Cache:
    """As much of whisper.decoding.Inference as the decoder uses."""

    def rearrange_kv_cache(self, source: list[int]) -> None:
        """Nothing is kept."""


def logits_of(tokens: list[int], seed: int) -> torch.Tensor:
    """What stands for a decoder: the same tokens always give the same logits. The end gets likelier with the length."""
    key = hash((seed, *tokens)) % (1 << 62)
    logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(key)) * 2
    logits[EOT] += 0.25 * len(tokens) - 1
    return logits


def by_whisper(decoder: Any, group: int, seed: int, limit: int) -> tuple[list[list[int]], list[float]]:
    """Candidates of one window, from DecodingTask's loop."""
    decoder.reset()
    tokens, scores = torch.full((group, 1), 1), torch.zeros(group)
    for _ in range(limit):
        logits = torch.stack([logits_of(row[1:], seed) for row in tokens.tolist()])
        tokens, completed = decoder.update(tokens, logits, scores)
        if completed:
            break
    found, sums = decoder.finalize(tokens[None], scores[None])
    return [row[1 : row.tolist().index(EOT)].tolist() for row in found[0]], list(sums[0])


def by_rows(search: Any, group: int, seeds: list[int], limit: int) -> list[tuple[list[list[int]], list[float]]]:
    """Candidates of all windows at once, each with its own model."""
    count = len(seeds) * group
    rows = Rows.empty(count, LONGEST, RULES, CPU)
    rows.finished[:] = False
    rows.limit[:] = limit
    for slot in range(len(seeds)):
        search.clear(slot)
    for _ in range(limit):
        lengths = rows.trace.sampled.tolist()
        histories = [history[:length] for history, length in zip(rows.history.tolist(), lengths, strict=True)]
        logits = torch.stack([logits_of(tokens, seeds[row // group]) for row, tokens in enumerate(histories)])
        allowed = apply_rules(logits, rows.trace, RULES, Columns.of(RULES, CPU))
        search.advance(rows, *highest_candidates(allowed, search.wanted), RULES)
        if rows.finished.all():
            break
    candidates = [search.candidates(rows, slot, RULES) for slot in range(len(seeds))]
    return [([one.tokens for one in slot], [one.score for one in slot]) for slot in candidates]


# numpy's words on whisper's own argsort of a tensor
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize(("beams", "patience"), [(1, 1.0), (2, 1.0), (5, 1.0), (5, 2.0), (5, 0.4), (3, 1.7)])
@pytest.mark.parametrize("limit", [30, 4])
def test_beams_end_with_the_candidates_of_whispers_beam_search(beams: int, patience: float, limit: int) -> None:
    seeds = list(range(12))
    enough = round(beams * patience)
    found = by_rows(Beams(beams, enough, len(seeds), LONGEST, CPU), beams, seeds, limit)
    for seed, (tokens, scores) in zip(seeds, found, strict=True):
        decoder = BeamSearchDecoder(beams, EOT, Cache(), patience)
        expected, sums = by_whisper(decoder, beams, seed, limit)
        assert tokens == expected, seed
        assert scores == pytest.approx(sums, abs=1e-4)


def test_greedy_rows_end_with_whispers_own_tokens_and_score() -> None:
    seeds = list(range(12))
    found = by_rows(Sampling(1), 1, seeds, 30)
    for seed, (tokens, scores) in zip(seeds, found, strict=True):
        expected, sums = by_whisper(GreedyDecoder(0.0, EOT), 1, seed, 30)
        assert tokens == expected
        assert scores == pytest.approx(sums, abs=1e-4)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_one_beam_ends_with_the_tokens_and_the_score_of_the_greedy_decoder() -> None:
    """What transcribe_arguments rests on, with whisper's own two decoders."""
    for seed in range(12):
        for limit in (30, 4):
            beam, score = by_whisper(BeamSearchDecoder(1, EOT, Cache(), 1.0), 1, seed, limit)
            greedy, sum_of_greedy = by_whisper(GreedyDecoder(0.0, EOT), 1, seed, limit)
            assert beam == greedy
            assert score == pytest.approx([float(one) for one in sum_of_greedy], abs=1e-5)


def test_a_slot_that_is_done_stays_as_it_is_while_others_go_on() -> None:
    alone = by_rows(Beams(3, 3, 1, LONGEST, CPU), 3, [4], 30)
    among = by_rows(Beams(3, 3, 6, LONGEST, CPU), 3, [9, 4, 2, 7, 1, 8], 30)
    assert among[1] == alone[0]


def test_a_trace_knows_the_last_two_tokens_and_the_latest_timestamp() -> None:
    trace = Trace.empty(2, RULES, CPU)
    assert trace.after_two.all()
    both, one = torch.tensor([True, True]), torch.tensor([True, False])
    trace.advance(torch.tensor([BEGIN, 3]), both, RULES, 2)
    assert trace.after_timestamp.tolist() == [True, False]
    assert trace.after_two.all()  # there is no token before the first
    trace.advance(torch.tensor([BEGIN + 1, BEGIN]), one, RULES, 2)
    assert trace.after_two.tolist() == [True, True]
    assert trace.sampled.tolist() == [2, 1]
    assert trace.last_timestamp.tolist() == [BEGIN + 1, BEGIN - 1]


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_samples_are_drawn_as_often_as_the_temperature_says(temperature: float) -> None:
    draws, generator = 40_000, torch.Generator().manual_seed(7)
    logits = torch.full((VOCABULARY,), -math.inf)
    likely = torch.tensor([2, 5, 11, EOT])
    logits[likely] = torch.tensor([2.0, 1.5, 1.0, 0.0])
    trace = Trace.empty(draws, RULES, CPU)
    allowed = apply_rules(logits.repeat(draws, 1), trace, RULES, Columns.of(RULES, CPU))
    noise = torch.empty(draws, VOCABULARY).exponential_(generator=generator)
    tokens, chances = choose_sampled(allowed, torch.full((draws,), temperature), noise)
    # The score is that of the distribution itself, whatever the temperature.
    torch.testing.assert_close(chances, logits.log_softmax(dim=-1)[tokens])
    counts = torch.bincount(tokens, minlength=VOCABULARY)
    assert int(counts[likely].sum()) == draws
    for token, share in zip(likely.tolist(), (logits[likely] / temperature).softmax(dim=-1).tolist(), strict=True):
        # Four standard deviations of a binomial count.
        assert abs(int(counts[token]) - draws * share) <= 4 * math.sqrt(draws * share * (1 - share)) + 1
