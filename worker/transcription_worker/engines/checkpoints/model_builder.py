"""openai-whisper's model from a checkpoint's tensors, without filling it with random numbers first."""

from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode
from whisper.model import Whisper

from transcription_worker.engines.checkpoints.checkpoint import Checkpoint


def build(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Any:
    """A whisper.model.Whisper with the checkpoint's weights. Raises RuntimeError for tensors of another model."""
    with _NoRandomStart():
        model = Whisper(checkpoint.dims)
    products = {
        f"{name}.{kind}"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d)
        for kind in ("weight", "bias")
    }
    stored = {
        name: tensor.to(device).to(stored_type(name, tensor, products, dtype))
        for name, tensor in checkpoint.tensors.items()
    }
    model.load_state_dict(stored, assign=True)
    return model


def stored_type(name: str, tensor: torch.Tensor, products: set[str], dtype: torch.dtype) -> torch.dtype:
    """Weights of products and convolutions in the precision that computes them: openai-whisper casts them at every use.

    So is the embedding where that loses nothing: it is added to the positions in float32 first. The rest is float32.
    """
    exact = name == "decoder.token_embedding.weight" and tensor.dtype is dtype
    return dtype if exact or name in products else torch.float32


class _NoRandomStart(TorchFunctionMode):  # type: ignore[misc]
    """Weights that a checkpoint replaces are not drawn first: for large-v3 that takes 20 s and 6 GB."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (init.kaiming_uniform_, init.uniform_, init.normal_):
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))
