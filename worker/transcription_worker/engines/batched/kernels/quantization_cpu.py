"""Rows of numbers as bytes, each row with a scale of its own, for matrix products of whole numbers on a CPU."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.numba_jit import jit

Array = np.ndarray[Any, Any]

# The byte that stands for 0. The others are as far from it as the number is from 0, in units of the row's scale.
ZERO_POINT = 128
# A row of zeros has this scale, so that nothing is divided by 0.
SMALLEST = np.float32(1e-30)


@jit
def quantize_rows(rows: Array, levels: int, quantized: Array, scales: Array) -> None:
    """Write rows[r, c] / scales[r] + ZERO_POINT, rounded, to quantized[r, c].

    rows: (rows, width), float32. levels: the greatest distance from ZERO_POINT, at most 127. quantized: like rows, uint8.
    scales: (rows,), float32; each row's greatest number is `levels` of them.
    """
    top, middle = np.float32(levels), np.float32(ZERO_POINT + 0.5)
    for row in range(rows.shape[0]):
        greatest = SMALLEST
        for at in range(rows.shape[1]):
            greatest = max(greatest, abs(rows[row, at]))
        factor = top / greatest
        for at in range(rows.shape[1]):
            # Cutting off what is behind the point rounds a number that is positive and half a unit too large.
            quantized[row, at] = np.uint8(np.int32(rows[row, at] * factor + middle))
        scales[row] = greatest / top
