"""What a decode step computes between its matrix products on a GPU, in Triton.

Each kernel goes over memory once, where torch's kernels do so several times. Softmax uses powers of two and is computed
online, block by block, as in FlashAttention (arXiv:2205.14135). All sums are float32.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# The kernels have no annotations: Triton would evaluate them when it compiles the source.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from transcription_worker.engines.batched.kernels.float8 import LARGEST, LEAST, Float8Tensors

# Rows of a GPU's smallest matrix product: up to this many queries of a slot share one read of keys and values for free.
MAX_QUERIES = 16
# Audio positions that are read at a time, and stages of the software pipeline: with a head width of 64 a program uses 38 KiB of
# shared memory. On an H200 96 windows of large-v3 took 166 µs a layer, as fast as it copies memory; blocks of 64 in 3 stages 176.
AUDIO_BLOCK, STAGES = 128, 2
# Text positions that are read at a time, and warps of a program. On an H200 480 rows at position 100 took 68 µs a layer; blocks of
# 32 with 2 warps 90.
TEXT_BLOCK, TEXT_WARPS = 16, 1
# Positions that are quantized at a time. Chosen, and not measured.
QUANTIZED_BLOCK = 64
LOG2_E = 1.4426950408889634


@triton.jit
def _cross_attention(
    queries, keys, values, scales, finished, out, scale, group,
    heads: tl.constexpr, length: tl.constexpr, width: tl.constexpr, column_length: tl.constexpr,
    tile: tl.constexpr, block: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """The program of one slot and head. It reads nothing of a slot whose rows are all finished.

    With scales, keys and values have 8 bits, and values lie in columns of column_length positions each.
    """
    slot, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    row, column, step = tl.arange(0, tile), tl.arange(0, width), tl.arange(0, block)
    at = ((slot * group + row) * heads + head)[:, None] * width + column[None, :]
    if finished is not None:  # noqa: SIM102 - known when the kernel is compiled
        if tl.min(tl.load(finished + slot * group + row, mask=row < group, other=1), 0) != 0:
            tl.store(out + at, tl.zeros([tile, width], out.dtype.element_ty), mask=row[:, None] < group)
            return
    query = tl.load(queries + at, mask=row[:, None] < group, other=0.0)
    if scales is not None:
        scale *= tl.load(scales + 2 * tl.program_id(0))
    start_of = tl.program_id(0).to(tl.int64) * (length * width)
    highest = tl.full([tile], float("-inf"), tl.float32)
    total = tl.zeros([tile], tl.float32)
    sums = tl.zeros([tile, width], tl.float32)
    for start in tl.range(0, length, block, num_stages=stages):
        inside = start + step < length
        there = start_of + (start + step) * width
        key = tl.load(keys + there[None, :] + column[:, None], mask=inside[None, :], other=0.0)
        scores = tl.dot(query, key.to(query.dtype), input_precision="ieee") * scale
        scores += tl.where(inside, 0.0, float("-inf"))[None, :]
        top = tl.maximum(highest, tl.max(scores, 1))
        weights, rescale = tl.exp2(scores - top[:, None]), tl.exp2(highest - top)
        if scales is None:
            value = tl.load(values + there[:, None] + column[None, :], mask=inside[:, None], other=0.0)
        else:
            there = tl.program_id(0).to(tl.int64) * (column_length * width) + start + step
            inside = start + step < column_length  # whole vectors of 16 bytes: what is beyond the audio has no weight
            value = tl.load(values + there[:, None] + column[None, :] * column_length, mask=inside[:, None], other=0.0)
        total = total * rescale + tl.sum(weights, 1)
        weights = weights.to(query.dtype)
        sums = tl.dot(weights, value.to(query.dtype), sums * rescale[:, None], input_precision="ieee")
        highest = top
    if scales is not None:
        sums *= tl.load(scales + 2 * tl.program_id(0) + 1)
    tl.store(out + at, (sums / total[:, None]).to(out.dtype.element_ty), mask=row[:, None] < group)


def cross_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    scales: Tensor | None = None,
    *,
    finished: Tensor | None = None,
) -> Tensor:
    """softmax(queries @ keys.T / sqrt(head width)) @ values of each slot and head; shape as `queries`.

    queries: (slots, queries, heads * head width), with at most MAX_QUERIES queries. keys, values: (slots, heads,
    n_audio_ctx, head width); with scales as float8.quantize writes them. finished: (slots * queries,), which queries need no
    answer; a slot of these alone gets zeros.
    """
    slots, heads, length, width = keys.shape
    queries = queries.contiguous()
    out = torch.empty_like(queries)
    _cross_attention[(slots * heads,)](
        queries, keys, values, scales, _bytes(finished), out, width**-0.5 * LOG2_E, queries.shape[1],
        heads, length, width, values.shape[-1], MAX_QUERIES, AUDIO_BLOCK, STAGES,
    )  # fmt: skip
    return out


@triton.jit
def _quantize(
    numbers, quantized, scales, slot_stride, head_stride, position_stride,
    heads: tl.constexpr, length: tl.constexpr, width: tl.constexpr, position_step: tl.constexpr,
    column_step: tl.constexpr, size: tl.constexpr, block: tl.constexpr, largest: tl.constexpr, least: tl.constexpr,
):  # fmt: skip
    """The program of one slot and head: find the greatest magnitude, then write each number over the scale that follows.

    position_step, column_step, size: how the head's numbers lie in `quantized`, and how many there are.
    """
    slot, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    column, step = tl.arange(0, width), tl.arange(0, block)
    mine = numbers + slot.to(tl.int64) * slot_stride + head * head_stride + column[None, :]
    highest = tl.zeros([block, width], tl.float32)
    for start in range(0, length, block):
        inside = (start + step < length)[:, None]
        found = tl.load(mine + (start + step)[:, None] * position_stride, mask=inside, other=0.0)
        highest = tl.maximum(highest, tl.abs(found.to(tl.float32)))
    scale = tl.maximum(tl.max(highest) / largest, least)
    tl.store(scales + 2 * tl.program_id(0), scale)
    kept = quantized + tl.program_id(0).to(tl.int64) * size + column[None, :] * column_step
    for start in range(0, length, block):
        inside = (start + step < length)[:, None]
        found = tl.load(mine + (start + step)[:, None] * position_stride, mask=inside, other=0.0)
        divided = (found.to(tl.float32) / scale).to(quantized.dtype.element_ty)
        tl.store(kept + (start + step)[:, None] * position_step, divided, mask=inside)


def quantize(keys: Tensor, values: Tensor, cache: Float8Tensors) -> None:
    """Implement float8.Quantize: keys and values are read twice, the second time from the GPU's own cache."""
    slots, heads, length, width = keys.shape
    column_length = cache.values.shape[-1]
    parts = ((keys, cache.keys, width, 1), (values, cache.values, 1, column_length))
    for number, (numbers, quantized, position_step, column_step) in enumerate(parts):
        _quantize[(slots * heads,)](
            numbers, quantized, cache.scales[..., number], *numbers.stride()[:3],
            heads, length, width, position_step, column_step, quantized[0, 0].numel(), QUANTIZED_BLOCK, LARGEST, LEAST,
        )  # fmt: skip


