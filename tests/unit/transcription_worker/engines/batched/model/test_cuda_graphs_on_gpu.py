"""A lane over our kernels for a GPU decodes what it decodes over torch's operations.

Run like kernels/test_triton_kernels_on_gpu.py: on a GPU, or in Triton's interpreter.
"""

import dataclasses
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched.kernels import triton_kernels
from transcription_worker.engines.batched.model import attention_cuda
from transcription_worker.engines.batched.model.backend import Ways, cudnn_first, try_kernels, without_cudnn
from transcription_worker.engines.batched.model.cross_attention import Hearing
from transcription_worker.engines.batched.model.cuda_graphs import Replays
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.encoder import Encoder
from transcription_worker.engines.batched.model.self_attention import Remembering
from transcription_worker.engines.batched.requests import Decode
from transcription_worker.engines.batched.scheduling.decode_batch import Lane, Prepared, prepare
from whisper.decoding import DecodingOptions, DecodingResult
from whisper.model import ModelDimensions, Whisper

pytestmark = pytest.mark.gpu(interpreter=True)

PLACES, WIDTH, HEADS = 70, 48, 3
DIMENSIONS = ModelDimensions(80, PLACES, WIDTH, HEADS, 2, 51865, 40, WIDTH, HEADS, 2)
OURS = Ways(
    attention_cuda.HearingOnGpu,
    attention_cuda.RememberingOnGpu,
    triton_kernels.add_and_norm,
    without_cudnn,
    cudnn_first,
)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _there() -> Iterator[None]:
    with torch.inference_mode(), DEVICE:
        yield


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), device="cpu").to(DEVICE)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(5)
    made = Whisper(DIMENSIONS).to(DEVICE).eval().requires_grad_(False)
    # So that what comes next depends on the audio and the text before more than on the last token.
    for weight in made.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return made


# Tokens of each window. The last one is admitted first and is soon done: the next one moves to its slot, with most of its text to come.
LENGTHS = (8, 14, 4)


def lane_of(
    model: Any, ways: Ways, options: DecodingOptions, slots: int
) -> tuple[Lane[int], list[tuple[int, Prepared]]]:
    """A lane with so much room, and windows for it with their numbers."""
    decoder = Decoder(model, torch.float32, ways)
    compute: Any = types.SimpleNamespace(
        model=model, dtype=torch.float32, device=DEVICE, decoder=decoder, no_speech_token=50362
    )
    waiting = [
        prepare(model, Decode(drawn(PLACES, WIDTH, seed=seed), dataclasses.replace(options, sample_len=length), seed))
        for seed, length in enumerate(LENGTHS)
    ]
    return Lane(compute, waiting[0].kind, slots), list(enumerate(waiting))


def decoded(model: Any, ways: Ways, options: DecodingOptions) -> list[DecodingResult]:
    """Three windows in a lane of two slots: the third comes when one is done."""
    lane, todo = lane_of(model, ways, options, slots=2)
    found: dict[int, DecodingResult] = {}
    while todo or lane.busy:
        if todo and lane.room:
            number, prepared = todo.pop()
            lane.admit([(prepared, number)])
        lane.launch()
        found |= {number: one.result for number, one in lane.collect()}
    return [found[number] for number in range(len(LENGTHS))]


def test_a_window_that_is_admitted_after_a_launch_is_not_looked_at_before_the_next(model: Any) -> None:
    lane, todo = lane_of(model, OURS, DecodingOptions(language="en", fp16=False), slots=2)
    lane.admit([(todo[0][1], 0)])
    lane.launch()
    lane.admit([(todo[1][1], 1)])
    # As the slot was before: what a GPU may still hold there while it reads the prompt.
    lane._rows.finished[1] = True
    assert lane.collect() == []
    assert [number for _, number in lane.held] == [0, 1]


@pytest.mark.parametrize("beams", [None, 4])
def test_windows_are_decoded_as_by_torch(model: Any, beams: int | None) -> None:
    options = DecodingOptions(language="en", beam_size=beams, fp16=False)
    wanted = decoded(model, Ways(), options)
    found = decoded(model, OURS, options)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.avg_logprob for one in found] == pytest.approx([one.avg_logprob for one in wanted], abs=1e-4)
    assert len({tuple(one.tokens) for one in found}) == 3


@pytest.mark.skipif(DEVICE.type == "cpu", reason="a CPU records nothing")
@pytest.mark.parametrize("beams", [None, 4])
def test_recorded_steps_give_what_steps_give(model: Any, beams: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    options = DecodingOptions(language="en", beam_size=beams, fp16=False)
    found = decoded(model, OURS, options)
    monkeypatch.setattr(Replays, "run", lambda _self, _key, action: action())
    wanted = decoded(model, OURS, options)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]


@pytest.mark.skipif(DEVICE.type != "cpu", reason="it looks at values that a GPU is still to compute")
def test_beams_change_places_in_these_windows(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would not see a row that reads its text from another."""
    moved = []
    follow = Remembering.follow

    def watched(one: Remembering, kept: Any, source: torch.Tensor, length: int) -> None:
        moved.append(bool((source != torch.arange(source.shape[0])).any()))
        follow(one, kept, source, length)

    monkeypatch.setattr(Remembering, "follow", watched)
    decoded(model, Ways(), DecodingOptions(language="en", beam_size=4, fp16=False))
    assert sum(moved) > 5


def test_more_queries_than_a_tile_has_rows_go_torchs_way(model: Any) -> None:
    group = triton_kernels.QUERIES + 1
    hidden = drawn(2 * group, WIDTH, seed=1)
    features = drawn(2, PLACES, WIDTH, seed=2)
    seen = []
    for one in (Hearing(model, torch.float32), attention_cuda.HearingOnGpu(model, torch.float32)):
        kept = one.empty(2)
        one.write(features, kept, slice(0, 2))
        seen.append(one.step(0, hidden, kept, 2))
    assert torch.equal(seen[0], seen[1])


def test_the_encoder_is_openai_whispers(model: Any) -> None:
    mels = drawn(2, 80, 2 * PLACES, seed=3)
    wanted = model.encoder(mels)
    for ways in (Ways(), OURS):
        torch.testing.assert_close(Encoder(model, torch.float32, ways)(mels), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("quicker", "context"), [(True, 160), (False, 160), (True, 40)])
def test_kernels_that_are_right_are_taken_where_they_are_quicker(quicker: bool, context: int) -> None:
    clock = iter([1.0, 2.0] * 4 if quicker else [2.0, 1.0] * 4)
    dims = ModelDimensions(80, PLACES, 64, 2, 2, 51865, context, 64, 2, 2)
    ways = try_kernels(dims, torch.float16, DEVICE, triton_kernels, attention_cuda, lambda _: next(clock))
    assert ways == (OURS if quicker else Ways(attending=without_cudnn))
