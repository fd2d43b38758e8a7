"""The backend: which implementations of attention and norms the model uses on the device at hand.

On a CPU in float32 these are numba kernels, on a GPU Triton kernels if they pass their trial, and else torch's operators.
"""

import contextlib
import dataclasses
import functools
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
from transcription_api.spec import Precision

from transcription_worker.engines.batched.kernels import float8
from transcription_worker.engines.batched.kernels.kernel_trial import Clock, KernelTrial, graph_seconds, passes_trial
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba
from transcription_worker.engines.batched.model.cross_attention import (
    CacheTensors,
    CrossAttention,
    Linear,
    NumbaCrossAttention,
    split_heads,
    unchanged,
)
from transcription_worker.engines.batched.model.encoder_attention import (
    EncoderAttention,
    FusedAttention,
    whisper_attention,
)
from transcription_worker.engines.batched.model.float8_attention import Float8CrossAttention
from transcription_worker.engines.batched.model.int8_linear import quantize_linear
from transcription_worker.engines.batched.model.layer_norm import AddAndNorm, add_and_norm
from transcription_worker.engines.batched.model.onednn_linear import OneDnnLinear, OneDnnMlp, has_onednn
from transcription_worker.engines.batched.model.packed_linear import MAX_WIDTH, PackedLinear
from transcription_worker.engines.batched.model.self_attention import NumbaSelfAttention, SelfAttention

log = logging.getLogger(__name__)

# Windows in one run of the encoder. Larger batches were not faster; on a GPU the activations of 16 take 0.25 GB at width 1280.
ENCODER_BATCH_CPU = 4
ENCODER_BATCH_GPU = 16

# Kernels are tried with this many slots of one row each, at this position of their text.
SLOTS, POSITION, LENGTH = 32, 100, 128


@dataclass(frozen=True)
class Backend:
    """Implementations for a model and a type.

    attention_context: entered around all attention. encoder_context: entered inside it around the encoder. encoder_attention:
    makes the self-attention of a layer of the encoder, and encoder_mlp what follows it. pads_vocabulary: whether logits are
    computed with a vocabulary of a rounder size. linear: makes what computes a linear layer of the decoder.
    """

    cross_attention: Callable[[Any, torch.dtype], CrossAttention] = CrossAttention
    self_attention: Callable[[Any, torch.dtype], SelfAttention] = SelfAttention
    add_and_norm: AddAndNorm = add_and_norm
    attention_context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    encoder_context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    encoder_attention: Callable[[Any, torch.dtype], EncoderAttention] = whisper_attention
    encoder_mlp: Callable[[Any], Linear] = unchanged
    pads_vocabulary: bool = False
    linear: Callable[[Any], Linear] = unchanged


def decoder_dtype(model: Any, dtype: torch.dtype) -> torch.dtype:
    """The type that a model's decoder computes in, where its encoder computes in `dtype`.

    In bfloat16 on a CPU the decoder of a model up to MAX_WIDTH stays in float32: its kernels are faster than torch's in half
    precision, as few rows have few products and much besides.
    """
    narrow = model.dims.n_text_state <= MAX_WIDTH
    return torch.float32 if torch.device(model.device).type == "cpu" and narrow else dtype


def choose_backend(
    model: Any, dtype: torch.dtype, precision: Precision = Precision.AUTO, encoder_dtype: torch.dtype | None = None
) -> Backend:
    """Choose the backend for the model's device.

    dtype: the decoder's. encoder_dtype: the encoder's, where it is another. precision: int8, on a CPU in float32 alone, and
    float8 say more than the types do.

    On a GPU in half precision this takes some seconds, unless Triton has the compiled kernels in its cache.
    """
    device = torch.device(model.device)
    in_float8 = precision is Precision.FLOAT8
    if device.type != "cuda":
        decoder = _choose_decoder_on_cpu(model, dtype, precision)
        return _with_onednn(decoder, model, encoder_dtype or dtype, precision)
    plain = Backend(Float8CrossAttention if in_float8 else CrossAttention, attention_context=without_cudnn)
    if dtype is torch.float32:
        return plain
    try:
        from transcription_worker.engines.batched.kernels import triton_kernels
        from transcription_worker.engines.batched.model import attention_cuda
    except ImportError as error:
        log.warning("decoding with torch's kernels: %s", error)
        return plain
    with torch.inference_mode(), without_cudnn():
        backend = choose_kernels(model.dims, dtype, device, triton_kernels, attention_cuda, graph_seconds, in_float8)
    torch.cuda.empty_cache()  # so that the trials' memory counts as free when the windows are counted
    return backend


def _choose_decoder_on_cpu(model: Any, dtype: torch.dtype, precision: Precision) -> Backend:
    if precision is Precision.FLOAT8:
        return Backend(cross_attention=Float8CrossAttention)
    if not uses_numba(dtype, torch.device(model.device)):
        return Backend()
    linear = PackedLinear if model.dims.n_text_state <= MAX_WIDTH else unchanged
    linear = quantize_linear if precision is Precision.INT8 else linear
    cross = functools.partial(NumbaCrossAttention, linear=linear)
    return Backend(cross_attention=cross, self_attention=NumbaSelfAttention, linear=linear)


