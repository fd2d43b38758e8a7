"""Memory that ran out, on the GPU or the host, as one reason."""

import contextlib
from collections.abc import Iterator

import torch
from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.gpu_diagnosis import is_out_of_memory


@contextlib.contextmanager
def host_or_device_memory(doing: str) -> Iterator[None]:
    """Raises WorkerError (OutOfMemory) in place of torch's and Python's own errors for it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {_device_words(error)}") from error
    except MemoryError as error:
        raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: the pod's memory is not enough") from error
    except RuntimeError as error:
        # The host's allocator has no type of its own; cuBLAS and cuDNN neither.
        words = str(error)
        if is_out_of_memory(words) or "CUBLAS_STATUS_ALLOC_FAILED" in words:
            raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {words.splitlines()[0][:200]}") from error
        raise


def _device_words(error: torch.OutOfMemoryError) -> str:
    """torch's first sentences have the sizes: tried, total, free."""
    return str(error).split(" If reserved", 1)[0][:300]
