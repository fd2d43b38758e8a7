"""Loops compiled by numba for the CPU at hand, where torch would go over memory several times."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
import torch
from llvmlite import ir
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

# All but the promise that nothing is infinite. Where a model gives what is no number, so do these loops.
MATH = {"reassoc", "contract", "nsz", "arcp", "afn", "nnan"}


# What loops are made of. numba looks at one file alone for whether what it kept is still right, and they call each other.
SOURCES = ("kernels/numba_jit.py", "kernels/attention_cpu.py", "kernels/vocabulary_cpu.py", "decoding/sampler_cpu.py")


def edition(folder: Path) -> str:
    """Another one with every change of one of the sources."""
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()[:16]


EDITION = edition(Path(__file__).parents[1])


def compiled(function: F) -> F:
    """Numba's code of it, which runs without the interpreter's lock; kept in NUMBA_CACHE_DIR, or else beside the module.

    Its first call takes a second or two where nothing is kept, as in a pod that is new.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(before or Path(__file__).parent / "__pycache__") / f"loops-{EDITION}")
    try:
        made: F = numba.njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")(function)
    except RuntimeError:  # neither there nor anywhere else is a place that can be written
        made = numba.njit(nogil=True, fastmath=MATH, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
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
