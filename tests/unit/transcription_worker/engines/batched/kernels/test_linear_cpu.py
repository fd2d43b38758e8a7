"""Products of few rows are what a matrix product gives, whatever the numbers of rows and columns."""

import numpy as np
import pytest
import torch
from transcription_worker.engines.batched.kernels.linear_cpu import linear, multiply, pack_weight
from transcription_worker.engines.batched.kernels.numba_jit import has_float16_conversion
from transcription_worker.engines.batched.model.packed_linear import MAX_ROWS, PackedLinear


def halves(columns: int, width: int) -> torch.Tensor:
    return torch.randn(columns, width, generator=torch.Generator().manual_seed(columns)).half()


def test_half_precision_is_used_where_it_changes_no_number() -> None:
    exact = halves(3000, 64)
    exact[0, :4] = torch.tensor([0.0, 6e-8, -6e-8, 65504.0]).half()  # the least and the greatest
    hidden = torch.randn(7, 64, generator=torch.Generator().manual_seed(10))
    for weight, stored in (
        (exact.float(), np.uint16 if has_float16_conversion() else np.float32),
        (exact.float() * 1.001, np.float32),
    ):
        packed = pack_weight(weight)
        assert packed.dtype == stored
        product = torch.empty(7, 3000)
        multiply(hidden.numpy(), packed, 0, product.numpy())
        torch.testing.assert_close(product.double(), hidden.double() @ weight.double().T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 15])
@pytest.mark.parametrize("columns", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("width", [1, 7, 40])
def test_rows_and_columns_that_fill_no_tile_are_computed_too(rows: int, columns: int, width: int) -> None:
    weight, bias = halves(columns, width).float(), torch.arange(columns, dtype=torch.float32)
    hidden = torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))
    around = torch.full((rows + 2, columns), 7.0)
    linear(hidden.numpy(), pack_weight(weight), bias.numpy(), around.numpy()[1:-1])
    torch.testing.assert_close(around[1:-1], hidden @ weight.T + bias, rtol=1e-5, atol=1e-5)
    assert (around[[0, -1]] == 7).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (MAX_ROWS[1] + 1,)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_packed_layer_computes_what_the_layer_does(bias: bool, shape: tuple[int, ...], threads: int) -> None:
    torch.manual_seed(3)
    layer, x = torch.nn.Linear(48, 30, bias=bias).requires_grad_(False), torch.randn(*shape, 48)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(PackedLinear(layer)(x), layer(x), rtol=1e-5, atol=1e-5)
    finally:
        torch.set_num_threads(before)
