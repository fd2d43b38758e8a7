"""Beam search over a whole batch gives the candidates of whisper.decoding.BeamSearchDecoder, slot by slot."""

import math
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.decoding.logit_rules import LogitRules, RuleState, RuleTensors, apply_rules
from transcription_worker.engines.batched.decoding.sampler import draw_tokens, top_tokens
from transcription_worker.engines.batched.decoding.search import BeamSearchDecoder, DecodeState, GreedyDecoder
from whisper import decoding as whisper_decoding

# A small vocabulary: text is [0, 20), the end is 20, and timestamps, which no rule applies to here, start at 25.
VOCABULARY, EOT, BEGIN, LONGEST = 30, 20, 25, 40
RULES = LogitRules(EOT, BEGIN, (), (), timestamps=False, max_initial_timestamp_index=None)
CPU = torch.device("cpu")


class Cache:
    """A stub with the part of whisper.decoding.Inference that the decoder uses."""

    def rearrange_kv_cache(self, source: list[int]) -> None:
        """Do nothing, since there is no cache."""


def logits_of(tokens: list[int], seed: int) -> torch.Tensor:
    """Return a stub decoder's logits, the same for the same tokens. The end gets likelier with the length."""
    key = hash((seed, *tokens)) % (1 << 62)
    logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(key)) * 2
    logits[EOT] += 0.25 * len(tokens) - 1
    return logits


def by_whisper(decoder: Any, group: int, seed: int, max_tokens: int) -> tuple[list[list[int]], list[float]]:
    """Return the candidates of one window, from the loop of DecodingTask."""
    decoder.reset()
    tokens, scores = torch.full((group, 1), 1), torch.zeros(group)
    for _ in range(max_tokens):
        logits = torch.stack([logits_of(row[1:], seed) for row in tokens.tolist()])
        tokens, completed = decoder.update(tokens, logits, scores)
        if completed:
            break
    found, sums = decoder.finalize(tokens[None], scores[None])
    return [row[1 : row.tolist().index(EOT)].tolist() for row in found[0]], list(sums[0])


