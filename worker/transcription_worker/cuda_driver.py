"""Start the NVIDIA driver in this process without torch, so that a driver that never answers does not hold everything up.

torch holds Python's lock while it starts CUDA: with a GPU that hangs no thread of Python would run any more, and the worker
could neither report nor end. ctypes releases the lock, so that these calls can be waited for with a limit.
"""

import ctypes
import os
import threading
from collections.abc import Callable

LIBRARY = "libcuda.so.1"
# Seconds that the driver has, from its start to the result of a small kernel. On a node of eight GPUs without the persistence
# daemon the start takes up to half a minute, and the libraries are read from a disk that may be slow.
LIMIT_SECONDS = 180.0

# Threads in calls that did not come back in time.
_hanging: list[threading.Thread] = []


def libcuda_error() -> str | None:
    """Return why libcuda.so.1, the driver's own library, cannot be loaded; None if it can.

    The NVIDIA runtime class mounts the library into the container. Without it, it is missing even on a healthy node.
    """
    try:
        _load()
    except OSError as error:
        return str(error)
    return None


def _load() -> ctypes.CDLL:
    """Load the driver's library.

    Raises:
        OSError: there is none, or a file of its name that only serves to link programs.
    """
    library = ctypes.CDLL(LIBRARY)
    if not hasattr(library, "cuInit"):
        raise OSError(f"{LIBRARY}: a file of this name is there, but it has no cuInit: it is not the driver's")
    return library


def start() -> None:
    """Start the driver, and the first GPU's context, which torch then uses. What fails is torch's to tell.

    Source: NVIDIA, "CUDA Driver API", Initialization and Primary Context Management.
    """
    try:
        library = _load()
    except OSError:
        return
    # Drivers before CUDA 12.2 load every kernel of every library at once unless they are told not to before cuInit.
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    if library.cuInit(0) == 0:
        library.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), 0)


def answers(look: Callable[[], None], limit: float) -> bool:
    """Run `look` in a thread, and return whether it came back within `limit` seconds.

    Raises:
        Exception: whatever `look` raised.
    """
    failed: list[Exception] = []

    def guarded() -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=guarded, name="driver", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        _hanging.append(thread)
        return False
    if failed:
        raise failed[0]
    return True


def hangs() -> bool:
    """Whether a call into the driver has not come back: the process can then end only at once, without CUDA's own end."""
    return any(thread.is_alive() for thread in _hanging)
