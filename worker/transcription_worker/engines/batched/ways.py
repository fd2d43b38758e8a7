"""Which ways a decoder takes on the device at hand: loops on a CPU, kernels of ours on a GPU where they are trusted, or torch."""

import dataclasses
import logging
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from transcription_worker.engines.batched.compiled import has_loops
from transcription_worker.engines.batched.hearing import FeaturesOnly, Hearing, by_head
from transcription_worker.engines.batched.norms import AddAndNorm, add_and_norm
from transcription_worker.engines.batched.remembering import Remembering
from transcription_worker.engines.batched.trial import Clock, Contest, graph_seconds, trusted

log = logging.getLogger(__name__)

# What kernels are tried on: so many windows of one row each, at this position of their text.
SLOTS, POSITION, LENGTH = 32, 100, 128


@dataclass(frozen=True)
class Ways:
    """To hear the audio, to remember the text, and to add what a block makes of both; the first two for a model and a type."""

    hearing: Callable[[Any, torch.dtype], Hearing] = Hearing
    remembering: Callable[[Any, torch.dtype], Remembering] = Remembering
    add_and_norm: AddAndNorm = add_and_norm


def choose_ways(model: Any, dtype: torch.dtype) -> Ways:
    """For the device that the model is on. On a GPU in half precision this takes some seconds where no kernel is kept."""
    device = torch.device(model.device)
    if has_loops(dtype, device):
        return Ways(hearing=FeaturesOnly)
    if device.type != "cuda" or dtype is torch.float32:
        return Ways()
    try:
        from transcription_worker.engines.batched import gpu_kernels, gpu_steps
    except ImportError as error:
        log.warning("decoding by torch's kernels: %s", error)
        return Ways()
    return try_kernels(model.dims, dtype, device, gpu_kernels, gpu_steps, graph_seconds)


def try_kernels(dims: Any, dtype: torch.dtype, device: torch.device, kernels: Any, steps: Any, clock: Clock) -> Ways:
    """Each of ours that is right and quicker than torch's."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device)

    contests = (
        audio_contest(dims, draw, kernels),
        text_contest(dims, dtype, device, draw, steps),
        norm_contest(dims, device, draw, kernels),
    )
    audio, text, norm = (trusted(contest, clock) for contest in contests)
    return Ways(
        steps.HearingOnGpu if audio else Hearing,
        steps.RememberingOnGpu if text else Remembering,
        kernels.add_and_norm if norm else add_and_norm,
    )


def audio_contest(dims: Any, draw: Callable[..., Tensor], kernels: Any) -> Contest:
    """One query of each of SLOTS windows."""
    heads, width = dims.n_text_head, dims.n_text_state // dims.n_text_head
    queries = draw(SLOTS, 1, dims.n_text_state)
    keys, values = (draw(SLOTS, heads, dims.n_audio_ctx, width) for _ in range(2))

    def torchs() -> Tensor:
        return scaled_dot_product_attention(by_head(queries, heads), keys, values).transpose(1, 2).flatten(2)

    return Contest("attention to the audio", lambda: kernels.attend_audio(queries, keys, values), torchs)


def text_contest(
    dims: Any, dtype: torch.dtype, device: torch.device, draw: Callable[..., Tensor], steps: Any
) -> Contest:
    """One token of each of SLOTS rows, all at POSITION."""
    model = types.SimpleNamespace(dims=dataclasses.replace(dims, n_text_layer=1), device=device)
    projected = draw(SLOTS, 3 * dims.n_text_state)
    positions = torch.full((SLOTS,), POSITION, device=device)
    before = None

    def side(one: Remembering) -> Callable[[], Tensor]:
        nonlocal before
        kept = one.empty(SLOTS)
        before = before or [draw(*whole.shape) for whole in kept[:2]]
        for whole, drawn in zip(kept, before, strict=False):
            whole.copy_(drawn)
        reach = one.reach(positions, LENGTH)
        return lambda: one.step(0, projected, positions, reach, kept, group=1)

    return Contest("attention to the text", side(steps.RememberingOnGpu(model, dtype)), side(Remembering(model, dtype)))


def norm_contest(dims: Any, device: torch.device, draw: Callable[..., Tensor], kernels: Any) -> Contest:
    """One token of each of SLOTS rows."""
    hidden, more = draw(SLOTS, dims.n_text_state), draw(SLOTS, dims.n_text_state)
    norm = torch.nn.LayerNorm(dims.n_text_state, device=device)
    return Contest(
        "sums and norms",
        lambda: torch.stack(kernels.add_and_norm(hidden, more, norm)),
        lambda: torch.stack(add_and_norm(hidden, more, norm)),
    )