def by_batch(
    token_decoder: Any, group: int, seeds: list[int], max_tokens: int
) -> list[tuple[list[list[int]], list[float]]]:
    """Return the candidates of all windows at once, each with its own model."""
    count = len(seeds) * group
    state = DecodeState.empty(count, LONGEST, RULES, CPU)
    state.finished[:] = False
    state.max_tokens[:] = max_tokens
    for slot in range(len(seeds)):
        token_decoder.reset(slot)
    for _ in range(max_tokens):
        lengths = state.rule_state.num_sampled.tolist()
        sequences = [sequence[:length] for sequence, length in zip(state.tokens.tolist(), lengths, strict=True)]
        logits = torch.stack([logits_of(tokens, seeds[row // group]) for row, tokens in enumerate(sequences)])
        filtered = apply_rules(logits, state.rule_state, RULES, RuleTensors.of(RULES, CPU))
        token_decoder.update(state, *top_tokens(filtered, token_decoder.top_k), RULES)
        if state.finished.all():
            break
    candidates = token_decoder.finalize(state, torch.arange(len(seeds)), RULES)
    return [([one.tokens for one in slot], [one.sum_logprob for one in slot]) for slot in candidates]


# numpy warns about whisper's own argsort of a tensor.
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize(("beams", "patience"), [(1, 1.0), (2, 1.0), (5, 1.0), (5, 2.0), (5, 0.4), (3, 1.7)])
@pytest.mark.parametrize("max_tokens", [30, 4])
def test_beams_end_with_the_candidates_of_whispers_beam_search(beams: int, patience: float, max_tokens: int) -> None:
    seeds = list(range(12))
    max_candidates = round(beams * patience)
    found = by_batch(BeamSearchDecoder(beams, max_candidates, len(seeds), LONGEST, CPU), beams, seeds, max_tokens)
    for seed, (tokens, scores) in zip(seeds, found, strict=True):
        decoder = whisper_decoding.BeamSearchDecoder(beams, EOT, Cache(), patience)
        expected, sums = by_whisper(decoder, beams, seed, max_tokens)
        assert tokens == expected, seed
        assert scores == pytest.approx(sums, abs=1e-4)


def test_greedy_rows_end_with_whispers_own_tokens_and_score() -> None:
    seeds = list(range(12))
    found = by_batch(GreedyDecoder(1), 1, seeds, 30)
    for seed, (tokens, scores) in zip(seeds, found, strict=True):
        expected, sums = by_whisper(whisper_decoding.GreedyDecoder(0.0, EOT), 1, seed, 30)
        assert tokens == expected
        assert scores == pytest.approx(sums, abs=1e-4)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_one_beam_ends_with_the_tokens_and_the_score_of_the_greedy_decoder() -> None:
    """transcribe_arguments relies on this; it is checked with whisper's own two decoders."""
    for seed in range(12):
        for max_tokens in (30, 4):
            beam, score = by_whisper(whisper_decoding.BeamSearchDecoder(1, EOT, Cache(), 1.0), 1, seed, max_tokens)
            greedy, sum_of_greedy = by_whisper(whisper_decoding.GreedyDecoder(0.0, EOT), 1, seed, max_tokens)
            assert beam == greedy
            assert score == pytest.approx([float(one) for one in sum_of_greedy], abs=1e-5)


def test_a_slot_that_is_done_stays_as_it_is_while_others_go_on() -> None:
    alone = by_batch(BeamSearchDecoder(3, 3, 1, LONGEST, CPU), 3, [4], 30)
    among = by_batch(BeamSearchDecoder(3, 3, 6, LONGEST, CPU), 3, [9, 4, 2, 7, 1, 8], 30)
    assert among[1] == alone[0]


def test_the_rule_state_knows_the_last_two_tokens_and_the_latest_timestamp() -> None:
    rule_state = RuleState.empty(2, RULES, CPU)
    assert rule_state.penultimate_was_timestamp.all()
    both, one = torch.tensor([True, True]), torch.tensor([True, False])
    rule_state.update(torch.tensor([BEGIN, 3]), both, RULES, 2)
    assert rule_state.last_was_timestamp.tolist() == [True, False]
    assert rule_state.penultimate_was_timestamp.all()  # there is no token before the first
    rule_state.update(torch.tensor([BEGIN + 1, BEGIN]), one, RULES, 2)
    assert rule_state.penultimate_was_timestamp.tolist() == [True, True]
    assert rule_state.num_sampled.tolist() == [2, 1]
    assert rule_state.last_timestamp.tolist() == [BEGIN + 1, BEGIN - 1]


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_samples_are_drawn_as_often_as_the_temperature_says(temperature: float) -> None:
    draws, generator = 40_000, torch.Generator().manual_seed(7)
    logits = torch.full((VOCABULARY,), -math.inf)
    likely = torch.tensor([2, 5, 11, EOT])
    logits[likely] = torch.tensor([2.0, 1.5, 1.0, 0.0])
    rule_state = RuleState.empty(draws, RULES, CPU)
    filtered = apply_rules(logits.repeat(draws, 1), rule_state, RULES, RuleTensors.of(RULES, CPU))
    noise = torch.empty(draws, VOCABULARY).exponential_(generator=generator)
    tokens, chances = draw_tokens(filtered, torch.full((draws,), temperature), noise)
    # The score is that of the distribution itself, whatever the temperature.
    torch.testing.assert_close(chances, logits.log_softmax(dim=-1)[tokens])
    counts = torch.bincount(tokens, minlength=VOCABULARY)
    assert int(counts[likely].sum()) == draws
    for token, share in zip(likely.tolist(), (logits[likely] / temperature).softmax(dim=-1).tolist(), strict=True):
        # Allow four standard deviations of a binomial count.
        assert abs(int(counts[token]) - draws * share) <= 4 * math.sqrt(draws * share * (1 - share)) + 1
