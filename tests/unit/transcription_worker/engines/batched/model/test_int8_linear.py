"""Linear layers with weights of 8 bits compute nearly the same, each row by itself."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import Linear
from transcription_worker.engines.batched.model import int8_linear
from transcription_worker.engines.batched.model.int8_linear import Int8Linear


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def layer(inputs: int, outputs: int, bias: bool = True) -> Linear:
    torch.manual_seed(inputs + outputs)
    return Linear(inputs, outputs, bias=bias)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_a_product_is_within_two_percent_of_float32() -> None:
    for inputs, outputs, bias in ((384, 1536, True), (1536, 384, True), (128, 128, False)):
        plain = layer(inputs, outputs, bias)
        x = torch.randn(3, 50, inputs)
        found = Int8Linear(plain)(x)
        assert found.shape == (3, 50, outputs)
        assert relative_error(found, plain(x)) < 0.02


def test_a_loud_row_in_the_batch_changes_no_other_row() -> None:
    quantized, x = Int8Linear(layer(96, 64)), torch.randn(8, 96)
    louder = torch.cat([x, x[:1] * 1000])
    assert torch.equal(quantized(louder)[:8], quantized(x))


def test_a_row_of_zeros_gives_the_bias() -> None:
    plain = layer(64, 32)
    assert torch.equal(Int8Linear(plain)(torch.zeros(1, 64))[0], plain.bias)


def test_an_output_without_weights_gives_its_bias() -> None:
    plain = layer(64, 32)
    plain.weight[3] = 0
    assert torch.equal(Int8Linear(plain)(torch.randn(5, 64))[:, 3], plain.bias[3].expand(5))


def test_the_greatest_numbers_do_not_overflow() -> None:
    plain = layer(4096, 8, bias=False)
    plain.weight.fill_(1.0)
    found = Int8Linear(plain)(torch.ones(2, 4096))
    assert relative_error(found, torch.full((2, 8), 4096.0)) < 1e-5


def test_a_cpu_without_vnni_computes_with_seven_bits() -> None:
    plain, x = layer(384, 384), torch.randn(20, 384)
    quantized = Int8Linear(plain)
    quantized._levels = int8_linear.LEVELS_WITHOUT_VNNI
    assert relative_error(quantized(x), plain(x)) < 0.03
