"""Loops compiled by numba for the CPU at hand, where torch would go over memory several times."""

from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding
import numba
import torch
from llvmlite import ir
from numba.extending import intrinsic

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


@intrinsic  # type: ignore[untyped-decorator]
def widened(_: Any, number: Any) -> Any:
    """In loops: the bits of a number of half precision as a float32; a float32 as it is. numba has no halves on a CPU."""

    def widen(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        if number == numba.types.float32:
            return given[0]
        return builder.fpext(builder.bitcast(given[0], ir.HalfType()), ir.FloatType())

    return numba.types.float32(number), widen


def widens() -> bool:
    """Whether this CPU has an instruction for `widened`; elsewhere it would be a call of a function that is not there."""
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("f16c") or features.get("fp-armv8"))


def has_loops(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a decoder has such loops: in float32 on a CPU. A GPU, and a CPU in half precision, compute by torch alone."""
    return device.type == "cpu" and dtype is torch.float32