@triton.jit
def _self_attention(
    qkv, keys, values, sources, positions, finished, out, scale,
    heads: tl.constexpr, group: tl.constexpr, context: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The program of one row and head: write the token's key and value, then attend to earlier tokens and to itself.

    It neither reads nor writes anything of a finished row.
    """
    row, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    column, step = tl.arange(0, width), tl.arange(0, block)
    if finished is not None:  # noqa: SIM102 - known when the kernel is compiled
        if tl.load(finished + row) != 0:
            tl.store(out + (row * heads + head) * width + column, tl.zeros([width], out.dtype.element_ty))
            return
    position = tl.load(positions + row).to(tl.int32)
    mine = qkv + (row * 3 * heads + head) * width + column
    query = tl.load(mine).to(tl.float32) * scale
    key, value = tl.load(mine + heads * width), tl.load(mine + 2 * heads * width)
    kept = ((row * heads + head).to(tl.int64) * context + position) * width + column
    tl.store(keys + kept, key)
    tl.store(values + kept, value)
    tl.store(sources + row * context + position, (row % group).to(sources.dtype.element_ty))
    # The token's own key and value are still in registers and not read back.
    highest = tl.sum(query * key.to(tl.float32), 0)
    total, sums = 1.0, value.to(tl.float32)
    for start in range(0, position, block):
        inside = start + step < position
        source = tl.load(sources + row * context + start + step, mask=inside, other=0).to(tl.int32)
        storage = (row // group * group + source) * heads + head
        there = (storage.to(tl.int64) * context + start + step)[:, None] * width + column[None, :]
        before = tl.load(keys + there, mask=inside[:, None], other=0.0).to(tl.float32)
        scores = tl.where(inside, tl.sum(before * query[None, :], 1), float("-inf"))
        top = tl.maximum(highest, tl.max(scores, 0))
        weights, rescale = tl.exp2(scores - top), tl.exp2(highest - top)
        given = tl.load(values + there, mask=inside[:, None], other=0.0).to(tl.float32)
        total = total * rescale + tl.sum(weights, 0)
        sums = sums * rescale + tl.sum(weights[:, None] * given, 0)
        highest = top
    tl.store(out + (row * heads + head) * width + column, (sums / total).to(out.dtype.element_ty))


def self_attention(
    qkv: Tensor,
    keys: Tensor,
    values: Tensor,
    sources: Tensor,
    positions: Tensor,
    group: int,
    finished: Tensor | None = None,
) -> Tensor:
    """Self-attention of one token of each row, (rows, heads * head width). Writes its key and value to the cache.

    qkv: (rows, 3 * heads * head width), queries, keys and values. keys, values: (at least rows, heads, context, head
    width). positions: (rows,). sources: (at least rows, context), which row of its group holds each earlier position.
    finished: (rows,), which rows need no answer: they get zeros, and write nothing.
    """
    rows, (_, heads, context, width) = qkv.shape[0], keys.shape
    out = qkv.new_empty(rows, heads * width)
    _self_attention[(rows * heads,)](
        qkv, keys, values, sources, positions, _bytes(finished), out, width**-0.5 * LOG2_E,
        heads, group, context, width, TEXT_BLOCK, num_warps=TEXT_WARPS,
    )  # fmt: skip
    return out


def _bytes(flags: Tensor | None) -> Tensor | None:
    """The flags as numbers, which every version of Triton can load."""
    return None if flags is None else flags.view(torch.uint8)


@triton.jit
def _add_and_norm(
    hidden, update, weight, bias, added, normed, eps,
    width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The program of one row."""
    column = tl.arange(0, block)
    inside = column < width
    at = tl.program_id(0).to(tl.int64) * width + column
    total = tl.load(hidden + at, mask=inside, other=0.0).to(tl.float32) + tl.load(update + at, mask=inside, other=0.0)
    total = total.to(added.dtype.element_ty)
    tl.store(added + at, total, mask=inside)
    total = total.to(tl.float32)
    centred = tl.where(inside, total - tl.sum(total, 0) / width, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / width + eps)
    scaled = centred * scale * tl.load(weight + column, mask=inside, other=0.0)
    scaled += tl.load(bias + column, mask=inside, other=0.0)
    tl.store(normed + at, scaled.to(normed.dtype.element_ty), mask=inside)


def add_and_norm(hidden: Tensor, update: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """Implement layer_norm.AddAndNorm: one kernel for the sum and its norm, which is computed in float32."""
    hidden, update = hidden.contiguous(), update.contiguous()
    added, normed = torch.empty_like(hidden), torch.empty_like(hidden)
    width = hidden.shape[-1]
    _add_and_norm[(hidden.numel() // width,)](
        hidden, update, norm.weight, norm.bias, added, normed, norm.eps, width, triton.next_power_of_2(width)
    )
    return added, normed
