"""Products of few rows with a matrix of weights on a CPU.

Few rows wait for the weights: they are held in half precision where that changes no number, as with all of OpenAI's
checkpoints, and lie in the order in which they are read.
"""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from transcription_worker.engines.batched.kernels.numba_jit import has_float16_conversion, jit
from transcription_worker.engines.batched.kernels.product_tile_cpu import COLUMNS, MOST_ROWS, multiply_tile

Array = np.ndarray[Any, Any]


def pack_weight(weight: torch.Tensor) -> Array:
    """Weights, (columns, width), as the kernels take them: in panels, (panels, width, COLUMNS).

    Their numbers are the bits of float16 if that changes none, else float32. The last panel ends with zeros.
    """
    padded = pad(weight, (0, 0, 0, -weight.shape[0] % COLUMNS))
    panels = padded.view(-1, COLUMNS, weight.shape[1]).transpose(1, 2).contiguous()
    halves = panels.half()
    exact = has_float16_conversion() and torch.equal(halves.float(), panels)
    packed: Array = halves.numpy().view(np.uint16) if exact else panels.numpy()
    return packed


@jit
def linear(hidden: Array, weight: Array, bias: Array, out: Array) -> None:
    """Write hidden @ weight.T + bias to `out`, (rows, columns). hidden: (rows, width). weight: see pack_weight."""
    multiply(hidden, weight, 0, out)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] += bias[column]


@jit
def multiply(hidden: Array, weight: Array, first: int, out: Array) -> None:
    """Write the products with the columns from the panel `first` on to `out`, (rows, columns). Others as in `linear`."""
    tile = np.empty((MOST_ROWS, COLUMNS), dtype=np.float32)
    tiles = max(1, -(-hidden.shape[0] // MOST_ROWS))
    most = max(1, -(-hidden.shape[0] // tiles))  # 7 rows are four and three, not six and one
    for start in range(0, out.shape[1], COLUMNS):
        columns = min(COLUMNS, out.shape[1] - start)
        for row in range(0, hidden.shape[0], most):
            rows = min(most, hidden.shape[0] - row)
            multiply_tile(hidden, row, rows, weight[first + start // COLUMNS], tile)
            for line in range(rows):
                for column in range(columns):
                    out[row + line, start + column] = tile[line, column]
