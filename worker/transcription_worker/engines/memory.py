"""What an engine makes of errors: one for memory that ran out, one for a GPU that failed, and that of one input."""

import contextlib
import logging
from collections.abc import Iterator

import torch
from transcription_api import reasons

from transcription_worker.errors import WorkerError, without_frames
from transcription_worker.gpu_diagnosis import is_gpu_fault, is_out_of_memory
from transcription_worker.shortage import shortage

log = logging.getLogger(__name__)


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
        if isinstance(error.__context__, torch.OutOfMemoryError):
            # Memory ran out while a CUDA graph was captured, and the end of the capture failed for it.
            raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {_device_words(error.__context__)}") from error
        if is_out_of_memory(words) or "CUBLAS_STATUS_ALLOC_FAILED" in words:
            raise WorkerError(reasons.OUT_OF_MEMORY, f"{doing}: {words.splitlines()[0][:200]}") from error
        if is_gpu_fault(words):
            raise WorkerError(reasons.GPU_FAULT, f"{doing}: {words.splitlines()[0][:200]}") from error
        raise


def free_gpu_mib() -> int:
    """MiB of the first GPU's memory that are free, whoever uses the rest."""
    return int(torch.cuda.mem_get_info(0)[0]) >> 20


def _device_words(error: torch.OutOfMemoryError) -> str:
    """The first sentences of torch's message, which state the sizes: requested, total, free."""
    return str(error).split(" If reserved", 1)[0][:300]


def input_failure(error: Exception) -> WorkerError:
    """Return the failure of the one input at whose work the error was raised, with its words alone.

    Raises:
        WorkerError: GPUFault. CUDA answers every later call with the same error, so that no other input can be transcribed
            in this process; and which input was at work when it came says nothing about the cause.
    """
    if (lacking := shortage(error)) is not None:
        return lacking
    if not isinstance(error, WorkerError):
        # Its message may hold data, so only the log's traceback shows it.
        log.error("%s", reasons.INTERNAL_ERROR.name, exc_info=error)
        return WorkerError(reasons.INTERNAL_ERROR, f"unexpected {type(error).__name__}")
    if error.reason is reasons.GPU_FAULT:
        raise error
    return without_frames(error)
