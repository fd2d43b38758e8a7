"""Build openai-whisper's model from a checkpoint, without initializing it with random numbers first."""

from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode
from whisper.model import Whisper

from transcription_worker.engines.checkpoints.checkpoint import Checkpoint
from transcription_worker.engines.checkpoints.finite import refuse_not_finite


def build(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Any:
    """Build a whisper.model.Whisper with the checkpoint's weights.

    Raises:
        RuntimeError: the tensors do not fit the dimensions.
        WorkerError: ModelInvalid, for weights that are not finite.
    """
    with _NoRandomInit():
        model = Whisper(checkpoint.dims)
    products = {
        f"{name}.{kind}"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d)
        for kind in ("weight", "bias")
    }
    stored = {}
    for name, tensor in checkpoint.tensors.items():
        moved = tensor.to(device)
        refuse_not_finite(name, moved)
        stored[name] = moved.to(stored_type(name, tensor, products, dtype))
    model.load_state_dict(stored, assign=True)
    return model


def stored_type(name: str, tensor: torch.Tensor, products: set[str], dtype: torch.dtype) -> torch.dtype:
    """The type that a tensor is stored in.

    Weights of linear and convolutional layers have the type that computes them, which openai-whisper casts them to at every
    use. The token embedding has it only if the file has it too, since it is added to the positions in float32. The rest is
    float32. products: names of the weights of linear and convolutional layers.
    """
    exact = name == "decoder.token_embedding.weight" and tensor.dtype is dtype
    return dtype if exact or name in products else torch.float32


class _NoRandomInit(TorchFunctionMode):  # type: ignore[misc]
    """Skips the random initialization of weights that a checkpoint replaces: for large-v3 it takes 20 s and 6 GB."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (init.kaiming_uniform_, init.uniform_, init.normal_):
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))
