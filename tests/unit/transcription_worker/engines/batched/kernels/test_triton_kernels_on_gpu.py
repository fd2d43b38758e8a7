"""Kernels for a GPU give what torch gives.

`make test-gpu` runs these tests on a GPU. Elsewhere test_triton_kernels.py runs them in Triton's interpreter, on tensors
of the CPU, in a process with TRITON_INTERPRET=1: Triton reads that variable once, when it is imported.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transcription_worker.engines.batched.kernels import float8
from transcription_worker.engines.batched.kernels import triton_kernels as kernels
from transcription_worker.engines.batched.kernels.float8 import Float8Tensors
from transcription_worker.engines.batched.model.cross_attention import split_heads
from transcription_worker.engines.batched.model.layer_norm import add_and_norm
from transcription_worker.engines.batched.model.self_attention import SelfAttention
from whisper.model import ModelDimensions

from tests.support.triton_interpreter import mend_conversion_to_float8

pytestmark = pytest.mark.gpu(interpreter=True)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HALF = torch.float16
# The tolerance for half precision's rounding of numbers of about 1.
ROUNDING = 2e-3
HEADS, WIDTH = 3, 64
# Lengths that are no whole number of blocks, and less than one.
PLACES = (203, 20)


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if DEVICE.type == "cpu":
        mend_conversion_to_float8(monkeypatch)
    with torch.inference_mode(), DEVICE:
        yield


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = HALF) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), device="cpu").to(DEVICE, dtype)


def unfinished(rows: int) -> torch.Tensor:
    return torch.zeros(rows, dtype=torch.bool)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("group", [1, 5, kernels.MAX_QUERIES])
@pytest.mark.parametrize(("dtype", "off"), [(HALF, ROUNDING), (torch.float32, 1e-5)])
def test_the_audio_is_attended_to_as_torch_does(group: int, places: int, dtype: torch.dtype, off: float) -> None:
    queries = drawn(2, group, HEADS * WIDTH, seed=1, dtype=dtype)
    keys, values = (drawn(2, HEADS, places, WIDTH, seed=seed, dtype=dtype) for seed in (2, 3))
    exact = [x.double() for x in (split_heads(queries, HEADS), keys, values)]
    wanted = scaled_dot_product_attention(*exact).transpose(1, 2).flatten(2)
    found = kernels.cross_attention(queries, keys, values)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=off)


def in_float8(
    seed: int, slots: int, places: int, dtype: torch.dtype = HALF
) -> tuple[torch.Tensor, torch.Tensor, Float8Tensors]:
    """Return keys and values as a layer computes them, and empty tensors for them in 8 bits."""
    keys, values = (
        split_heads(drawn(slots, places, HEADS * WIDTH, seed=one, dtype=dtype), HEADS) for one in (seed, seed + 1)
    )
    return keys, values, float8.allocate((slots, HEADS), places, WIDTH, DEVICE)


@pytest.mark.parametrize(
    ("group", "places", "dtype", "off"),
    [
        (1, PLACES[0], HALF, ROUNDING),
        (5, PLACES[1], HALF, ROUNDING),
        (kernels.MAX_QUERIES, PLACES[0], torch.float32, 1e-5),
    ],
)
def test_audio_in_8_bits_is_attended_to_as_torch_does(group: int, places: int, dtype: torch.dtype, off: float) -> None:
    queries = drawn(2, group, HEADS * WIDTH, seed=1, dtype=dtype)
    keys, values, cache = in_float8(2, 2, places, dtype)
    float8.quantize(keys, values, cache)
    exact = [split_heads(queries, HEADS).double(), *float8.dequantize(cache, torch.float64)]
    wanted = scaled_dot_product_attention(*exact).transpose(1, 2).flatten(2)
    found = kernels.cross_attention(queries, *cache)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=off)


@pytest.mark.parametrize(("places", "spread"), [(PLACES[0], 1.0), (PLACES[1], 1e-3), (PLACES[1], 1e3)])
def test_keys_and_values_are_written_in_8_bits_as_by_torch(places: int, spread: float) -> None:
    keys, values, wanted = in_float8(1, 3, places)
    found = Float8Tensors(*(torch.zeros_like(one) for one in wanted))
    float8.quantize(keys * spread, values * spread, wanted)
    kernels.quantize(keys * spread, values * spread, found)
    torch.testing.assert_close(found.scales, wanted.scales, rtol=1e-6, atol=0)
    # A GPU divides with a last bit of its own, and what lies in the middle between two numbers may become the other.
    for one, other in ((found.keys, wanted.keys), (found.values, wanted.values)):
        assert (one.float() != other.float()).float().mean() < 1e-3
        torch.testing.assert_close(one.float(), other.float(), rtol=1 / 8, atol=0)


def test_only_the_slots_that_are_written_change() -> None:
    keys, values, cache = in_float8(1, 4, 20)
    float8.quantize(keys, values, cache)
    before = [one.clone() for one in cache]
    kernels.quantize(keys[:2] * 3, values[:2] * 3, Float8Tensors(*(one[1:3] for one in cache)))
    for one, other in zip(cache, before, strict=True):
        assert torch.equal(one[[0, 3]].float(), other[[0, 3]].float())
        assert not torch.equal(one[[1, 2]].float(), other[[1, 2]].float())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, which the interpreter computes with
def test_a_number_that_is_none_is_none_in_8_bits() -> None:
    keys, values, cache = in_float8(1, 1, 20)
    keys[0, 1, 5, 7] = float("inf")
    kernels.quantize(keys, values, cache)
    found = kernels.cross_attention(drawn(1, 1, HEADS * WIDTH), *cache).view(HEADS, WIDTH)
    assert found[1].isnan().all()
    assert not found[[0, 2]].isnan().any()


def test_audio_in_8_bits_of_a_slot_that_is_finished_is_not_read() -> None:
    queries, (keys, values, cache) = drawn(3, 2, HEADS * WIDTH), in_float8(2, 3, 203)
    float8.quantize(keys, values, cache)
    wanted = kernels.cross_attention(queries, *cache)
    cache.scales[1] = float("nan")
    finished = unfinished(6)
    finished[2:4] = True
    found = kernels.cross_attention(queries, *cache, finished=finished)
    assert torch.equal(found[[0, 2]], wanted[[0, 2]])
    assert not found[1].any()


def test_high_scores_do_not_overflow() -> None:
    queries, keys = (drawn(1, *shape) * 30 for shape in ((1, HEADS * WIDTH), (HEADS, 203, WIDTH)))
    values = drawn(1, HEADS, 203, WIDTH, seed=3)
    exact = [x.double() for x in (split_heads(queries, HEADS), keys, values)]
    wanted = scaled_dot_product_attention(*exact).transpose(1, 2).flatten(2)
    torch.testing.assert_close(kernels.cross_attention(queries, keys, values).double(), wanted, rtol=0, atol=ROUNDING)


def test_the_audio_of_a_slot_that_is_finished_is_not_read() -> None:
    slots, group = 4, 2
    queries = drawn(slots, group, HEADS * WIDTH, seed=1)
    keys, values = (drawn(slots, HEADS, 203, WIDTH, seed=seed) for seed in (2, 3))
    wanted = kernels.cross_attention(queries, keys, values)
    finished = unfinished(slots * group)
    finished[2:5] = True  # both rows of the second slot, and one of the third
    keys[1], values[1] = float("nan"), float("nan")
    found = kernels.cross_attention(queries, keys, values, finished=finished)
    assert torch.equal(found[[0, 2, 3]], wanted[[0, 2, 3]])
    assert not found[1].any()


def test_a_row_that_is_finished_reads_and_writes_no_text() -> None:
    rows, context = 3, 40
    qkv = drawn(rows, 3 * HEADS * WIDTH, seed=1)
    cache = tuple(drawn(rows, HEADS, context, WIDTH, seed=seed) for seed in (2, 3))
    sources, positions = torch.zeros(rows, context, dtype=torch.int8), torch.full((rows,), 20)
    keys, values = (one.clone() for one in cache)
    wanted = kernels.self_attention(qkv, keys, values, sources.clone(), positions, 1)
    finished = unfinished(rows)
    finished[1] = True
    keys, values = (one.clone() for one in cache)
    keys[1], values[1] = float("nan"), float("nan")
    found = kernels.self_attention(qkv, keys, values, sources, positions, 1, finished)
    assert torch.equal(found[[0, 2]], wanted[[0, 2]])
    assert not found[1].any()
    assert keys[1].isnan().all()


@pytest.mark.parametrize("position", [0, 1, 15, 16, 17, 31, 32, 33, 99])
@pytest.mark.parametrize("dtype", [HALF, torch.float32])
def test_a_token_sees_its_text_and_is_kept(position: int, dtype: torch.dtype) -> None:
    rows, context = 4, 100
    dims = ModelDimensions(80, 203, HEADS * WIDTH, HEADS, 1, 51865, context, HEADS * WIDTH, HEADS, 1)
    reference = SelfAttention(SimpleNamespace(dims=dims, device=DEVICE), dtype)
    qkv, positions = drawn(rows, 3 * HEADS * WIDTH, seed=1, dtype=dtype), torch.full((rows,), position)
    positions[0] = 0
    cache = tuple(drawn(rows, HEADS, context, WIDTH, seed=seed, dtype=dtype) for seed in (2, 3))
    mine = [one.clone() for one in cache]
    wanted = reference.step(
        0, qkv, positions, reference.mask(positions, context), tuple(one[None] for one in cache), 1, unfinished(rows)
    )
    sources = torch.zeros(rows, context, dtype=torch.int8)
    found = kernels.self_attention(qkv, mine[0], mine[1], sources, positions, group=1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=ROUNDING if dtype is HALF else 1e-5)
    for one, other in zip(mine, cache, strict=True):
        assert torch.equal(one, other)


def test_a_row_reads_from_where_its_text_is_kept() -> None:
    group, context, position = 3, 40, 37
    qkv = drawn(2 * group, 3 * HEADS * WIDTH, seed=1, dtype=torch.float32)
    keys, values = (drawn(2 * group, HEADS, context, WIDTH, seed=seed, dtype=torch.float32) for seed in (2, 3))
    sources = drawn(2 * group, context, seed=4).abs().mul(10).to(torch.int8) % group
    positions = torch.full((2 * group,), position)
    place = torch.arange(context)
    own = (torch.arange(2 * group) // group * group)[:, None] + sources.long()
    own_keys, own_values = (one[own, :, place].transpose(1, 2).contiguous() for one in (keys, values))
    straight = torch.zeros(2 * group, context, dtype=torch.int8)
    wanted = kernels.self_attention(qkv, own_keys, own_values, straight, positions, group=1)
    found = kernels.self_attention(qkv, keys, values, sources, positions, group)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert sources[:, position].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("width", [128, 384, 1280])
def test_sums_are_those_of_torch_and_norms_too(width: int) -> None:
    norm = torch.nn.LayerNorm(width).requires_grad_(False)
    norm.weight.copy_(drawn(width, seed=1))
    norm.bias.copy_(drawn(width, seed=2))
    hidden, update = drawn(3, 2, width, seed=3) * 20 + 7, drawn(3, 2, width, seed=4)
    added, normed = kernels.add_and_norm(hidden, update, norm)
    wanted = add_and_norm(hidden, update, norm)
    assert torch.equal(added, wanted[0])
    torch.testing.assert_close(normed, wanted[1], rtol=1e-3, atol=ROUNDING)
