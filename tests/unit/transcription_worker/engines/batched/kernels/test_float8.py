"""Keys and values in 8 bits are what they were but for a sixteenth, and a number that is none stays none."""

import pytest
import torch
from transcription_worker.engines.batched.kernels import float8
from transcription_worker.engines.batched.kernels.float8 import Float8Tensors

SLOTS, HEADS, POSITIONS, WIDTH = 2, 3, 203, 64
CPU = torch.device("cpu")


def drawn(seed: int, spread: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SLOTS, HEADS, POSITIONS, WIDTH, generator=generator) * spread


def quantized(keys: torch.Tensor, values: torch.Tensor) -> Float8Tensors:
    cache = float8.allocate((SLOTS, HEADS), POSITIONS, WIDTH, CPU)
    float8.quantize(keys, values, cache)
    return cache


@pytest.mark.parametrize("spread", [1e-6, 1.0, 5e4])
def test_a_number_of_any_size_is_off_by_a_sixteenth_at_most(spread: float) -> None:
    wanted = drawn(1, spread), drawn(2, spread)
    for found, exact in zip(float8.dequantize(quantized(*wanted), torch.float32), wanted, strict=True):
        smallest = exact.abs().amax(dim=(-2, -1), keepdim=True) / float8.LARGEST * 2**-10  # half of the least step
        assert ((found - exact).abs() <= exact.abs() / 16 + smallest).all()


def test_each_head_of_each_window_has_a_scale_of_its_own_for_keys_and_for_values() -> None:
    keys, values = drawn(1), drawn(2)
    keys[1, 2] *= 1000
    scales = quantized(keys, values).scales
    assert scales[1, 2, 0] > 300 * scales[1, 2, 1]
    assert len(set(scales.flatten().tolist())) == SLOTS * HEADS * 2


def test_a_head_of_zeros_is_zeros() -> None:
    keys, values = drawn(1), drawn(2)
    keys[0, 1] = 0
    found, _ = float8.dequantize(quantized(keys, values), torch.float32)
    assert not found[0, 1].any()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_overflowed_before_is_not_a_number_after(broken: float) -> None:
    keys, values = drawn(1), drawn(2)
    keys[0, 1, 5, 7] = broken
    found, unbroken = float8.dequantize(quantized(keys, values), torch.float16)
    assert found[0, 1, 5, 7].isnan()
    assert not found[1].isnan().any()
    assert not unbroken.isnan().any()


def test_columns_of_values_begin_where_a_gpu_copies_16_bytes_and_end_in_zeros() -> None:
    cache = quantized(drawn(1), drawn(2))
    assert cache.values.shape == (SLOTS, HEADS, WIDTH, 208)
    assert not cache.values[..., POSITIONS:].float().any()


def test_the_bytes_of_a_window_are_counted() -> None:
    cache = float8.allocate((1, HEADS), POSITIONS, WIDTH, CPU)
    assert sum(one.nbytes for one in cache) == float8.window_bytes(HEADS, POSITIONS, WIDTH)
