"""Keys and values of the audio in 8 bits, with a scale for each head: the layout, and torch's own operations on it.

The numbers are e4m3, with four bits of exponent and three of mantissa (arXiv:2209.05433): whatever its size, a number is off by
a sixteenth at most, so that a finer scale than one for each head gains little.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

FLOAT8 = torch.float8_e4m3fn
LARGEST: float = torch.finfo(FLOAT8).max
# The least scale: a head of zeros must not be divided by zero.
LEAST: float = torch.finfo(torch.float32).tiny
# Columns of values begin at a multiple of so many bytes, as a GPU copies them.
ALIGNMENT = 16


class Float8Tensors(NamedTuple):
    """Keys and values of some slots, or of all slots of all layers, with these dimensions in front.

    keys: (heads, n_audio_ctx, head width). values: (heads, head width, column_length(n_audio_ctx)), since matrix units take them
    by columns, and 8 bits cannot be turned around on the way as 16 can. scales: (heads, 2), float32, of keys and of values.
    """

    keys: Tensor
    values: Tensor
    scales: Tensor


# Writes keys and values, each (slots, heads, n_audio_ctx, head width), to the slots' tensors.
Quantize = Callable[[Tensor, Tensor, Float8Tensors], None]


def column_length(positions: int) -> int:
    """How long a column of values is, with what fills it up to a multiple of ALIGNMENT."""
    return -(-positions // ALIGNMENT) * ALIGNMENT


def allocate(shape: tuple[int, ...], positions: int, width: int, device: torch.device) -> Float8Tensors:
    """Zeros for `positions` of the audio. shape: the dimensions in front with the heads as the last. width: of a head."""
    return Float8Tensors(
        torch.zeros((*shape, positions, width), dtype=FLOAT8, device=device),
        torch.zeros((*shape, width, column_length(positions)), dtype=FLOAT8, device=device),
        torch.zeros((*shape, 2), dtype=torch.float32, device=device),
    )


def window_bytes(heads: int, positions: int, width: int) -> int:
    """Bytes that `allocate` takes for the heads of one window in one layer."""
    scales = 2 * 4  # two of float32
    return heads * (width * (positions + column_length(positions)) + scales)


def quantize(keys: Tensor, values: Tensor, cache: Float8Tensors) -> None:
    """Implement Quantize by torch, for any device."""
    for number, numbers in enumerate((keys, values)):
        exact = numbers.float()
        cache.scales[..., number] = (exact.abs().amax(dim=(-2, -1)) / LARGEST).clamp(min=LEAST)
        divided = (exact / cache.scales[..., number, None, None]).to(FLOAT8)
        if number == 0:
            cache.keys.copy_(divided)
        else:
            cache.values[..., : keys.shape[-2]] = divided.transpose(-2, -1)


def dequantize(cache: Float8Tensors, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return keys and values in a larger type, each (slots, heads, n_audio_ctx, head width)."""
    key_scales, value_scales = cache.scales[..., None, None].unbind(dim=-3)
    values = cache.values[..., : cache.keys.shape[-2]].transpose(-2, -1)
    return (cache.keys.float() * key_scales).to(dtype), (values.float() * value_scales).to(dtype)
