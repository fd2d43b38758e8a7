"""Self-attention that never copies a row attends to what self-attention with copied rows attends to."""

import types
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.model.self_attention import NumbaSelfAttention, SelfAttention
from whisper.model import ModelDimensions

LAYERS, WIDTH, HEADS, CONTEXT = 2, 24, 3, 40


def model() -> Any:
    dims = ModelDimensions(80, 1500, WIDTH, HEADS, 1, 100, CONTEXT, WIDTH, HEADS, LAYERS)
    return types.SimpleNamespace(dims=dims, device=torch.device("cpu"))


def written(one: SelfAttention, prompts: torch.Tensor, rows: int, group: int) -> tuple[torch.Tensor, ...]:
    """Return a cache with prompts, (2, layers, slots, heads, length, head width), in it."""
    cache = one.allocate(rows)
    for layer in range(LAYERS):
        keys, values = prompts[:, layer]
        one.write(layer, keys, values, cache, slice(0, prompts.shape[2] * group))
    return cache


@pytest.mark.parametrize(("slots", "group"), [(3, 1), (2, 5), (1, 2)])
def test_rows_that_continue_others_see_the_same_text(slots: int, group: int) -> None:
    torch.manual_seed(group)
    rows, length = slots * group, 4
    both = [SelfAttention(model(), torch.float32), NumbaSelfAttention(model())]
    prompts = torch.randn(2, LAYERS, slots, HEADS, length, WIDTH // HEADS)
    caches = [written(one, prompts, rows + group, group) for one in both]
    unfinished = torch.zeros(rows, dtype=torch.bool)
    for position in range(length, CONTEXT):
        positions = torch.full((rows,), position)
        for layer in range(LAYERS):
            qkv = torch.randn(rows, 3 * WIDTH)
            plain, numba = (
                one.step(layer, qkv, positions, one.mask(positions, CONTEXT), cache, group, unfinished)
                for one, cache in zip(both, caches, strict=True)
            )
            torch.testing.assert_close(numba, plain, rtol=0, atol=1e-5)
        source = torch.arange(rows) // group * group + torch.randint(group, (rows,))
        for one, cache in zip(both, caches, strict=True):
            one.reorder(cache, source, position + 1)


def test_windows_at_different_places_and_a_moved_one_see_their_own_text() -> None:
    torch.manual_seed(1)
    group, slots = 2, 3
    both = [SelfAttention(model(), torch.float32), NumbaSelfAttention(model())]
    prompts = torch.randn(2, LAYERS, slots, HEADS, 9, WIDTH // HEADS)
    caches = [written(one, prompts, slots * group, group) for one in both]
    positions = torch.tensor([9, 9, 3, 3, 6, 6])
    qkv, unfinished = torch.randn(6, 3 * WIDTH), torch.zeros(6, dtype=torch.bool)
    for one, cache in zip(both, caches, strict=True):
        for layer in range(LAYERS):
            one.step(layer, qkv, positions, one.mask(positions, 16), cache, group, unfinished)
        one.reorder(cache, torch.tensor([1, 1, 3, 2, 4, 4]), 10)
        one.move(cache, slice(4, 6), slice(0, 2), 7)
    positions = torch.tensor([7, 7, 4, 4])
    plain, numba = (
        one.step(1, qkv[:4], positions, one.mask(positions, 16), cache, group, unfinished[:4])
        for one, cache in zip(both, caches, strict=True)
    )
    torch.testing.assert_close(numba, plain, rtol=0, atol=1e-5)


def test_a_finished_row_gets_zeros_and_leaves_the_cache_as_it_is() -> None:
    one = NumbaSelfAttention(model())
    cache = one.allocate(2)
    positions = torch.tensor([0, 0])
    out = one.step(0, torch.randn(2, 3 * WIDTH), positions, positions, cache, 1, torch.tensor([True, False]))
    for tensor in (out, cache[0][0], cache[1][0]):
        assert [bool(row.any()) for row in tensor] == [False, True]
