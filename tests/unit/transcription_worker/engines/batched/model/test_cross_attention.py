"""Attention over the audio's features is the attention over the keys and values that a layer makes of them."""

from typing import Any

import numpy as np
import pytest
import torch
from transcription_api.spec import Precision
from transcription_worker.engines.batched.kernels.cross_attention_cpu import attend_to_audio, panel_shapes, write_panels
from transcription_worker.engines.batched.kernels.exponentials_cpu import exponentials
from transcription_worker.engines.batched.kernels.product_tile_cpu import COLUMNS
from transcription_worker.engines.batched.model.backend import choose_backend
from transcription_worker.engines.batched.model.cross_attention import (
    MAX_FEATURE_QUERIES,
    CrossAttention,
    NumbaCrossAttention,
    split_heads,
)
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.float8_attention import Float8CrossAttention
from transcription_worker.engines.batched.scheduling import capacity
from transcription_worker.engines.batched.scheduling.capacity import window_bytes
from whisper.model import ModelDimensions, Whisper

# A number of positions that is a multiple neither of the block nor of four.
PLACES = 203


@pytest.mark.parametrize("rows", [1, 6, 7, 40])
@pytest.mark.parametrize("places", [PLACES, 64, 3])
@pytest.mark.parametrize("spread", [0.1, 3.0])
@pytest.mark.parametrize(("heads", "size"), [(1, 40), (3, 16)])
def test_the_numba_kernel_is_a_softmax_between_two_products(
    rows: int, places: int, spread: float, heads: int, size: int
) -> None:
    generator, width = torch.Generator().manual_seed(rows), heads * size
    queries = torch.randn(3, rows, width, generator=generator) * spread
    keys, values = (torch.randn(3, places, width, generator=generator) for _ in range(2))
    panels = [np.zeros((3, heads, *shape), dtype=np.float32) for shape in panel_shapes(places, size)]
    write_panels(keys.numpy(), values.numpy(), panels[0], panels[1])
    out = torch.full_like(queries, 7.0)
    attend_to_audio(queries.numpy(), 0.5, panels[0], panels[1], places, out.numpy())
    split = [split_heads(one.double(), heads) for one in (queries, keys, values)]
    wanted = (0.5 * split[0] @ split[1].mT).softmax(dim=-1) @ split[2]
    torch.testing.assert_close(split_heads(out.double(), heads), wanted, rtol=0, atol=2e-6 * spread * 10)


def test_exponentials_are_right_to_what_a_float_can_tell_beside_the_highest() -> None:
    values = np.linspace(-50.0, 0.0, 10_001, dtype=np.float32)
    wanted = np.exp(values.astype(np.float64))
    found = values.copy()
    total = exponentials(found, found.shape[0], np.float32(0.0), np.empty_like(found))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-7)
    assert total == pytest.approx(wanted.sum(), rel=1e-6)


def random_model(heads: int) -> Any:
    dims = ModelDimensions(
        n_mels=80, n_audio_ctx=PLACES, n_audio_state=48, n_audio_head=heads, n_audio_layer=1,
        n_vocab=51865, n_text_ctx=448, n_text_state=48, n_text_head=heads, n_text_layer=2,
    )  # fmt: skip
    torch.manual_seed(heads)
    model = Whisper(dims)
    for block in model.decoder.blocks:
        for projection in (block.cross_attn.query, block.cross_attn.key, block.cross_attn.value):
            torch.nn.init.normal_(projection.weight, std=0.2)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("heads", [3, 4])
@pytest.mark.parametrize(("slots", "group"), [(1, 1), (4, 1), (4, 5), (2, MAX_FEATURE_QUERIES)])
def test_a_step_adds_what_keys_and_values_add(heads: int, slots: int, group: int) -> None:
    model = random_model(heads)
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(slots, PLACES, 48, generator=generator)
    hidden = torch.randn(slots * group, 48, generator=generator)
    unfinished = torch.zeros(slots * group, dtype=torch.bool)
    added = []
    for one in (CrossAttention(model, torch.float32), NumbaCrossAttention(model)):
        cache = one.allocate(slots + 1, group)
        one.write(features, cache, slice(0, slots))
        added.append([one.step(layer, hidden, cache, slots, unfinished) for layer in range(2)])
    for layer in range(2):
        torch.testing.assert_close(added[1][layer], added[0][layer], rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 60])
