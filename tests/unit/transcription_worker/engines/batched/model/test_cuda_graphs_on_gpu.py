"""A decode batch gives with our kernels for a GPU what it gives with torch's operations.

The tests run like those of kernels/test_triton_kernels_on_gpu.py: on a GPU, or in Triton's interpreter.
"""

import dataclasses
import functools
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.kernels import triton_kernels
from transcription_worker.engines.batched.model import attention_cuda
from transcription_worker.engines.batched.model.backend import Backend, choose_kernels, cudnn_first, without_cudnn
from transcription_worker.engines.batched.model.cross_attention import CrossAttention
from transcription_worker.engines.batched.model.cuda_graphs import CudaGraphRunner
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.encoder import Encoder
from transcription_worker.engines.batched.model.encoder_attention import FusedAttention
from transcription_worker.engines.batched.model.float8_attention import Float8CrossAttention
from transcription_worker.engines.batched.model.self_attention import SelfAttention
from transcription_worker.engines.batched.requests import DecodeRequest
from transcription_worker.engines.batched.scheduling.decode_batch import DecodeBatch, PreparedRequest, prepare_request
from whisper.decoding import DecodingOptions, DecodingResult
from whisper.model import ModelDimensions, Whisper

from tests.support.triton_interpreter import mend_conversion_to_float8

pytestmark = pytest.mark.gpu(interpreter=True)

PLACES, WIDTH, HEADS = 70, 48, 3
DIMENSIONS = ModelDimensions(80, PLACES, WIDTH, HEADS, 2, 51865, 40, WIDTH, HEADS, 2)
OURS = Backend(
    attention_cuda.TritonCrossAttention,
    attention_cuda.TritonSelfAttention,
    triton_kernels.add_and_norm,
    without_cudnn,
    cudnn_first,
    FusedAttention,
    pads_vocabulary=True,
)
FLOAT8 = dataclasses.replace(
    OURS, cross_attention=functools.partial(attention_cuda.TritonFloat8CrossAttention, quantize=triton_kernels.quantize)
)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if DEVICE.type == "cpu":
        mend_conversion_to_float8(monkeypatch)
    with torch.inference_mode(), DEVICE:
        yield


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), device="cpu").to(DEVICE)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(5)
    made = Whisper(DIMENSIONS).to(DEVICE).eval().requires_grad_(False)
    # Let the next token depend on the audio and the text before more than on the last token.
    for weight in made.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return made


# Tokens of each window. The last one is admitted first and is soon done: the next one moves to its slot, with most of its text to come.
LENGTHS = (8, 14, 4)


def batch_of(
    model: Any, backend: Backend, options: DecodingOptions, slots: int
) -> tuple[DecodeBatch[int], list[tuple[int, PreparedRequest]]]:
    """Return a batch with this many slots, and numbered windows for it."""
    decoder = Decoder(model, torch.float32, backend)
    compute: Any = types.SimpleNamespace(
        model=model, dtype=torch.float32, device=DEVICE, decoder=decoder, no_speech_token=50362
    )
    waiting = [
        prepare_request(
            model, DecodeRequest(drawn(PLACES, WIDTH, seed=seed), dataclasses.replace(options, sample_len=length), seed)
        )
        for seed, length in enumerate(LENGTHS)
    ]
    return DecodeBatch(compute, waiting[0].key, slots), list(enumerate(waiting))


def decoded(model: Any, backend: Backend, options: DecodingOptions) -> list[DecodingResult]:
    """Decode three windows in a batch of two slots; the third is admitted when another one is finished."""
    batch, todo = batch_of(model, backend, options, slots=2)
    found: dict[int, DecodingResult] = {}
    while todo or batch.used_slots:
        if todo and batch.free_slots:
            number, prepared = todo.pop()
            batch.admit([(prepared, number)])
        batch.launch()
        found |= {number: one().result for number, one in batch.collect()}
    return [found[number] for number in range(len(LENGTHS))]


def test_a_window_that_is_admitted_after_a_launch_is_not_checked_before_the_next(model: Any) -> None:
    batch, todo = batch_of(model, OURS, DecodingOptions(language="en", fp16=False), slots=2)
    batch.admit([(todo[0][1], 0)])
    batch.launch()
    batch.admit([(todo[1][1], 1)])
    # Keep what the slot held before, as a GPU may while it reads the prompt.
    batch._state.finished[1] = True
    assert batch.collect() == []
    assert [number for _, number in batch.admitted] == [0, 1]


