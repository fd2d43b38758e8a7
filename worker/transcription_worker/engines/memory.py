"""One error for memory that ran out, on the GPU or on the host, and one for a GPU that failed."""

import contextlib
from collections.abc import Iterator

import torch
from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.gpu_diagnosis import is_gpu_fault, is_out_of_memory


@contextlib.contextmanager
def host_or_device_memory(doing: str) -> Iterator[None]:
    """Translate torch's and Python's errors for exhausted memory, and those of a GPU that failed.

    doing: what was being done, for the message.

    Raises:
        WorkerError: OutOfMemory, GPUFault.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {_device_words(error)}") from error
    except MemoryError as error:
        raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: the pod's memory is not enough") from error
    except RuntimeError as error:
        # Errors of torch's host allocator, of cuBLAS and of cuDNN have no type of their own.
        words = str(error)
        if is_out_of_memory(words) or "CUBLAS_STATUS_ALLOC_FAILED" in words:
            raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {words.splitlines()[0][:200]}") from error
        if is_gpu_fault(words):
            raise WorkerError(reasons.GPU_FAULT, f"{doing}: {words.splitlines()[0][:200]}") from error
        raise


def _device_words(error: torch.OutOfMemoryError) -> str:
    """The first sentences of torch's message, which state the sizes: requested, total, free."""
    return str(error).split(" If reserved", 1)[0][:300]
