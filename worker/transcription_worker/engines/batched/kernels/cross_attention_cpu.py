"""Attention of rows to keys and values of the audio on a CPU, which are cached in panels as product tiles read them."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.attention_cpu import exponentials
from transcription_worker.engines.batched.kernels.numba_jit import jit
from transcription_worker.engines.batched.kernels.product_tile_cpu import COLUMNS, MOST_ROWS, multiply_tile

Array = np.ndarray[Any, Any]


def panel_shapes(positions: int, size: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the shapes of a head's keys and values: (panels of positions, size, COLUMNS), (panels of columns, positions, COLUMNS).

    positions: n_audio_ctx. size: the head's width. Both are rounded up to whole panels, whose rest stays zero.
    """
    of_positions, of_columns = -(-positions // COLUMNS), -(-size // COLUMNS)
    return (of_positions, size, COLUMNS), (of_columns, of_positions * COLUMNS, COLUMNS)


@jit
def write_panels(keys: Array, values: Array, key_panels: Array, value_panels: Array) -> None:
    """Write keys and values of some slots, each (slots, n_audio_ctx, width), to their panels, (slots, heads, *panel_shapes)."""
    size = key_panels.shape[3]
    for slot in range(keys.shape[0]):
        for head in range(key_panels.shape[1]):
            for position in range(keys.shape[1]):
                panel, place = position // COLUMNS, position % COLUMNS
                for column in range(size):
                    number = head * size + column
                    key_panels[slot, head, panel, column, place] = keys[slot, position, number]
                    value_panels[slot, head, column // COLUMNS, position, column % COLUMNS] = values[
                        slot, position, number
                    ]


@jit
def attend_to_audio(queries: Array, keys: Array, values: Array, positions: int, out: Array) -> None:
    """Write softmax(queries @ keys.T / sqrt(size)) @ values of each head to `out`.

    queries, out: (slots, rows, width). keys, values: (slots, heads, *panel_shapes). positions: n_audio_ctx. Eight windows of five
    beams took 2.0 ms a layer at tiny's dimensions on each of two cores of an AMD EPYC, which read 18 GB/s each.
    """
    heads, size = keys.shape[1], keys.shape[3]
    query, tile = np.empty((MOST_ROWS, size), dtype=np.float32), np.empty((MOST_ROWS, COLUMNS), dtype=np.float32)
    scores = np.zeros((MOST_ROWS, values.shape[3]), dtype=np.float32)
    factors, scratch = np.empty(MOST_ROWS, dtype=np.float32), np.empty(values.shape[3], dtype=np.float32)
    scale = np.float32(1 / np.sqrt(size))
    for slot in range(queries.shape[0]):
        for first in range(0, queries.shape[1], MOST_ROWS):
            rows = min(MOST_ROWS, queries.shape[1] - first)
            for head in range(heads):
                for row in range(rows):
                    for column in range(size):
                        query[row, column] = queries[slot, first + row, head * size + column] * scale
                _score(query, rows, keys[slot, head], tile, scores)
                for row in range(rows):
                    factors[row] = _exponentiate(scores[row], positions, scratch)
                _sum_values(
                    scores, rows, values[slot, head], factors, tile, out[slot, first:, head * size : (head + 1) * size]
                )


@jit
def _score(query: Array, rows: int, keys: Array, tile: Array, scores: Array) -> None:
    """Write the products of some rows with the keys of one head."""
    for panel in range(keys.shape[0]):
        multiply_tile(query, 0, rows, keys[panel], tile)
        for row in range(rows):
            for column in range(COLUMNS):
                scores[row, panel * COLUMNS + column] = tile[row, column]


@jit
def _exponentiate(scores: Array, positions: int, scratch: Array) -> np.float32:
    """Turn a row's scores into exponentials relative to the highest, zero from `positions` on. Returns 1 / their sum."""
    highest = scores[0]
    for position in range(positions):
        highest = max(highest, scores[position])
    total = exponentials(scores, positions, highest, scratch)
    for position in range(positions, scores.shape[0]):
        scores[position] = 0
    return 1 / total


@jit
def _sum_values(weights: Array, rows: int, values: Array, factors: Array, tile: Array, out: Array) -> None:
    """Write each row's weighted sum of the values of one head, times its factor, to `out`, (at least rows, size)."""
    for panel in range(values.shape[0]):
        multiply_tile(weights, 0, rows, values[panel], tile)
        for row in range(rows):
            for column in range(min(COLUMNS, out.shape[1] - panel * COLUMNS)):
                out[row, panel * COLUMNS + column] = tile[row, column] * factors[row]
