"""Exponentials of a softmax on a CPU, in vector instructions."""

from typing import Any

import numpy as np

from transcription_worker.engines.batched.kernels.numba_jit import jit

Array = np.ndarray[Any, np.dtype[np.float32]]

# Smaller exponents are raised to this one: such a term is negligible beside the highest, whose exponent is 0, and no product
# with it becomes a denormal number, which CPUs compute slowly.
MIN_EXPONENT = np.float32(-50.0)


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
