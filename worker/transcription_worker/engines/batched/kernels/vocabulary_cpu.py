"""Top-k and logsumexp of a row's 51,865 logits on a CPU, in one pass over each block of logits as it is computed."""

from typing import Any

import numpy as np
import torch

from transcription_worker.engines.batched.kernels.attention_cpu import exponentials
from transcription_worker.engines.batched.kernels.numba_jit import has_float16_conversion, jit, to_float32

Array = np.ndarray[Any, Any]

# Added to the logit of a suppressed token: finite, so that infinity is never subtracted from infinity.
SUPPRESSED = np.float32(-1e30)
# A logit below this belongs to a suppressed token.
MIN_ALLOWED = np.float32(-1e29)
# Up to this many rows these kernels are faster than torch's matrix product.
MAX_NUMBA_ROWS = 24
# Rows and columns whose sums are kept in registers.
ROW_TILE, COLUMN_TILE = 4, 3
# Columns whose weights stay in the core's L1 cache, 12 KiB at width 128; a multiple of COLUMN_TILE.
CACHED_COLUMNS = 24
# Columns in a block, a multiple of CACHED_COLUMNS: its logits of 24 rows fill 24 KiB.
VOCABULARY_BLOCK = 240


def pad_hidden(hidden: Array) -> Array:
    """Hidden states, (rows, width), as the kernels below take them: a single row, or rows of zeros up to a whole tile."""
    return pad_rows(hidden, 1 if hidden.shape[0] == 1 else ROW_TILE)


def pad_rows(rows: Array, multiple: int) -> Array:
    """A copy with rows of zeros up to the next multiple. numpy allocates huge pages, which saves TLB misses."""
    copy = np.zeros((-(-rows.shape[0] // multiple) * multiple, rows.shape[1]), dtype=rows.dtype)
    copy[: rows.shape[0]] = rows
    return copy


def pack_embedding(embedding: torch.Tensor) -> Array:
    """The token embedding, (vocabulary, width), as `scan_vocabulary` takes it.

    It is stored as the bits of float16 if that changes no number, as with OpenAI's checkpoints: with few rows the memory's
    bandwidth is the limit, and half as many bytes take half the time.
    """
    halves = embedding.half()
    exact = has_float16_conversion() and torch.equal(halves.float(), embedding)
    return pad_rows(halves.numpy().view(np.uint16) if exact else embedding.numpy(), COLUMN_TILE)


@jit
def scan_vocabulary(
    hidden: Array, weight: Array, bounds: Array, penalties: Array, best: Array, tokens: Array, sums: Array
) -> None:
    """Compute the logits of the whole vocabulary a block at a time, with scan_block for each of its ranges.

    hidden: see pad_hidden. weight: see pack_embedding. bounds, best, tokens, sums: as in scan_block, with the ranges as first dimension.
    """
    logits = np.empty((hidden.shape[0], VOCABULARY_BLOCK), dtype=np.float32)
    for start in range(0, weight.shape[0], VOCABULARY_BLOCK):
        _block_logits(hidden, weight[start : start + VOCABULARY_BLOCK], logits)
        for part in range(bounds.shape[0]):
            scan_block(logits, start, bounds[part], penalties, best[part], tokens[part], sums[part])


@jit
def compute_logits(hidden: Array, weight: Array, logits: Array) -> None:
    """Write hidden @ weight.T to `logits`, (rows, columns), without padding. hidden, weight: as in scan_vocabulary."""
    block = np.empty((hidden.shape[0], VOCABULARY_BLOCK), dtype=np.float32)
    for start in range(0, logits.shape[1], VOCABULARY_BLOCK):
        _block_logits(hidden, weight[start : start + VOCABULARY_BLOCK], block)
        for row in range(logits.shape[0]):
            for column in range(start, min(start + VOCABULARY_BLOCK, logits.shape[1])):
                logits[row, column] = block[row, column - start]


@jit
def _block_logits(hidden: Array, weight: Array, logits: Array) -> None:
    if hidden.shape[0] == 1:
        _multiply_row(hidden[0], weight, logits[0])
        return
    scratch = np.empty((CACHED_COLUMNS, weight.shape[1]), dtype=np.float32)
    for start in range(0, weight.shape[0], CACHED_COLUMNS):
        columns = min(CACHED_COLUMNS, weight.shape[0] - start)
        for column in range(columns):
            for at in range(weight.shape[1]):
                scratch[column, at] = to_float32(weight[start + column, at])
        multiply(hidden, scratch[:columns], logits, start)


@jit
def _multiply_row(hidden: Array, weight: Array, logits: Array) -> None:
    """The same for one row, (width,), three columns at a time, with weights that are read once and never written.

    4.7 ms instead of 6.8 for the vocabulary at width 384 (one core of an AMD EPYC, which had other work).
    """
    zero = np.float32(0)
    for column in range(0, weight.shape[0], 3):
        a, b, c = zero, zero, zero
        first, second, third = weight[column], weight[column + 1], weight[column + 2]
        for at in range(hidden.shape[0]):
            number = hidden[at]
            a += number * to_float32(first[at])
            b += number * to_float32(second[at])
            c += number * to_float32(third[at])
        logits[column], logits[column + 1], logits[column + 2] = a, b, c


@jit
def multiply(hidden: Array, weight: Array, logits: Array, offset: int) -> None:
    """Write hidden @ weight.T to the columns of `logits` from `offset` on: tiles of four rows by three columns.

    hidden: (rows, width), with a multiple of four rows. weight: (columns, width), with a multiple of three columns. logits:
    (rows, columns).
    """
    zero = np.float32(0)
    for word in range(0, weight.shape[0], 3):
        column = offset + word
        for row in range(0, hidden.shape[0], 4):
            a1, a2, a3, b1, b2, b3 = zero, zero, zero, zero, zero, zero
            c1, c2, c3, d1, d2, d3 = zero, zero, zero, zero, zero, zero
            for at in range(hidden.shape[1]):
                first, second, third = weight[word, at], weight[word + 1, at], weight[word + 2, at]
                a, b, c, d = hidden[row, at], hidden[row + 1, at], hidden[row + 2, at], hidden[row + 3, at]
                a1, a2, a3 = a1 + a * first, a2 + a * second, a3 + a * third
                b1, b2, b3 = b1 + b * first, b2 + b * second, b3 + b * third
                c1, c2, c3 = c1 + c * first, c2 + c * second, c3 + c * third
                d1, d2, d3 = d1 + d * first, d2 + d * second, d3 + d * third
            logits[row, column], logits[row, column + 1], logits[row, column + 2] = a1, a2, a3
            logits[row + 1, column], logits[row + 1, column + 1], logits[row + 1, column + 2] = b1, b2, b3
            logits[row + 2, column], logits[row + 2, column + 1], logits[row + 2, column + 2] = c1, c2, c3
            logits[row + 3, column], logits[row + 3, column + 1], logits[row + 3, column + 2] = d1, d2, d3


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
