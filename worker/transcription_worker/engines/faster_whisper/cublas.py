"""Load cuBLAS of CUDA 12 for CTranslate2, which opens it by name; torch brings cuBLAS of CUDA 13 only."""

import ctypes
import importlib.util
from pathlib import Path

from transcription_api import reasons

from transcription_worker.errors import WorkerError

LIBRARY = "libcublas.so.12"
# In load order, relative to the folder of the package nvidia-cublas-cu12.
IN_PACKAGE = ("lib/libcublasLt.so.12", f"lib/{LIBRARY}")


def load_cublas() -> None:
    """Load cuBLAS into this process, from the loader's path or from the package, so that CTranslate2 finds it by name.

    Raises:
        WorkerError: EngineNotInstalled.
    """
    if _loads(LIBRARY):
        return
    spec = importlib.util.find_spec("nvidia.cublas") if importlib.util.find_spec("nvidia") else None
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [] if spec else [])]
    if not any(all(_loads(str(folder / name)) for name in IN_PACKAGE) for folder in folders):
        message = f"spec.engine: faster-whisper finds no {LIBRARY}: install transcription-worker[faster-whisper-cuda]"
        raise WorkerError(reasons.ENGINE_NOT_INSTALLED, message)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
