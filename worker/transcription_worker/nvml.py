"""Look at the NVIDIA driver without torch and without CUDA: its version, its GPUs and its device nodes.

NVML sees the GPUs of the container whatever CUDA makes of them: those that CUDA_VISIBLE_DEVICES hides, and those that this
build of torch is too new for. Its functions are those of NVIDIA's "NVML API Reference Guide".
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
PROC_VERSION = Path("/proc/driver/nvidia/version")
DEV = Path("/dev")
# The buffer sizes that nvml.h names for a driver version and a device name.
_VERSION_BYTES, _NAME_BYTES = 80, 96
# NVML_MEMORY_ERROR_TYPE_UNCORRECTED, and NVML_VOLATILE_ECC: errors since the driver was loaded.
_UNCORRECTED, _SINCE_START = 1, 0
# NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus, which the kernel log has as Xid 79.
_GPU_IS_LOST = 15
# More GPUs than a node has.
_MOST_GPUS = 64


@dataclass(frozen=True)
class GPU:
    """A GPU. `capability` is its compute capability as (major, minor), `memory` is in bytes."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself. What it does not say is None.

    version: such as 580.65.06. cuda: the newest CUDA that it knows, such as 13.0. ecc_errors: uncorrectable errors of the
    memory of all GPUs since the driver was loaded. lost: GPUs that answer no more, and are not among `gpus`.
    """

    version: str | None = None
    cuda: str | None = None
    gpus: tuple[GPU, ...] = ()
    ecc_errors: int | None = None
    lost: int = 0


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def read_driver() -> Driver:
    """Ask NVML, and for the version else the kernel module. Without either everything is None."""
    try:
        library = ctypes.CDLL(LIBRARY)
        found = _read_all(library) if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):  # there is none, or a file of its name that lacks a function
        found = None
    return found or Driver(version=parse_proc_version(_read(PROC_VERSION)))


def _read_all(library: Any) -> Driver:
    try:
        return Driver(_version(library), _cuda(library), *_devices(library))
    finally:
        library.nvmlShutdown()


def parse_proc_version(text: str) -> str | None:
    """Return the version in /proc/driver/nvidia/version, None if it is not found.

    The line is `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri ...`, or the open module's like it.
    """
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return found.group(1) if found else None


def device_nodes() -> tuple[str, ...]:
    """Return the GPUs' device nodes, such as /dev/nvidia0. WSL has one node, /dev/dxg, for all GPUs."""
    nodes = [path for path in DEV.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return tuple(str(path) for path in sorted([*nodes, *DEV.glob("dxg")]))


def shown_cuda(version: int) -> str:
    """Return a version of CUDA as people write it: the driver has 12040 for 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _version(library: Any) -> str | None:
    buffer = ctypes.create_string_buffer(_VERSION_BYTES)
    known = library.nvmlSystemGetDriverVersion(buffer, _VERSION_BYTES) == 0
    return buffer.value.decode(errors="replace") if known else None


def _cuda(library: Any) -> str | None:
    version = ctypes.c_int()
    known = library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version)) == 0
    return shown_cuda(version.value) if known else None


def _devices(library: Any) -> tuple[tuple[GPU, ...], int | None, int]:
    """Return the GPUs, the sum of their ECC errors, None if no GPU counts them, and how many GPUs are lost."""
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return (), None, 0
    gpus, errors, lost = list[GPU](), list[int](), 0
    for index in range(min(count.value, _MOST_GPUS)):
        handle = ctypes.c_void_p()
        status = library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
        if status == 0:
            status, found = _gpu(library, handle)
            gpus += [found] if found is not None else []
            errors += _ecc_errors(library, handle)
        lost += status == _GPU_IS_LOST
    return tuple(gpus), sum(errors) if errors else None, lost


def _gpu(library: Any, handle: ctypes.c_void_p) -> tuple[int, GPU | None]:
    """Return the first status that is not 0, else the GPU."""
    name, memory = ctypes.create_string_buffer(_NAME_BYTES), _Memory()
    major, minor = ctypes.c_int(), ctypes.c_int()
    calls: tuple[Callable[[], int], ...] = (
        lambda: library.nvmlDeviceGetName(handle, name, _NAME_BYTES),
        lambda: library.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor)),
        lambda: library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)),
    )
    status = next((status for call in calls if (status := call()) != 0), 0)
    return status, None if status else GPU(
        name.value.decode(errors="replace"), (major.value, minor.value), memory.total
    )


def _ecc_errors(library: Any, handle: ctypes.c_void_p) -> list[int]:
    """The uncorrectable errors of one GPU; empty where it has no ECC, or has it turned off."""
    count = ctypes.c_ulonglong()
    known = library.nvmlDeviceGetTotalEccErrors(handle, _UNCORRECTED, _SINCE_START, ctypes.byref(count)) == 0
    return [count.value] if known else []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