def _with_onednn(backend: Backend, model: Any, dtype: torch.dtype, precision: Precision) -> Backend:
    """Return the backend with oneDNN in the encoder, if it has products of its type. Wide models keep no second copy of weights."""
    narrow = model.dims.n_audio_state <= MAX_WIDTH
    if precision is Precision.INT8 or not narrow or not has_onednn(dtype):
        return backend
    attention = functools.partial(FusedAttention, linear=OneDnnLinear)
    return dataclasses.replace(backend, encoder_attention=attention, encoder_mlp=OneDnnMlp)


def choose_kernels(
    dims: Any,
    dtype: torch.dtype,
    device: torch.device,
    kernels: Any,
    attention: Any,
    clock: Clock,
    in_float8: bool = False,
) -> Backend:
    """Try each kernel and use those that are correct and faster than torch's.

    kernels, attention: the modules triton_kernels and attention_cuda, which can be imported only where Triton is.
    in_float8: whether keys and values of the audio are cached in 8 bits.
    """

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device)

    choose = choose_float8 if in_float8 else choose_cross_attention
    cross = choose(dims, device, randn, kernels, attention, clock)
    own = passes_trial(
        "Triton kernel for self-attention", lambda: self_attention_trial(dims, dtype, device, randn, attention), clock
    )
    norm = passes_trial(
        "Triton kernel for add and norm", lambda: add_and_norm_trial(dims, device, randn, kernels), clock
    )
    encoder = passes_trial("cuDNN attention in the encoder", lambda: encoder_attention_trial(dims, randn), clock)
    return Backend(
        cross,
        attention.TritonSelfAttention if own else SelfAttention,
        kernels.add_and_norm if norm else add_and_norm,
        without_cudnn,
        cudnn_first if encoder else contextlib.nullcontext,
        FusedAttention,
        pads_vocabulary=True,
    )


def choose_cross_attention(
    dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any, attention: Any, clock: Clock
) -> Callable[[Any, torch.dtype], CrossAttention]:
    """Try the kernel for keys and values of 16 bits. See choose_kernels for the arguments."""
    name = "Triton kernel for cross-attention"
    passed = passes_trial(name, lambda: cross_attention_trial(dims, device, randn, kernels), clock)
    chosen: type[CrossAttention] = attention.TritonCrossAttention if passed else CrossAttention
    return chosen


def choose_float8(
    dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any, attention: Any, clock: Clock
) -> Callable[[Any, torch.dtype], CrossAttention]:
    """Try the same kernel for keys and values of 8 bits, and the one that writes them."""
    reads = passes_trial(
        "Triton kernel for cross-attention in float8", lambda: float8_trial(dims, device, randn, kernels), clock
    )
    writes = passes_trial(
        "Triton kernel for quantization", lambda: quantization_trial(dims, device, randn, kernels), clock
    )
    chosen = attention.TritonFloat8CrossAttention if reads else Float8CrossAttention
    return functools.partial(chosen, quantize=kernels.quantize) if writes else chosen


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

    return KernelTrial(lambda: kernels.cross_attention(queries, keys, values, finished=finished), torch_kernel)


def float8_trial(dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any) -> KernelTrial:
    """Make the same trial with keys and values of 8 bits, which torch's kernel must have in 16 first."""
    heads, queries = dims.n_text_head, randn(SLOTS, 1, dims.n_text_state)
    finished = torch.zeros(SLOTS, dtype=torch.bool, device=device)
    exact_keys, exact_values, cache = _float8_inputs(dims, device, randn)
    float8.quantize(exact_keys, exact_values, cache)

    def torch_kernel() -> Tensor:
        keys, values = float8.dequantize(cache, queries.dtype)
        return scaled_dot_product_attention(split_heads(queries, heads), keys, values).transpose(1, 2).flatten(2)

    return KernelTrial(lambda: kernels.cross_attention(queries, *cache, finished=finished), torch_kernel)


def quantization_trial(dims: Any, device: torch.device, randn: Callable[..., Tensor], kernels: Any) -> KernelTrial:
    """Make a trial that writes keys and values of SLOTS windows, of which the last one's are read again."""
    keys, values, cache = _float8_inputs(dims, device, randn)

    def writing(quantize: float8.Quantize) -> Callable[[], Tensor]:
        def write() -> Tensor:
            quantize(keys, values, cache)
            last = float8.Float8Tensors(*(one[-1:] for one in cache))
            return torch.stack(float8.dequantize(last, keys.dtype))

        return write

    return KernelTrial(writing(kernels.quantize), writing(float8.quantize))


def _float8_inputs(
    dims: Any, device: torch.device, randn: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, float8.Float8Tensors]:
    """Return keys and values of SLOTS windows as a layer computes them, and empty tensors for them."""
    heads, shape = dims.n_text_head, (SLOTS, dims.n_audio_ctx, dims.n_text_state)
    keys, values = (split_heads(randn(*shape), heads) for _ in range(2))
    cache = float8.allocate((SLOTS, heads), dims.n_audio_ctx, dims.n_text_state // heads, device)
    return keys, values, cache


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
