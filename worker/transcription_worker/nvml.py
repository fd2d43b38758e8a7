"""Look at the NVIDIA driver without torch: its version, its library and its device nodes."""

import ctypes
import re
from pathlib import Path

PROC_VERSION = Path("/proc/driver/nvidia/version")
# The buffer size that nvml.h names for a driver version.
_VERSION_BYTES = 80


def driver_version(proc: Path = PROC_VERSION) -> str | None:
    """Return the driver's version, such as 580.65.06, from NVML or else from the kernel module; None without either."""
    return _nvml_version() or parse_proc_version(_read(proc))


def parse_proc_version(text: str) -> str | None:
    """Return the version in /proc/driver/nvidia/version, None if it is not found.

    The line is `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri ...`, or the open module's like it.
    """
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return found.group(1) if found else None


def libcuda_error() -> str | None:
    """Return why libcuda.so.1, the driver's own library, cannot be loaded; None if it can.

    The NVIDIA runtime class mounts the library into the container. Without it, it is missing even on a healthy node.
    """
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return str(error)
    return None


def device_nodes(dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the GPUs' device nodes, such as /dev/nvidia0. WSL has one node, /dev/dxg, for all GPUs."""
    nodes = [path for path in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return tuple(str(path) for path in sorted([*nodes, *dev.glob("dxg")]))


def _nvml_version() -> str | None:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if library.nvmlInit_v2() != 0:
        return None
    buffer = ctypes.create_string_buffer(_VERSION_BYTES)
    known = library.nvmlSystemGetDriverVersion(buffer, _VERSION_BYTES) == 0
    library.nvmlShutdown()
    return buffer.value.decode() if known else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
