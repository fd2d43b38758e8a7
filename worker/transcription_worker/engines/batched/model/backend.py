"""Which ways a decoder takes on the device at hand: loops on a CPU, kernels of ours on a GPU where they are trusted, or torch."""

import contextlib
import dataclasses
import logging
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.kernels.kernel_trial import Clock, Contest, graph_seconds, trusted
from transcription_worker.engines.batched.kernels.numba_jit import has_loops
from transcription_worker.engines.batched.model.cross_attention import FeaturesOnly, Hearing, Kept, by_head
from transcription_worker.engines.batched.model.layer_norm import AddAndNorm, add_and_norm
from transcription_worker.engines.batched.model.self_attention import Remembering

log = logging.getLogger(__name__)

# Windows in one run of the encoder. Larger batches were not faster; on a GPU the activations of 16 take 0.25 GB at width 1280.
ENCODER_BATCH_CPU = 4
ENCODER_BATCH_GPU = 16

# What kernels are tried on: so many windows of one row each, at this position of their text.
SLOTS, POSITION, LENGTH = 32, 100, 128


@dataclass(frozen=True)
class Ways:
    """To hear the audio and to remember the text, for a model and a type; to add what a block makes of both; and contexts in which
    all attention is computed, and the encoder's inside it.
    """

    hearing: Callable[[Any, torch.dtype], Hearing] = Hearing
    remembering: Callable[[Any, torch.dtype], Remembering] = Remembering
    add_and_norm: AddAndNorm = add_and_norm
    attending: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    encoding: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext


def choose_ways(model: Any, dtype: torch.dtype) -> Ways:
    """For the device that the model is on. On a GPU in half precision this takes some seconds where no kernel is kept."""
    device = torch.device(model.device)
    if has_loops(dtype, device):
        return Ways(hearing=FeaturesOnly)
    if device.type != "cuda":
        return Ways()
    plain = Ways(attending=without_cudnn)
    if dtype is torch.float32:
        return plain
    try:
        from transcription_worker.engines.batched.kernels import triton_kernels
        from transcription_worker.engines.batched.model import attention_cuda
    except ImportError as error:
        log.warning("decoding by torch's kernels: %s", error)
        return plain
    with torch.inference_mode(), without_cudnn():
        ways = try_kernels(model.dims, dtype, device, triton_kernels, attention_cuda, graph_seconds)
    torch.cuda.empty_cache()  # what the trial took counts as free when the windows are counted
    return ways


def try_kernels(dims: Any, dtype: torch.dtype, device: torch.device, kernels: Any, steps: Any, clock: Clock) -> Ways:
    """Each of ours that is right and quicker than torch's."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device)

    audio = trusted("attention to the audio by our kernel", lambda: audio_contest(dims, draw, kernels), clock)
    text = trusted("attention to the text by our kernel", lambda: text_contest(dims, dtype, device, draw, steps), clock)
    norm = trusted("sums and norms by our kernel", lambda: norm_contest(dims, device, draw, kernels), clock)
    encoder = trusted("attention in the encoder by cuDNN", lambda: encoder_contest(dims, draw), clock)
    return Ways(
        steps.HearingOnGpu if audio else Hearing,
        steps.RememberingOnGpu if text else Remembering,
        kernels.add_and_norm if norm else add_and_norm,
        without_cudnn,
        cudnn_first if encoder else contextlib.nullcontext,
    )


# Attention by torch's own kernels, the first that can.
TORCHS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def without_cudnn() -> AbstractContextManager[None]:
    """For shapes that change: cuDNN makes a plan for each new one, which takes the host longer than a step takes the GPU."""
    others: AbstractContextManager[None] = sdpa_kernel(TORCHS, set_priority=True)
    return others


def cudnn_first() -> AbstractContextManager[None]:
    """For the encoder, whose windows all have one length; whether torch takes it by itself depends on the version and the GPU."""
    first: AbstractContextManager[None] = sdpa_kernel([SDPBackend.CUDNN_ATTENTION, *TORCHS], set_priority=True)
    return first


def audio_contest(dims: Any, draw: Callable[..., Tensor], kernels: Any) -> Contest:
    """One query of each of SLOTS windows."""
    heads, width = dims.n_text_head, dims.n_text_state // dims.n_text_head
    queries = draw(SLOTS, 1, dims.n_text_state)
    keys, values = (draw(SLOTS, heads, dims.n_audio_ctx, width) for _ in range(2))

    def torchs() -> Tensor:
        return scaled_dot_product_attention(by_head(queries, heads), keys, values).transpose(1, 2).flatten(2)

    return Contest(lambda: kernels.attend_audio(queries, keys, values), torchs)


def text_contest(
    dims: Any, dtype: torch.dtype, device: torch.device, draw: Callable[..., Tensor], steps: Any
) -> Contest:
    """One token of each of SLOTS rows, all at POSITION or at the end of the context."""
    model = types.SimpleNamespace(dims=dataclasses.replace(dims, n_text_layer=1), device=device)
    projected = draw(SLOTS, 3 * dims.n_text_state)
    length = min(LENGTH, dims.n_text_ctx)
    positions = torch.full((SLOTS,), min(POSITION, length - 1), device=device)
    ours, torchs = steps.RememberingOnGpu(model, dtype), Remembering(model, dtype)
    kept = tuple(draw(*one.shape) for one in torchs.empty(SLOTS))
    of_ours = (*(one.clone() for one in kept), *ours.empty(SLOTS)[2:])

    def side(one: Remembering, its: Kept) -> Callable[[], Tensor]:
        reach = one.reach(positions, length)
        return lambda: one.step(0, projected, positions, reach, its, group=1)

    return Contest(side(ours, of_ours), side(torchs, kept))


def norm_contest(dims: Any, device: torch.device, draw: Callable[..., Tensor], kernels: Any) -> Contest:
    """One token of each of SLOTS rows."""
    hidden, more = draw(SLOTS, dims.n_text_state), draw(SLOTS, dims.n_text_state)
    norm = torch.nn.LayerNorm(dims.n_text_state, device=device)
    return Contest(
        lambda: torch.stack(kernels.add_and_norm(hidden, more, norm)),
        lambda: torch.stack(add_and_norm(hidden, more, norm)),
    )


def encoder_contest(dims: Any, draw: Callable[..., Tensor]) -> Contest:
    """All places of each of ENCODER_BATCH_GPU windows. Both sides are libraries': which is quicker is another one on each GPU."""
    shape = (ENCODER_BATCH_GPU, dims.n_audio_ctx, dims.n_audio_state)
    of_windows = [by_head(draw(*shape), dims.n_audio_head) for _ in range(3)]

    def within(context: Callable[[], AbstractContextManager[None]]) -> Tensor:
        with context():
            return scaled_dot_product_attention(*of_windows)

    return Contest(lambda: within(cudnn_first), lambda: within(without_cudnn))
