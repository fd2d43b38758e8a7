"""Loops compiled by numba for the CPU at hand, where torch would go over memory several times."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import torch

F = TypeVar("F", bound=Callable[..., Any])

# All but the promise that nothing is infinite. Where a model gives what is no number, so do these loops.
MATH = {"reassoc", "contract", "nsz", "arcp", "afn", "nnan"}


def compiled(function: F) -> F:
    """Numba's code of it, which runs without the interpreter's lock; kept beside the module where that can be written.

    Its first call takes a second or two where nothing is kept, as in a pod with a read-only root.
    """
    try:
        made: F = numba.njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")(function)
    except RuntimeError:  # no place to keep it in
        made = numba.njit(nogil=True, fastmath=MATH, error_model="numpy")(function)
    return made


def has_loops(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a decoder has such loops: in float32 on a CPU. A GPU, and a CPU in half precision, compute by torch alone."""
    return device.type == "cpu" and dtype is torch.float32
