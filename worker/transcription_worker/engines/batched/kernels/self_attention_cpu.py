"""Attention of a decode step's rows to the text before them, on a CPU."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.exponentials_cpu import exponentials
from transcription_worker.engines.batched.kernels.numba_jit import jit

Array = np.ndarray[Any, np.dtype[np.float32]]


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
