"""Attention of rows to the audio on a CPU, whose keys and values are cached in panels, as product tiles read them."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.exponentials_cpu import exponentials
from transcription_worker.engines.batched.kernels.numba_jit import jit
from transcription_worker.engines.batched.kernels.product_tile_cpu import COLUMNS, MOST_ROWS, multiply_tile

Array = np.ndarray[Any, Any]

# Rows that read a panel while it lies in the core's caches. Their scores for 1,500 positions take 106 KiB.
ROWS_TOGETHER = 3 * MOST_ROWS


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
def attend_to_audio(queries: Array, scale: float, keys: Array, values: Array, positions: int, out: Array) -> None:
    """Write softmax(scale * queries @ keys.T) @ values of each head to `out`.

    queries, out: (slots, rows, width). keys, values: (slots, heads, *panel_shapes). positions: n_audio_ctx. Eight windows of five
    beams took 2.0 ms a layer at tiny's dimensions on each of two cores of an AMD EPYC, which read 18 GB/s each.
    """
    heads, size, padded = keys.shape[1], keys.shape[3], values.shape[3]
    scaled, tile = np.empty((ROWS_TOGETHER, size), dtype=np.float32), np.empty((MOST_ROWS, COLUMNS), dtype=np.float32)
    scores, scratch = np.zeros((ROWS_TOGETHER, padded), dtype=np.float32), np.empty(padded, dtype=np.float32)
    for slot in range(queries.shape[0]):
        for first in range(0, queries.shape[1], ROWS_TOGETHER):
            rows = min(ROWS_TOGETHER, queries.shape[1] - first)
            for head in range(heads):
                columns = slice(head * size, (head + 1) * size)
                for row in range(rows):
                    for column in range(size):
                        scaled[row, column] = queries[slot, first + row, head * size + column] * np.float32(scale)
                _multiply_panels(scaled, rows, keys[slot, head], tile, scores)
                _multiply_softmax(
                    scores, rows, positions, values[slot, head], tile, scratch, out[slot, first:, columns]
                )


@jit
def _multiply_softmax(
    scores: Array, rows: int, positions: int, values: Array, tile: Array, scratch: Array, out: Array
) -> None:
    """Write the softmax of some rows' scores times the values of one head to `out`, (at least rows, size)."""
    for row in range(rows):
        highest = scores[row, 0]
        for position in range(positions):
            highest = max(highest, scores[row, position])
        factor = 1 / exponentials(scores[row], positions, highest, scratch)
        for position in range(positions):
            scores[row, position] *= factor
        for position in range(positions, scores.shape[1]):
            scores[row, position] = 0
    _multiply_panels(scores, rows, values, tile, out)


@jit
def _multiply_panels(hidden: Array, rows: int, panels: Array, tile: Array, out: Array) -> None:
    """Write the products of some rows with each panel to `out`, (at least rows, columns), as far as it has columns."""
    tiles = -(-rows // MOST_ROWS)
    most = -(-rows // tiles)
    for panel in range(panels.shape[0]):
        start = panel * COLUMNS
        for first in range(0, rows, most):
            count = min(most, rows - first)
            multiply_tile(hidden, first, count, panels[panel], tile)
            for row in range(count):
                for column in range(min(COLUMNS, out.shape[1] - start)):
                    out[first + row, start + column] = tile[row, column]
