"""The backend: which implementations of attention and norms the model uses on the device at hand.

On a CPU in float32 these are numba kernels, on a GPU Triton kernels if they pass their trial, and else torch's operators.
"""

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

from transcription_worker.engines.batched.kernels.kernel_trial import Clock, KernelTrial, graph_seconds, passes_trial
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba
from transcription_worker.engines.batched.model.cross_attention import (
    CacheTensors,
    CrossAttention,
    NumbaCrossAttention,
    split_heads,
)
from transcription_worker.engines.batched.model.encoder_attention import (
    EncoderAttention,
    FusedAttention,
    whisper_attention,
)
from transcription_worker.engines.batched.model.int8_linear import Int8Linear
from transcription_worker.engines.batched.model.layer_norm import AddAndNorm, add_and_norm
from transcription_worker.engines.batched.model.self_attention import SelfAttention

log = logging.getLogger(__name__)

# Windows in one run of the encoder. Larger batches were not faster; on a GPU the activations of 16 take 0.25 GB at width 1280.
ENCODER_BATCH_CPU = 4
ENCODER_BATCH_GPU = 16

# Kernels are tried with this many slots of one row each, at this position of their text.
SLOTS, POSITION, LENGTH = 32, 100, 128


def _unchanged(layer: Any) -> Any:
    return layer


@dataclass(frozen=True)
class Backend:
    """Implementations for a model and a type.

    attention_context: entered around all attention. encoder_context: entered inside it around the encoder. encoder_attention:
    makes the self-attention of a layer of the encoder. pads_vocabulary: whether logits are computed with a vocabulary of a
    rounder size. linear: makes what computes a torch.nn.Linear of the decoder.
    """

    cross_attention: Callable[[Any, torch.dtype], CrossAttention] = CrossAttention
    self_attention: Callable[[Any, torch.dtype], SelfAttention] = SelfAttention
    add_and_norm: AddAndNorm = add_and_norm
    attention_context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    encoder_context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    encoder_attention: Callable[[Any, torch.dtype], EncoderAttention] = whisper_attention
    pads_vocabulary: bool = False
    linear: Callable[[Any], Any] = _unchanged


def choose_backend(model: Any, dtype: torch.dtype, int8: bool = False) -> Backend:
    """Choose the backend for the model's device.

    int8: whether linear layers have weights of 8 bits, on a CPU in float32 alone.

    On a GPU in half precision this takes some seconds, unless Triton has the compiled kernels in its cache.
    """
    device = torch.device(model.device)
    if uses_numba(dtype, device):
        return Backend(cross_attention=NumbaCrossAttention, linear=Int8Linear if int8 else _unchanged)
    if device.type != "cuda":
        return Backend()
    plain = Backend(attention_context=without_cudnn)
    if dtype is torch.float32:
        return plain
    try:
        from transcription_worker.engines.batched.kernels import triton_kernels
        from transcription_worker.engines.batched.model import attention_cuda
    except ImportError as error:
        log.warning("decoding with torch's kernels: %s", error)
        return plain
    with torch.inference_mode(), without_cudnn():
        backend = choose_kernels(model.dims, dtype, device, triton_kernels, attention_cuda, graph_seconds)
    torch.cuda.empty_cache()  # so that the trials' memory counts as free when the windows are counted
    return backend


def choose_kernels(
    dims: Any, dtype: torch.dtype, device: torch.device, kernels: Any, attention: Any, clock: Clock
) -> Backend:
    """Try each kernel and use those that are correct and faster than torch's.

    kernels, attention: the modules triton_kernels and attention_cuda, which can be imported only where Triton is.
    """

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device)

    cross = passes_trial(
        "Triton kernel for cross-attention", lambda: cross_attention_trial(dims, device, randn, kernels), clock
    )
    own = passes_trial(
        "Triton kernel for self-attention", lambda: self_attention_trial(dims, dtype, device, randn, attention), clock
    )
    norm = passes_trial(
        "Triton kernel for add and norm", lambda: add_and_norm_trial(dims, device, randn, kernels), clock
    )
    encoder = passes_trial("cuDNN attention in the encoder", lambda: encoder_attention_trial(dims, randn), clock)
    return Backend(
        attention.TritonCrossAttention if cross else CrossAttention,
        attention.TritonSelfAttention if own else SelfAttention,
        kernels.add_and_norm if norm else add_and_norm,
        without_cudnn,
        cudnn_first if encoder else contextlib.nullcontext,
        FusedAttention,
        pads_vocabulary=True,
    )


