"""Top-k and logsumexp of a row's 51,865 logits on a CPU, in one pass over each block of logits as it is computed."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.exponentials_cpu import exponentials
from transcription_worker.engines.batched.kernels.linear_cpu import multiply
from transcription_worker.engines.batched.kernels.numba_jit import jit
from transcription_worker.engines.batched.kernels.product_tile_cpu import COLUMNS

Array = np.ndarray[Any, Any]

# Added to the logit of a suppressed token: finite, so that infinity is never subtracted from infinity.
SUPPRESSED = np.float32(-1e30)
# A logit below this belongs to a suppressed token.
MIN_ALLOWED = np.float32(-1e29)
# Columns in a block, a multiple of COLUMNS: its logits of 80 rows fill 75 KiB of the core's L2 cache.
VOCABULARY_BLOCK = 240


@jit
def scan_vocabulary(
    hidden: Array,
    weight: Array,
    first: int,
    last: int,
    bounds: Array,
    penalties: Array,
    best: Array,
    tokens: Array,
    sums: Array,
) -> None:
    """Compute the logits of the tokens from `first` to `last` a block at a time, with scan_block for each range of the vocabulary.

    first: a multiple of VOCABULARY_BLOCK, like `last`, which may also be the vocabulary's size. hidden: (rows, width). weight:
    the token embedding, see pack_weight. bounds, best, tokens, sums: as in scan_block, with the ranges as first dimension.
    """
    block = np.empty((hidden.shape[0], VOCABULARY_BLOCK), dtype=np.float32)
    for start in range(first, last, VOCABULARY_BLOCK):
        logits = block[:, : last - start]
        multiply(hidden, weight, start // COLUMNS, logits)
        for part in range(bounds.shape[0]):
            scan_block(logits, start, bounds[part], penalties, best[part], tokens[part], sums[part])


@jit
def join_scans(best: Array, tokens: Array, sums: Array) -> None:
    """Add to the first of several scans what the others found, of later and later tokens.

    best, tokens, sums: as in scan_vocabulary, with the scans as first dimension.
    """
    for scan in range(1, best.shape[0]):
        for part in range(best.shape[1]):
            for row in range(best.shape[2]):
                highest, found = best[0, part, row], tokens[0, part, row]
                for place in range(best.shape[3]):
                    if best[scan, part, row, place] > highest[-1]:
                        _insert(best[scan, part, row, place], tokens[scan, part, row, place], highest, found)
                mine, other = sums[0, part, row], sums[scan, part, row]
                top = max(mine[0], other[0])
                mine[1] = mine[1] * np.exp(mine[0] - top) + other[1] * np.exp(other[0] - top)
                mine[0] = top


@jit
def scan_block(
    logits: Array, start: int, bounds: Array, penalties: Array, best: Array, tokens: Array, sums: Array
) -> None:
    """Update the top-k and logsumexp of one range of the vocabulary with a block of logits, which are overwritten.

    logits: (at least rows, columns), of the tokens from `start` on. bounds: (rows, 3), the first token that a row may take,
    the end of its range, and which row of `penalties`, (2, vocabulary), applies. best, tokens: (rows, top_k), highest
    logits and their tokens; `best` starts as SUPPRESSED. sums: (rows, 2), the highest logit so far, which starts as
    SUPPRESSED, and the sum of exp(logit - highest).
    """
    scratch = np.empty(logits.shape[1], dtype=np.float32)
    for row in range(best.shape[0]):
        first, last = max(bounds[row, 0] - start, 0), min(bounds[row, 1] - start, logits.shape[1])
        if first >= last:
            continue
        values, offset = logits[row, first:last], start + first
        penalty = penalties[bounds[row, 2], offset : start + last]
        highest = SUPPRESSED
        for at in range(values.shape[0]):
            values[at] += penalty[at]
            highest = max(highest, values[at])
        if highest > best[row, -1]:
            _keep_best(values, offset, best[row], tokens[row])
        before, highest = sums[row, 0], max(np.float32(sums[row, 0]), highest)
        sums[row, 0] = highest
        sums[row, 1] = sums[row, 1] * np.exp(before - highest) + exponentials(values, values.shape[0], highest, scratch)


@jit
def _keep_best(values: Array, offset: int, best: Array, tokens: Array) -> None:
    """Insert the values that are among the highest; of equal values the lower token ranks first."""
    for at in range(values.shape[0]):
        if values[at] > best[-1]:
            _insert(values[at], offset + at, best, tokens)


@jit
def _insert(value: np.float32, token: int, best: Array, tokens: Array) -> None:
    place = best.shape[0] - 1
    while place > 0 and best[place - 1] < value:
        best[place], tokens[place] = best[place - 1], tokens[place - 1]
        place -= 1
    best[place], tokens[place] = value, token
