"""Layer norms of a decode step's rows on a CPU, without torch's threads, which wait for each other longer than few rows take."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.numba_jit import jit

Array = np.ndarray[Any, Any]


@jit
def layer_norm(rows: Array, weight: Array, bias: Array, epsilon: float, out: Array) -> None:
    """Write the layer norm of each row to `out`. rows, out: (rows, width), float32. weight, bias: (width,)."""
    width = rows.shape[1]
    for row in range(rows.shape[0]):
        total, squares = np.float32(0), np.float32(0)
        for at in range(width):
            total += rows[row, at]
        mean = total / np.float32(width)
        for at in range(width):
            squares += (rows[row, at] - mean) * (rows[row, at] - mean)
        factor = np.float32(1 / np.sqrt(squares / np.float32(width) + np.float32(epsilon)))
        for at in range(width):
            out[row, at] = (rows[row, at] - mean) * factor * weight[at] + bias[at]
