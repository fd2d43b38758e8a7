"""CPU kernels compiled by numba, where torch would go over memory several times."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
import torch

F = TypeVar("F", bound=Callable[..., Any])

# All of LLVM's fast-math flags but "ninf", since infinities occur. NaNs come from a broken model alone, whose text is of no use.
MATH = {"reassoc", "contract", "nsz", "arcp", "afn", "nnan"}


# All files with compiled functions. numba's cache looks at a function's own file alone, but the functions call each other.
SOURCES = (
    "kernels/numba_jit.py",
    "kernels/cross_attention_cpu.py",
    "kernels/exponentials_cpu.py",
    "kernels/layer_norm_cpu.py",
    "kernels/linear_cpu.py",
    "kernels/product_tile_cpu.py",
    "kernels/quantization_cpu.py",
    "kernels/self_attention_cpu.py",
    "kernels/vocabulary_cpu.py",
    "decoding/sampler_cpu.py",
)


def source_digest(folder: Path) -> str:
    """A digest of all SOURCES below the folder, 16 hexadecimal digits."""
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()[:16]


SOURCE_DIGEST = source_digest(Path(__file__).parents[1])


def jit(function: F) -> F:
    """Compile a function with numba; it runs without the GIL.

    The code is cached in NUMBA_CACHE_DIR, or else beside the module, in a folder named after SOURCE_DIGEST. The first call
    takes a second or two if nothing is cached, as in a new pod.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(before or Path(__file__).parent / "__pycache__") / f"kernels-{SOURCE_DIGEST}")
    try:
        compiled: F = numba.njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")(function)
    except RuntimeError:  # no cache folder can be written to
        compiled = numba.njit(nogil=True, fastmath=MATH, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def has_float16_conversion() -> bool:
    """Whether this CPU has the instruction that turns float16 into float32; without it LLVM calls a function that is missing."""
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("f16c") or features.get("fp-armv8"))


def uses_numba(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether decoding uses these kernels: in float32 on a CPU. GPUs, and CPUs in half precision, use torch's operators."""
    return device.type == "cpu" and dtype is torch.float32