@pytest.mark.parametrize("beams", [None, 4])
def test_windows_are_decoded_as_by_torch(model: Any, beams: int | None) -> None:
    options = DecodingOptions(language="en", beam_size=beams, fp16=False)
    wanted = decoded(model, Backend(), options)
    found = decoded(model, OURS, options)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.avg_logprob for one in found] == pytest.approx([one.avg_logprob for one in wanted], abs=1e-4)
    assert len({tuple(one.tokens) for one in found}) == 3


def test_windows_in_8_bits_are_decoded_as_by_torch(model: Any) -> None:
    options = DecodingOptions(language="en", beam_size=4, fp16=False)
    wanted = decoded(model, Backend(cross_attention=Float8CrossAttention), options)
    found = decoded(model, FLOAT8, options)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.avg_logprob for one in found] == pytest.approx([one.avg_logprob for one in wanted], abs=1e-4)
    exact = decoded(model, Backend(), options)
    assert [one.avg_logprob for one in found] != pytest.approx([one.avg_logprob for one in exact], abs=1e-4)


@pytest.mark.skipif(DEVICE.type == "cpu", reason="a CPU captures no graphs")
@pytest.mark.parametrize("beams", [None, 4])
@pytest.mark.parametrize("backend", [OURS, FLOAT8], ids=["16 bits", "8 bits"])
def test_captured_steps_give_what_steps_give(
    model: Any, backend: Backend, beams: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DecodingOptions(language="en", beam_size=beams, fp16=False)
    found = decoded(model, backend, options)
    monkeypatch.setattr(CudaGraphRunner, "run", lambda _self, _key, action: action())
    wanted = decoded(model, backend, options)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]


@pytest.mark.skipif(DEVICE.type != "cpu", reason="it reads values that a GPU has yet to compute")
def test_beams_change_places_in_these_windows(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would not notice a row that reads its text from another."""
    reordered = []
    reorder = SelfAttention.reorder

    def watched(one: SelfAttention, cache: Any, source: torch.Tensor, length: int) -> None:
        reordered.append(bool((source != torch.arange(source.shape[0])).any()))
        reorder(one, cache, source, length)

    monkeypatch.setattr(SelfAttention, "reorder", watched)
    decoded(model, Backend(), DecodingOptions(language="en", beam_size=4, fp16=False))
    assert sum(reordered) > 5


def test_more_queries_than_a_tile_has_rows_use_torchs_kernel(model: Any) -> None:
    group = triton_kernels.MAX_QUERIES + 1
    hidden = drawn(2 * group, WIDTH, seed=1)
    features = drawn(2, PLACES, WIDTH, seed=2)
    outputs = []
    for one in (CrossAttention(model, torch.float32), attention_cuda.TritonCrossAttention(model, torch.float32)):
        cache = one.allocate(2)
        one.write(features, cache, slice(0, 2))
        outputs.append(one.step(0, hidden, cache, 2, torch.zeros(2 * group, dtype=torch.bool)))
    assert torch.equal(outputs[0], outputs[1])


def test_the_encoder_is_openai_whispers(model: Any) -> None:
    mels = drawn(2, 80, 2 * PLACES, seed=3)
    wanted = model.encoder(mels)
    for backend in (Backend(), OURS):
        torch.testing.assert_close(Encoder(model, torch.float32, backend)(mels), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("quicker", "context"), [(True, 160), (False, 160), (True, 40)])
def test_kernels_that_are_right_are_taken_where_they_are_quicker(quicker: bool, context: int) -> None:
    clock = iter([1.0, 2.0] * 4 if quicker else [2.0, 1.0] * 4)
    dims = ModelDimensions(80, PLACES, 64, 2, 2, 51865, context, 64, 2, 2)
    backend = choose_kernels(dims, torch.float16, DEVICE, triton_kernels, attention_cuda, lambda _: next(clock))
    plain = Backend(attention_context=without_cudnn, encoder_attention=FusedAttention, pads_vocabulary=True)
    assert backend == (OURS if quicker else plain)


@pytest.mark.parametrize("quicker", [True, False])
def test_kernels_for_8_bits_are_taken_where_they_are_quicker(quicker: bool) -> None:
    clock = iter([1.0, 2.0] * 5 if quicker else [2.0, 1.0] * 5)
    dims = ModelDimensions(80, 20, 32, 1, 2, 51865, 40, 32, 1, 2)
    backend = choose_kernels(dims, torch.float16, DEVICE, triton_kernels, attention_cuda, lambda _: next(clock), True)
    chosen: Any = backend.cross_attention
    if quicker:
        assert chosen.func is attention_cuda.TritonFloat8CrossAttention
        assert chosen.keywords == {"quantize": triton_kernels.quantize}
    else:
        assert chosen is Float8CrossAttention
