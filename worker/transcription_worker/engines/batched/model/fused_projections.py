"""Several linear projections of the same numbers as one product of matrices."""

from typing import Any

import torch
from torch.nn import Linear


def fuse(dtype: torch.dtype, *projections: Any) -> Linear:
    """Several projections as one."""
    weight = torch.cat([one.weight for one in projections]).to(dtype)
    biases = [torch.zeros_like(one.weight[:, 0]) if one.bias is None else one.bias for one in projections]
    joined = Linear(weight.shape[1], weight.shape[0], device="meta")
    joined.weight = torch.nn.Parameter(weight, requires_grad=False)
    joined.bias = torch.nn.Parameter(torch.cat([bias.to(dtype) for bias in biases]), requires_grad=False)
    return joined
