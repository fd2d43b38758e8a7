"""The floating-point type that a model computes in and stores its weights in."""

from typing import Any

import torch
from transcription_api import reasons
from transcription_api.choices import FLOAT8_CAPABILITY
from transcription_api.report import DeviceUsed
from transcription_api.spec import Precision

from transcription_worker.errors import WorkerError

_DTYPES = {
    Precision.FLOAT32: torch.float32,
    Precision.FLOAT16: torch.float16,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.INT8: torch.float32,
    Precision.FLOAT8: torch.float16,
}


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """torch's type for a precision. As in openai-whisper, auto is float32 on a CPU and float16 on a GPU.

    With int8 it is the type of all but the weights of linear layers, with float8 of all but the cached keys and values of the
    audio. A CPU computes float8 with float32, for tests and comparisons: refuse_float8 says that nobody else wants it.

    Raises:
        WorkerError: EngineUnsuitable for float16 on a CPU, which has no instructions for it, and for int8 elsewhere.
    """
    if precision is Precision.AUTO:
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision is Precision.FLOAT8 and device.type == "cpu":
        return torch.float32
    if precision is Precision.FLOAT16 and device.type == "cpu":
        message = "spec.decoding.precision: got 'float16' on a CPU, expected auto, float32, bfloat16 or int8"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, message)
    if precision is Precision.INT8 and device.type != "cpu":
        message = "spec.decoding.precision: got 'int8' on a GPU, expected auto, float32, float16 or bfloat16"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, message)
    return _DTYPES[precision]


def refuse_float8(precision: Precision, device: DeviceUsed) -> None:
    """Refuse float8 on a device that gains nothing by it or does not compute it.

    Raises:
        WorkerError: EngineUnsuitable for a CPU, and for a GPU whose compute capability is below FLOAT8_CAPABILITY.
    """
    if precision is not Precision.FLOAT8:
        return
    got = "spec.decoding.precision: got 'float8' on"
    if device.kind == "cpu":
        raise WorkerError(reasons.ENGINE_UNSUITABLE, f"{got} a CPU, expected auto, float32, bfloat16 or int8")
    if device.compute_capability is None:
        return
    if tuple(int(part) for part in device.compute_capability.split(".")) < FLOAT8_CAPABILITY:
        found = f"{got} {device.name or 'a GPU'}, whose compute capability is {device.compute_capability}"
        least = ".".join(map(str, FLOAT8_CAPABILITY))
        expected = f"expected auto, float32, float16 or bfloat16, or a GPU of at least {least}"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, f"{found}, {expected}")


def store(model: Any, dtype: torch.dtype) -> None:
    """Cast the weights of linear and convolutional layers once; openai-whisper casts them at every use.

    Norms stay in float32, in which they are computed, and so do positional embeddings, which are added before the cast.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d):
            module.to(dtype)