# torch's own attention kernels, in order of preference.
TORCH_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def without_cudnn() -> AbstractContextManager[None]:
    """Rule out cuDNN: it plans anew for each shape, which takes the host longer than a decode step takes the GPU."""
    context: AbstractContextManager[None] = sdpa_kernel(TORCH_ATTENTION, set_priority=True)
    return context


def cudnn_first() -> AbstractContextManager[None]:
    """Prefer cuDNN, for the encoder, whose shapes never change. Its rank in torch depends on the version and the GPU."""
    context: AbstractContextManager[None] = sdpa_kernel(
        [SDPBackend.CUDNN_ATTENTION, *TORCH_ATTENTION], set_priority=True
    )
    return context


def cross_attention_trial(dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any) -> KernelTrial:
    """Make a trial with one query of each of SLOTS windows."""
    heads, width = dims.n_text_head, dims.n_text_state // dims.n_text_head
    queries, finished = randn(SLOTS, 1, dims.n_text_state), torch.zeros(SLOTS, dtype=torch.bool, device=device)
    keys, values = (randn(SLOTS, heads, dims.n_audio_ctx, width) for _ in range(2))

    def torch_kernel() -> Tensor:
        return scaled_dot_product_attention(split_heads(queries, heads), keys, values).transpose(1, 2).flatten(2)

    return KernelTrial(lambda: kernels.cross_attention(queries, keys, values, finished), torch_kernel)


def self_attention_trial(
    dims: Any, dtype: torch.dtype, device: torch.device, randn: Callable[..., Tensor], attention: Any
) -> KernelTrial:
    """Make a trial with one token of each of SLOTS rows, all at POSITION or at the end of the context."""
    model = types.SimpleNamespace(dims=dataclasses.replace(dims, n_text_layer=1), device=device)
    qkv, finished = randn(SLOTS, 3 * dims.n_text_state), torch.zeros(SLOTS, dtype=torch.bool, device=device)
    length = min(LENGTH, dims.n_text_ctx)
    positions = torch.full((SLOTS,), min(POSITION, length - 1), device=device)
    ours, theirs = attention.TritonSelfAttention(model, dtype), SelfAttention(model, dtype)
    their_cache = tuple(randn(*one.shape) for one in theirs.allocate(SLOTS))
    our_cache = (*(one.clone() for one in their_cache), *ours.allocate(SLOTS)[2:])

    def step(one: SelfAttention, cache: CacheTensors) -> Callable[[], Tensor]:
        mask = one.mask(positions, length)
        return lambda: one.step(0, qkv, positions, mask, cache, 1, finished)

    return KernelTrial(step(ours, our_cache), step(theirs, their_cache))


def add_and_norm_trial(dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any) -> KernelTrial:
    """Make a trial with one token of each of SLOTS rows."""
    hidden, update = randn(SLOTS, dims.n_text_state), randn(SLOTS, dims.n_text_state)
    norm = torch.nn.LayerNorm(dims.n_text_state, device=device)
    return KernelTrial(
        lambda: torch.stack(kernels.add_and_norm(hidden, update, norm)),
        lambda: torch.stack(add_and_norm(hidden, update, norm)),
    )


def encoder_attention_trial(dims: Any, randn: Callable[..., Tensor]) -> KernelTrial:
    """Make a trial with the self-attention of ENCODER_BATCH_GPU windows, by cuDNN and by torch's own kernels."""
    shape = (ENCODER_BATCH_GPU, dims.n_audio_ctx, dims.n_audio_state)
    qkv = [split_heads(randn(*shape), dims.n_audio_head) for _ in range(3)]

    def attend(context: Callable[[], AbstractContextManager[None]]) -> Tensor:
        with context():
            return scaled_dot_product_attention(*qkv)

    return KernelTrial(lambda: attend(cudnn_first), lambda: attend(without_cudnn))
