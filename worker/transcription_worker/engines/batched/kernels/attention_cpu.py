"""Attention of few queries over many places, in one pass over memory: scores, softmax and sum of a block at a time.

The softmax of blocks that are not there yet is done as in FlashAttention (arXiv:2205.14135): sums so far are scaled
whenever a higher score comes.
"""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.numba_jit import compiled

Array = np.ndarray[Any, np.dtype[np.float32]]

# Places in a block: with 128 numbers each they fill 30 of the 32 KiB of a core's first cache.
BLOCK = 60
# Below this exponent a term is nothing beside the highest one, whose exponent is 0; and no product with it is so small that a
# core takes its slow way for denormal numbers.
LEAST = np.float32(-50.0)


@compiled
def attend(queries: Array, places: Array, seen: Array) -> None:
    """softmax(queries @ places.T) @ places of each slot, to `seen`.

    queries, seen: (slots, queries, width), an even number of queries; places: (slots, places, width).
    """
    slots, count, _ = queries.shape
    # A row of scores for each query; then one of highest scores and sums so far, and one for `exponentials`.
    room = np.empty((count + 2, max(BLOCK, 2 * count)), dtype=np.float32)
    total = places.shape[1]
    for slot in range(slots):
        for query in range(count):
            room[count, query], room[count, count + query] = -np.inf, 0
            for column in range(seen.shape[2]):
                seen[slot, query, column] = 0
        for start in range(0, total, BLOCK):
            block = places[slot, start : start + BLOCK]
            _score(queries[slot], block, room)
            for query in range(count):
                _weigh(query, count, block.shape[0], seen[slot], room)
            _sum(block, seen[slot], room)
        for query in range(count):
            _scale(seen[slot, query], 1 / room[count, count + query])


@compiled
def _scale(values: Array, factor: np.float32) -> None:
    for at in range(values.shape[0]):
        values[at] *= factor


@compiled
def _score(queries: Array, block: Array, room: Array) -> None:
    """Products of all queries, two at a time, with the block's places."""
    width = block.shape[1]
    for place in range(block.shape[0]):
        for query in range(0, queries.shape[0], 2):
            first, second = np.float32(0), np.float32(0)
            for at in range(width):
                first += queries[query, at] * block[place, at]
                second += queries[query + 1, at] * block[place, at]
            room[query, place], room[query + 1, place] = first, second


@compiled
def _weigh(query: int, count: int, size: int, seen: Array, room: Array) -> None:
    """The scores of a query to exponentials, relative to its highest score so far; what was summed before is scaled to it."""
    highest = room[query, 0]
    for place in range(size):
        highest = max(highest, room[query, place])
    before = room[count, query]
    if highest > before:
        scale = np.exp(before - highest)
        room[count, query] = highest
        room[count, count + query] *= scale
        _scale(seen[query], scale)
    else:
        highest = before
    total = exponentials(room[query], size, highest, room[count + 1])
    room[count, count + query] += total


@compiled
def exponentials(values: Array, size: int, highest: np.float32, room: Array) -> np.float32:
    """The first `size` values to exp(value - highest), which is 1 at most; their sum. room: (size,) at least.

    2 ** whole by the bits of a float's exponent, 2 ** rest by the Taylor series of degree 6: off by 2e-7 at most, the highest
    one being 1. A compiler turns this into vector instructions, and a call of exp it does not.
    """
    bits = room.view(np.int32)
    for at in range(size):
        power = max(values[at] - highest, LEAST) * np.float32(1.4426950408889634)
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
        values[at] *= room[at]
        total += values[at]
    return total


@compiled
def _sum(block: Array, seen: Array, room: Array) -> None:
    """Adds the block's places, weighted, four places and two queries at a time."""
    width, size = block.shape[1], block.shape[0]
    whole = size - size % 4
    for query in range(0, seen.shape[0], 2):
        mine, other = room[query], room[query + 1]
        for at in range(0, whole, 4):
            a, b, c, d = mine[at], mine[at + 1], mine[at + 2], mine[at + 3]
            e, f, g, h = other[at], other[at + 1], other[at + 2], other[at + 3]
            for column in range(width):
                first, second = block[at, column], block[at + 1, column]
                third, fourth = block[at + 2, column], block[at + 3, column]
                seen[query, column] += a * first + b * second + c * third + d * fourth
                seen[query + 1, column] += e * first + f * second + g * third + h * fourth
        for at in range(whole, size):
            for column in range(width):
                seen[query, column] += mine[at] * block[at, column]
                seen[query + 1, column] += other[at] * block[at, column]
