"""What is wanted of a row's 51,865 logits, in one pass over those of a block: the highest ones and the sum of exponentials."""

from typing import Any

import numpy as np
import torch

from transcription_worker.engines.batched.kernels.attention_cpu import exponentials
from transcription_worker.engines.batched.kernels.numba_jit import compiled, widened, widens

Array = np.ndarray[Any, Any]

# What is added to the logit of a token that may not come: finite, so that nothing is ever infinity minus infinity.
NEVER = np.float32(-1e30)
# A logit below is one of those.
LEAST = np.float32(-1e29)
# Up to so many rows these loops are quicker than torch's product.
FEW = 24
# Of so many rows and columns the sums are kept in registers.
ROWS, COLUMNS = 4, 3
# Columns whose weights lie in the core's first cache, 12 KiB at width 128: a multiple of those.
CACHED = 24
# Columns in a block, a multiple again: its logits of 24 rows fill 24 KiB.
BLOCK = 240


def padded(rows: Array, multiple: int) -> Array:
    """A copy with rows of zeros up to the next multiple. numpy asks for huge pages, in which many rows are found faster."""
    copy = np.zeros((-(-rows.shape[0] // multiple) * multiple, rows.shape[1]), dtype=rows.dtype)
    copy[: rows.shape[0]] = rows
    return copy


def packed(embedding: torch.Tensor) -> Array:
    """The vocabulary as `look` takes it: the bits of half precision where that changes no number, as with openai's checkpoints.

    Few rows wait for the memory alone, and half of it is read in half of the time.
    """
    halves = embedding.half()
    exact = widens() and torch.equal(halves.float(), embedding)
    return padded(halves.numpy().view(np.uint16) if exact else embedding.numpy(), COLUMNS)


@compiled
def look(hidden: Array, weight: Array, ends: Array, penalties: Array, best: Array, tokens: Array, sums: Array) -> None:
    """Products with the whole vocabulary, and `scan` of each range, a block at a time; shapes as `multiply` and `scan`.

    ends, best, tokens, sums: of each range.
    """
    logits = np.empty((hidden.shape[0], BLOCK), dtype=np.float32)
    for start in range(0, weight.shape[0], BLOCK):
        _block(hidden, weight[start : start + BLOCK], logits)
        for of in range(ends.shape[0]):
            scan(logits, start, ends[of], penalties, best[of], tokens[of], sums[of])


@compiled
def all_logits(hidden: Array, weight: Array, logits: Array) -> None:
    """hidden @ weight.T, of all rows and as many columns as `logits` has; shapes as `multiply`."""
    block = np.empty((hidden.shape[0], BLOCK), dtype=np.float32)
    for start in range(0, logits.shape[1], BLOCK):
        _block(hidden, weight[start : start + BLOCK], block)
        for row in range(logits.shape[0]):
            for column in range(start, min(start + BLOCK, logits.shape[1])):
                logits[row, column] = block[row, column - start]


@compiled
def _block(hidden: Array, weight: Array, logits: Array) -> None:
    room = np.empty((CACHED, weight.shape[1]), dtype=np.float32)
    for start in range(0, weight.shape[0], CACHED):
        columns = min(CACHED, weight.shape[0] - start)
        for column in range(columns):
            for at in range(weight.shape[1]):
                room[column, at] = widened(weight[start + column, at])
        multiply(hidden, room[:columns], logits, start)


@compiled
def multiply(hidden: Array, weight: Array, logits: Array, offset: int) -> None:
    """hidden @ weight.T to logits: twelve sums at a time, four rows of the first by three of the second.

    hidden: (rows, width), a multiple of four rows; weight: (columns, width), a multiple of three; logits: (rows, columns),
    of which those from `offset` on are written.
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


@compiled
def scan(logits: Array, start: int, ends: Array, penalties: Array, best: Array, tokens: Array, sums: Array) -> None:
    """Takes the logits of a block of one range of the vocabulary into account; they are overwritten.

    logits: (rows at least, columns), of the tokens from `start` on; ends: (rows, 3), the first token that a row may take, the
    first one after those, and which of the penalties (2, vocabulary) it is given; best, tokens: (rows, wanted), NEVER at
    first; sums: (rows, 2), the highest logit so far, NEVER at first, and the sum of exp(logit - highest).
    """
    room = np.empty(logits.shape[1], dtype=np.float32)
    for row in range(best.shape[0]):
        first, last = max(ends[row, 0] - start, 0), min(ends[row, 1] - start, logits.shape[1])
        if first >= last:
            continue
        values, offset = logits[row, first:last], start + first
        penalty = penalties[ends[row, 2], offset : start + last]
        highest = NEVER
        for at in range(values.shape[0]):
            values[at] += penalty[at]
            highest = max(highest, values[at])
        if highest > best[row, -1]:
            _take(values, offset, best[row], tokens[row])
        before, highest = sums[row, 0], max(np.float32(sums[row, 0]), highest)
        sums[row, 0] = highest
        sums[row, 1] = sums[row, 1] * np.exp(before - highest) + exponentials(values, values.shape[0], highest, room)


@compiled
def _take(values: Array, offset: int, best: Array, tokens: Array) -> None:
    """Those of the values that are among the highest; of equals the lower token is higher."""
    for at in range(values.shape[0]):
        if values[at] > best[-1]:
            _insert(values[at], offset + at, best, tokens)


@compiled
def _insert(value: np.float32, token: int, best: Array, tokens: Array) -> None:
    place = best.shape[0] - 1
    while place > 0 and best[place - 1] < value:
        best[place], tokens[place] = best[place - 1], tokens[place - 1]
        place -= 1
    best[place], tokens[place] = value, token
