"""Attention of a decode step on a CPU: to the audio in one pass over memory, and to the text of each row.

In the cross-attention scores, softmax and weighted sum are computed a block of keys at a time, with the online softmax of FlashAttention
(arXiv:2205.14135): sums so far are rescaled whenever a higher score occurs.
"""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.numba_jit import jit

Array = np.ndarray[Any, np.dtype[np.float32]]

# Keys in a block: with 128 numbers each they fill 30 of the 32 KiB of a core's L1 cache.
BLOCK = 60
# Smaller exponents are raised to this one: such a term is negligible beside the highest, whose exponent is 0, and no product
# with it becomes a denormal number, which CPUs compute slowly.
MIN_EXPONENT = np.float32(-50.0)


@jit
def attend(queries: Array, keys: Array, values: Array, out: Array) -> None:
    """Write softmax(queries @ keys.T) @ values of each slot to `out`.

    queries, out: (slots, queries, width), with an even number of queries. keys, values: (slots, n_audio_ctx, width).
    """
    slots, count, _ = queries.shape
    # A row of scores for each query, a row with the highest scores and sums so far, and a row for `exponentials`.
    scratch = np.empty((count + 2, max(BLOCK, 2 * count)), dtype=np.float32)
    total = keys.shape[1]
    for slot in range(slots):
        for query in range(count):
            scratch[count, query], scratch[count, count + query] = -np.inf, 0
            for column in range(out.shape[2]):
                out[slot, query, column] = 0
        for start in range(0, total, BLOCK):
            block = keys[slot, start : start + BLOCK]
            _score(queries[slot], block, scratch)
            for query in range(count):
                _exponentiate(query, count, block.shape[0], out[slot], scratch)
            _add_weighted(values[slot, start : start + BLOCK], out[slot], scratch)
        for query in range(count):
            _scale(out[slot, query], 1 / scratch[count, count + query])


@jit
def _scale(values: Array, factor: np.float32) -> None:
    for at in range(values.shape[0]):
        values[at] *= factor


@jit
def _score(queries: Array, block: Array, scratch: Array) -> None:
    """Compute the scores of all queries, two at a time, for the block's keys."""
    width = block.shape[1]
    for position in range(block.shape[0]):
        for query in range(0, queries.shape[0], 2):
            first, second = np.float32(0), np.float32(0)
            for at in range(width):
                first += queries[query, at] * block[position, at]
                second += queries[query + 1, at] * block[position, at]
            scratch[query, position], scratch[query + 1, position] = first, second


@jit
def _exponentiate(query: int, count: int, size: int, out: Array, scratch: Array) -> None:
    """Turn a query's scores into exponentials relative to its highest score so far, and rescale its earlier sums."""
    highest = scratch[query, 0]
    for position in range(size):
        highest = max(highest, scratch[query, position])
    before = scratch[count, query]
    if highest > before:
        scale = np.exp(before - highest)
        scratch[count, query] = highest
        scratch[count, count + query] *= scale
        _scale(out[query], scale)
    else:
        highest = before
    total = exponentials(scratch[query], size, highest, scratch[count + 1])
    scratch[count, count + query] += total


@jit
def exponentials(values: Array, size: int, highest: np.float32, scratch: Array) -> np.float32:
    """Replace the first `size` values by exp(value - highest), which is at most 1. Returns their sum.

    scratch: at least (size,). The absolute error is at most 2e-7: 2 ** whole is made from the bits of a float's exponent,
    2 ** rest by a Taylor series of degree 6. Unlike a call of exp, compilers turn this into vector instructions.
    """
    bits = scratch.view(np.int32)
    for at in range(size):
        power = max(values[at] - highest, MIN_EXPONENT) * np.float32(1.4426950408889634)
        whole = np.floor(power + np.float32(0.5))
        rest = (power - whole) * np.float32(0.6931471805599453)
        series = np.float32(1 / 720)
        series = series * rest + np.float32(1 / 120)
        series = series * rest + np.float32(1 / 24)
        series = series * rest + np.float32(1 / 6)
        series = series * rest + np.float32(1 / 2)
        series = series * rest + np.float32(1)
        series = series * rest + np.float32(1)
        values[at] = series
        bits[at] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    total = np.float32(0)
    for at in range(size):
        values[at] *= scratch[at]
        total += values[at]
    return total


@jit
def _add_weighted(block: Array, out: Array, scratch: Array) -> None:
    """Add the block's weighted values to `out`, four values and two queries at a time."""
    width, size = block.shape[1], block.shape[0]
    whole = size - size % 4
    for query in range(0, out.shape[0], 2):
        mine, other = scratch[query], scratch[query + 1]
        for at in range(0, whole, 4):
            a, b, c, d = mine[at], mine[at + 1], mine[at + 2], mine[at + 3]
            e, f, g, h = other[at], other[at + 1], other[at + 2], other[at + 3]
            for column in range(width):
                first, second = block[at, column], block[at + 1, column]
                third, fourth = block[at + 2, column], block[at + 3, column]
                out[query, column] += a * first + b * second + c * third + d * fourth
                out[query + 1, column] += e * first + f * second + g * third + h * fourth
        for at in range(whole, size):
            for column in range(width):
                out[query, column] += mine[at] * block[at, column]
                out[query + 1, column] += other[at] * block[at, column]


@jit
def attend_to_text(
    group: int, qkv: Array, keys: Array, values: Array, sources: Array, positions: Array, finished: Array, out: Array
) -> None:
    """Write the self-attention of one token of each row to `out`, (rows, width), and its key and value to the cache.

    group: rows of a slot. qkv: (rows, 3 * width), queries, keys and values. keys, values: (rows, heads, n_text_ctx, head width).
    sources: (rows, n_text_ctx), int8, which row of its group holds a row's key and value of each position, also written.
    positions, finished: (rows,); what is written of finished rows is 0.
    """
    heads, size = keys.shape[1], keys.shape[3]
    width = heads * size
    scratch = np.empty((2, keys.shape[2]), dtype=np.float32)
    for row in range(qkv.shape[0]):
        for column in range(width):
            out[row, column] = 0
        if finished[row]:
            continue
        first, position = row - row % group, positions[row]
        sources[row, position] = row - first
        for head in range(heads):
            for column in range(size):
                at = head * size + column
                keys[row, head, position, column] = qkv[row, width + at]
                values[row, head, position, column] = qkv[row, 2 * width + at]
            _attend_head(qkv[row], keys, values, sources[row], first, head, position + 1, out[row], scratch)


@jit
def _attend_head(
    queries: Array,
    keys: Array,
    values: Array,
    sources: Array,
    first: int,
    head: int,
    length: int,
    out: Array,
    scratch: Array,
) -> None:
    """One head of one row, whose sums are added to `out`, (width,). first: the first row of its group."""
    size = keys.shape[3]
    query, seen = queries[head * size : (head + 1) * size], out[head * size : (head + 1) * size]
    scale, highest = np.float32(1 / np.sqrt(size)), np.float32(-np.inf)
    for at in range(length):
        key, total = keys[first + sources[at], head, at], np.float32(0)
        for column in range(size):
            total += query[column] * key[column]
        scratch[0, at] = total * scale
        highest = max(highest, scratch[0, at])
    factor = 1 / exponentials(scratch[0], length, highest, scratch[1])
    for at in range(length):
        value, weight = values[first + sources[at], head, at], scratch[0, at] * factor
        for column in range(size):
            seen[column] += weight * value[column]