@pytest.mark.parametrize("group", [1, 5])
@pytest.mark.parametrize("heads", [3, 4, 6])
def test_prompts_of_any_length_add_what_keys_and_values_add(length: int, group: int, heads: int) -> None:
    model = random_model(heads)
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, PLACES, 48, generator=generator)
    hidden = torch.randn(2, length, 48, generator=generator)
    plain, features_only = CrossAttention(model, torch.float32), NumbaCrossAttention(model)
    slots = slice(1, 3)
    for layer in range(2):
        wanted = plain.forward(layer, hidden, features)
        cache = features_only.allocate(3, group)
        features_only.write(features, cache, slots)
        torch.testing.assert_close(features_only.prefill(layer, hidden, cache, slots), wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(features_only.forward(layer, hidden, features), wanted, rtol=0, atol=1e-5)


def test_beams_of_many_heads_are_cached_as_keys_and_values_which_are_read_more_quickly() -> None:
    model = random_model(4)
    one = NumbaCrossAttention(model)
    assert [one.allocate(2, group)[0].shape[0] for group in (1, 4, 5)] == [1, 1, model.dims.n_text_layer]


def test_a_window_is_cached_once_for_all_layers_where_keys_and_values_are_cached_for_each() -> None:
    model, whole_panels = random_model(4), -(-PLACES // COLUMNS) * COLUMNS
    numbers = []
    for dtype in (torch.float32, torch.bfloat16):
        cache = choose_backend(model, dtype).cross_attention(model, dtype).allocate(2)
        numbers.append(sum(one.numel() for one in cache))
    assert numbers == [2 * 2 * whole_panels * 48, 2 * 2 * model.dims.n_text_layer * PLACES * 48]


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [
        (torch.float32, Precision.FLOAT32),
        (torch.bfloat16, Precision.BFLOAT16),
        (torch.float32, Precision.FLOAT8),
        (torch.float16, Precision.FLOAT8),
    ],
)
@pytest.mark.parametrize("group", [1, 5])
def test_the_memory_that_a_window_is_said_to_take_is_what_it_takes(
    dtype: torch.dtype, precision: Precision, group: int
) -> None:
    model = random_model(4)
    allocate_cache = Decoder(model, dtype, choose_backend(model, dtype, precision)).allocate_cache(1, group)
    taken = sum(one.numel() * one.itemsize for one in (*allocate_cache.self_attention, *allocate_cache.cross_attention))
    assert window_bytes(model.dims, group, dtype, torch.device("cpu"), precision) == taken


@pytest.mark.parametrize(("slots", "group"), [(1, 1), (4, 5)])
def test_keys_and_values_of_8_bits_add_nearly_what_exact_ones_add(slots: int, group: int) -> None:
    model = random_model(4)
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(slots, PLACES, 48, generator=generator)
    hidden = torch.randn(slots * group, 48, generator=generator)
    unfinished = torch.zeros(slots * group, dtype=torch.bool)
    exact, eight = CrossAttention(model, torch.float32), Float8CrossAttention(model, torch.float32)
    caches = [one.allocate(slots + 1, group) for one in (exact, eight)]
    for one, cache in zip((exact, eight), caches, strict=True):
        one.write(features, cache, slice(1, slots + 1))
    for layer in range(2):
        prompts = hidden.view(slots, group, -1)
        wanted, found = (
            one.prefill(layer, prompts, cache, slice(1, slots + 1))
            for one, cache in zip((exact, eight), caches, strict=True)
        )
        assert 0 < (found - wanted).norm() / wanted.norm() < 0.1
        moved = tuple(one[:, 1:] for one in caches[1])
        assert torch.equal(eight.step(layer, hidden, moved, slots, unfinished), found.flatten(0, 1))
        # What is not cached, such as what words are timed by, has all its bits.
        assert torch.equal(eight.forward(layer, prompts, features), exact.forward(layer, prompts, features))


def test_more_cores_decode_more_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dims, cpu = random_model(4).dims, torch.device("cpu")
    monkeypatch.setattr(capacity, "free_host_bytes", lambda: 1 << 40)
    for threads, windows in ((1, 16), (2, 16), (8, 64)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert capacity.window_count(dims, 5, torch.float32, cpu) == windows
    monkeypatch.setattr(capacity, "free_host_bytes", lambda: 0)
    assert capacity.window_count(dims, 5, torch.float32, cpu) == 1
