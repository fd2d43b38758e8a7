"""Norms of what the blocks add up, in float32 as openai-whisper's LayerNorm."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.functional import layer_norm

# hidden and what is added to it, both (..., width), and a LayerNorm to their sum and the norm of that, in their own type.
AddAndNorm = Callable[[Tensor, Tensor, Any], tuple[Tensor, Tensor]]


def normed(norm: Any, x: Tensor) -> Tensor:
    """In the type of `x`."""
    return layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(x.dtype)


def add_and_norm(hidden: Tensor, more: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """As AddAndNorm, on any device."""
    added = hidden + more
    return added, normed(norm, added)
