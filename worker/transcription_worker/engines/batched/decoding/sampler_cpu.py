"""The likeliest tokens on a CPU: logits are computed a block at a time and never kept.

All logits of a step take 3 MB for 16 rows, and whisper's rules and the softmax go over them several times. Those of a block
lie in the core's own cache, and one pass takes from them what is wanted.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from transcription_worker.engines.batched.decoding.logit_rules import Rules, Trace
from transcription_worker.engines.batched.kernels.numba_jit import compiled
from transcription_worker.engines.batched.kernels.vocabulary_cpu import FEW, LEAST, NEVER, ROWS, look, padded, scan
from transcription_worker.engines.batched.model.decoder import Decoder

Array = np.ndarray[Any, Any]

# Logits in a block of torch's products: 256 KiB of them.
BLOCK = 65_536
# Ranges of the vocabulary, as in rules.
TEXT, SPECIAL, STAMPS = range(3)


class BlockedVocabulary:
    """As choose.Vocabulary, in float32, without noise. `highest`: tokens wanted of each row."""

    def __init__(self, decoder: Decoder, rules: Rules, highest: int) -> None:
        self._decoder, self._rules, self._highest = decoder, rules, highest
        if decoder.packed_embedding is None:
            raise ValueError("the decoder has no loops on this device and in this precision")
        self._weight = decoder.packed_embedding
        self._ranges = (rules.eot, rules.timestamp_begin, decoder.embedding.shape[0])
        self._penalties = _penalties(rules, decoder.embedding.shape[0])

    def pick(
        self,
        hidden: Tensor,
        trace: Trace,
        temperatures: Tensor,  # noqa: ARG002
        noise: Tensor | None,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """As Vocabulary."""
        rows, rules = hidden.shape[0], self._rules
        ends, sums = np.empty((3, rows, 3), dtype=np.int64), np.zeros((3, rows, 2))
        best = np.full((3, rows, self._highest), NEVER)
        tokens = np.zeros(best.shape, dtype=np.int64)
        sums[:, :, 0] = NEVER
        sampled, after, two, latest = (one[:rows].numpy() for one in trace.tensors())
        last_initial = -1 if rules.last_initial is None else rules.last_initial
        bound(sampled, after, two, latest, self._ranges, rules.timestamps, last_initial, ends)
        self._look(self._decoder.normed(hidden), ends, best, tokens, sums)
        picked, chances = np.empty_like(tokens[0]), np.empty_like(best[0])
        conclude(best, tokens, sums, rules.timestamps, picked, chances)
        return torch.from_numpy(picked), torch.from_numpy(chances)

    def _look(self, normed: Tensor, ends: Array, best: Array, tokens: Array, sums: Array) -> None:
        """As vocabulary_kernel.look, with products of the quicker kind."""
        rows = normed.shape[0]
        if rows <= FEW:
            look(padded(normed.numpy(), ROWS), self._weight, ends, self._penalties, best, tokens, sums)
            return
        embedding, columns = self._decoder.embedding, BLOCK // rows
        for start in range(0, embedding.shape[0], columns):
            logits = torch.mm(normed, embedding[start : start + columns].T).numpy()
            for of in range(3):
                scan(logits, start, ends[of], self._penalties, best[of], tokens[of], sums[of])


def _penalties(rules: Rules, vocabulary: int) -> Array:
    """What is added to logits after the first token, and of the first one."""
    penalties = np.zeros((2, vocabulary), dtype=np.float32)
    penalties[:, list(rules.suppressed)] = NEVER
    penalties[1, list(rules.blank)] = NEVER
    return penalties


@compiled
def bound(
    sampled: Array,
    after_timestamp: Array,
    after_two: Array,
    last_timestamp: Array,
    ranges: tuple[int, int, int],
    timestamps: bool,
    last_initial: int,
    ends: Array,
) -> None:
    """To `ends` what `scan` wants to know of each row in each range: rules.apply_rules in short."""
    eot, begin, vocabulary = ranges
    for row in range(sampled.shape[0]):
        first, after, two = sampled[row] == 0, after_timestamp[row], after_two[row]
        ends[TEXT, row, 2] = ends[SPECIAL, row, 2] = ends[STAMPS, row, 2] = first
        ends[TEXT, row, 0], ends[TEXT, row, 1] = 0, eot
        ends[SPECIAL, row, 0], ends[SPECIAL, row, 1] = eot, begin
        ends[STAMPS, row, 0], ends[STAMPS, row, 1] = begin, vocabulary
        if not timestamps:
            continue
        closing = after and not two
        if first or closing:
            ends[TEXT, row, 1] = 0
        if first:
            ends[SPECIAL, row, 1] = eot
        ends[STAMPS, row, 0] = last_timestamp[row] + 1 - closing
        if first and last_initial >= 0:
            ends[STAMPS, row, 1] = begin + last_initial + 1
        if after and two:
            ends[STAMPS, row, 1] = begin


@compiled
def conclude(best: Array, tokens: Array, sums: Array, timestamps: bool, picked: Array, chances: Array) -> None:
    """The highest of all ranges, with their log probabilities; minus infinity where there are not so many."""
    for row in range(picked.shape[0]):
        logs = np.empty(3, dtype=np.float64)
        for of in range(3):
            logs[of] = sums[of, row, 0] + np.log(sums[of, row, 1]) if sums[of, row, 0] > LEAST else NEVER
        # If timestamps together are likelier than any other token, one of them is next.
        if timestamps and logs[STAMPS] > max(best[TEXT, row, 0], best[SPECIAL, row, 0]):
            logs[TEXT], logs[SPECIAL] = NEVER, NEVER
        highest = max(logs[0], logs[1], logs[2])
        total = highest + np.log(np.exp(logs[0] - highest) + np.exp(logs[1] - highest) + np.exp(logs[2] - highest))
        place = np.zeros(3, dtype=np.int64)
        for number in range(picked.shape[1]):
            taken = -1
            for of in range(3):
                here = place[of] < best.shape[2] and logs[of] > LEAST and best[of, row, place[of]] > LEAST
                if here and (taken < 0 or best[of, row, place[of]] > best[taken, row, place[taken]]):
                    taken = of
            if taken < 0:
                picked[row, number], chances[row, number] = 0, -np.inf
                continue
            picked[row, number] = tokens[taken, row, place[taken]]
            chances[row, number] = best[taken, row, place[taken]] - total
            place[taken] += 1
