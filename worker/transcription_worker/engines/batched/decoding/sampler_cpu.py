"""The sampler for a CPU: logits are computed a block at a time and never stored.

All logits of a step take 3 MB for 16 rows, and whisper's rules and the softmax go over them several times. A block of logits
stays in the core's own cache, and a single pass takes from it what the sampler needs.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import LogitRules, RuleState
from transcription_worker.engines.batched.kernels.numba_jit import jit
from transcription_worker.engines.batched.kernels.vocabulary_cpu import (
    MIN_ALLOWED,
    SUPPRESSED,
    VOCABULARY_BLOCK,
    join_scans,
    scan_vocabulary,
)
from transcription_worker.engines.batched.model.decoder import Decoder

Array = np.ndarray[Any, Any]

# Indices of the vocabulary's ranges, see logit_rules.
TEXT, SPECIAL, TIMESTAMP = range(3)


class NumbaSampler:
    """Implements Sampler in float32, without noise. top_k: tokens to return for each row."""

    def __init__(self, decoder: Decoder, rules: LogitRules, top_k: int) -> None:
        self._decoder, self._rules, self._top_k = decoder, rules, top_k
        if decoder.packed_embedding is None:
            raise ValueError("the decoder is not in float32 on a CPU")
        self._weight = decoder.packed_embedding
        self._vocabulary = decoder.embedding.shape[0]
        self._ranges = (rules.eot, rules.timestamp_begin, self._vocabulary)
        self._penalties = _penalties(rules, self._vocabulary)

    def sample(
        self,
        hidden: Tensor,
        state: RuleState,
        temperatures: Tensor,  # noqa: ARG002
        noise: Tensor | None,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """Implement Sampler."""
        rows, rules = hidden.shape[0], self._rules
        bounds = np.empty((3, rows, 3), dtype=np.int64)
        num_sampled, last, penultimate, last_timestamp = (one[:rows].numpy() for one in state.tensors())
        max_initial = -1 if rules.max_initial_timestamp_index is None else rules.max_initial_timestamp_index
        range_bounds(
            num_sampled, last, penultimate, last_timestamp, self._ranges, rules.timestamps, max_initial, bounds
        )
        best, tokens, sums = self._scan(self._decoder.final_norm(hidden), bounds)
        top, logprobs = np.empty_like(tokens[0]), np.empty_like(best[0])
        merge_ranges(best, tokens, sums, rules.timestamps, top, logprobs)
        return torch.from_numpy(top), torch.from_numpy(logprobs)

    def _scan(self, normed: Tensor, bounds: Array) -> tuple[Array, Array, Array]:
        """Scan all logits, a part of the vocabulary in each of the threads that torch has. Returns best, tokens and sums."""
        count = torch.get_num_threads()
        best = np.full((count, 3, normed.shape[0], self._top_k), SUPPRESSED)
        tokens, sums = np.zeros(best.shape, dtype=np.int64), np.zeros((*best.shape[:3], 2))
        sums[..., 0] = SUPPRESSED
        size = -(-self._vocabulary // (count * VOCABULARY_BLOCK)) * VOCABULARY_BLOCK
        rows = normed.numpy()

        def scan(part: int) -> None:
            first, last = part * size, min((part + 1) * size, self._vocabulary)
            found = best[part], tokens[part], sums[part]
            scan_vocabulary(rows, self._weight, first, last, bounds, self._penalties, *found)

        others = [self._threads.submit(scan, part) for part in range(1, count)]
        scan(0)
        for one in others:
            one.result()
        join_scans(best, tokens, sums)
        return best[0], tokens[0], sums[0]

    @functools.cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(thread_name_prefix="vocabulary")


def _penalties(rules: LogitRules, vocabulary: int) -> Array:
    """What is added to the logits of later tokens and of the first token, shape (2, vocabulary)."""
    penalties = np.zeros((2, vocabulary), dtype=np.float32)
    penalties[:, list(rules.suppressed)] = SUPPRESSED
    penalties[1, list(rules.blank)] = SUPPRESSED
    return penalties


@jit
def range_bounds(
    num_sampled: Array,
    last_was_timestamp: Array,
    penultimate_was_timestamp: Array,
    last_timestamp: Array,
    ranges: tuple[int, int, int],
    timestamps: bool,
    max_initial: int,
    bounds: Array,
) -> None:
    """Write which tokens of each range each row may take to `bounds`, (3, rows, 3), as scan_block reads them.

    The same rules as in logit_rules.apply_rules. max_initial: -1 for none.
    """
    eot, begin, vocabulary = ranges
    for row in range(num_sampled.shape[0]):
        first, last, penultimate = num_sampled[row] == 0, last_was_timestamp[row], penultimate_was_timestamp[row]
        bounds[TEXT, row, 2] = bounds[SPECIAL, row, 2] = bounds[TIMESTAMP, row, 2] = first
        bounds[TEXT, row, 0], bounds[TEXT, row, 1] = 0, eot
        bounds[SPECIAL, row, 0], bounds[SPECIAL, row, 1] = eot, begin
        bounds[TIMESTAMP, row, 0], bounds[TIMESTAMP, row, 1] = begin, vocabulary
        if not timestamps:
            continue
        closing = last and not penultimate
        if first or closing:
            bounds[TEXT, row, 1] = 0
        if first:
            bounds[SPECIAL, row, 1] = eot
        bounds[TIMESTAMP, row, 0] = last_timestamp[row] + 1 - closing
        if first and max_initial >= 0:
            bounds[TIMESTAMP, row, 1] = begin + max_initial + 1
        if last and penultimate:
            bounds[TIMESTAMP, row, 1] = begin


@jit
def merge_ranges(best: Array, tokens: Array, sums: Array, timestamps: bool, top: Array, logprobs: Array) -> None:
    """Write the most probable tokens of all ranges to `top` and `logprobs`, each (rows, top_k).

    Where fewer tokens are allowed than wanted, the log probability is minus infinity.
    """
    for row in range(top.shape[0]):
        logs = np.empty(3, dtype=np.float64)
        for part in range(3):
            logs[part] = (
                sums[part, row, 0] + np.log(sums[part, row, 1]) if sums[part, row, 0] > MIN_ALLOWED else SUPPRESSED
            )
        # If all timestamps together are likelier than any other token, a timestamp comes next.
        if timestamps and logs[TIMESTAMP] > max(best[TEXT, row, 0], best[SPECIAL, row, 0]):
            logs[TEXT], logs[SPECIAL] = SUPPRESSED, SUPPRESSED
        highest = max(logs[0], logs[1], logs[2])
        total = highest + np.log(np.exp(logs[0] - highest) + np.exp(logs[1] - highest) + np.exp(logs[2] - highest))
        place = np.zeros(3, dtype=np.int64)
        for number in range(top.shape[1]):
            winner = -1
            for part in range(3):
                left = (
                    place[part] < best.shape[2]
                    and logs[part] > MIN_ALLOWED
                    and best[part, row, place[part]] > MIN_ALLOWED
                )
                if left and (winner < 0 or best[part, row, place[part]] > best[winner, row, place[winner]]):
                    winner = part
            if winner < 0:
                top[row, number], logprobs[row, number] = 0, -np.inf
                continue
            top[row, number] = tokens[winner, row, place[winner]]
            logprobs[row, number] = best[winner, row, place[winner]] - total
            place[winner] += 1
