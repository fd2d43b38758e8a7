"""Linear layers with weights of 8 bits, on a CPU: dynamic quantization, products by oneDNN.

Each output has a scale for its weights, which is computed once, and each row of the input one of its own, which is computed as
it comes. So a row's result does not depend on what else is in the batch; quantize_dynamic of torch takes one scale for all.
The scheme is that of LLM.int8 (arXiv:2208.07339, section 2.1, vector-wise quantization), and of CTranslate2.
"""

from typing import Any

import torch
from torch import Tensor

from transcription_worker.engines.batched.kernels.quantization_cpu import ZERO_POINT, quantize_rows

WEIGHT_LEVELS = 127
# Without instructions for such products (VNNI) oneDNN adds pairs of them in 16 bits, which 8 bits would overflow:
# https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html
LEVELS, LEVELS_WITHOUT_VNNI = 127, 63


class Int8Linear(torch.nn.Module):  # type: ignore[misc]
    """Computes what a torch.nn.Linear computes, about: its weights are copied, not kept."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scales = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / WEIGHT_LEVELS
        quantized = (weight / scales[:, None]).round().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(quantized, None)
        self._scales, self._zero_points = scales, torch.zeros_like(scales, dtype=torch.int64)
        self._bias = torch.zeros_like(scales) if layer.bias is None else layer.bias.detach().float()
        self._levels = LEVELS if torch.cpu._is_vnni_supported() else LEVELS_WITHOUT_VNNI

    def forward(self, x: Tensor) -> Tensor:
        """Multiply. x: (..., inputs), float32. Returns (..., outputs), float32."""
        rows = x.reshape(-1, x.shape[-1])
        quantized, scales = torch.empty(rows.shape, dtype=torch.uint8), torch.empty(rows.shape[0])
        quantize_rows(rows.numpy(), self._levels, quantized.numpy(), scales.numpy())
        product = torch.ops.onednn.qlinear_pointwise(
            quantized, 1.0, ZERO_POINT, self._packed, self._scales, self._zero_points,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self._bias, product, scales[:, None]).view(*x.shape[:-1], -1)


def quantize_linear(layer: Any) -> Any:
    """The Int8Linear of a torch.nn.Linear; what is one already stays as it is."""
    return layer if isinstance(layer, Int8Linear) else Int8Linear(layer)


def quantize_model(model: Any) -> None:
    """Replace the linear layers of a whisper.model.Whisper that the batched engine calls.

    Those of the decoder's self-attention and of keys and values of its cross-attention stay: the engine takes their weights
    and multiplies in its own way.
    """
    for block in model.encoder.blocks:
        _replace(block.attn, "query", "key", "value", "out")
        _replace(block.mlp, "0", "2")
    for block in model.decoder.blocks:
        _replace(block.attn, "out")
        _replace(block.cross_attn, "query", "out")
        _replace(block.mlp, "0", "2")


def _replace(parent: Any, *names: str) -> None:
    for name in names:
        setattr(parent, name, quantize_linear(getattr(parent, name)))
