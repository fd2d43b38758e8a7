"""A GPU's decoding step between its products, in Triton: each kernel goes over memory once, where torch's do more.

Scores are in powers of two, and the softmax of blocks that are not there yet is as in attention_kernel. All sums are float32.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# Triton reads the kernels' source, and would look types of arguments up as values.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows of a matrix product's smallest tile on a GPU: so many queries share a read of the audio at no more cost than one.
QUERIES = 16
# Places that are read at a time, and the stages of reading them ahead: with heads of 64 numbers a program holds 36 KiB, and six
# fit beside each other into an H100's multiprocessor.
BLOCK, STAGES = 64, 3
# Positions of a text that are read at a time.
POSITIONS = 32
LOG2_E = 1.4426950408889634


@triton.jit
def _attend_audio(
    queries, keys, values, seen, scale,
    heads: tl.constexpr, group: tl.constexpr, places: tl.constexpr, width: tl.constexpr,
    tile: tl.constexpr, block: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """One slot's queries of one head."""
    slot, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    row, column, place = tl.arange(0, tile), tl.arange(0, width), tl.arange(0, block)
    at = ((slot * group + row) * heads + head)[:, None] * width + column[None, :]
    asked = tl.load(queries + at, mask=row[:, None] < group, other=0.0)
    start_of = tl.program_id(0).to(tl.int64) * (places * width)
    highest = tl.full([tile], float("-inf"), tl.float32)
    total = tl.zeros([tile], tl.float32)
    sums = tl.zeros([tile, width], tl.float32)
    for start in tl.range(0, places, block, num_stages=stages):
        inside = start + place < places
        there = start_of + (start + place) * width
        key = tl.load(keys + there[None, :] + column[:, None], mask=inside[None, :], other=0.0)
        scores = tl.dot(asked, key, input_precision="ieee") * scale + tl.where(inside, 0.0, float("-inf"))[None, :]
        top = tl.maximum(highest, tl.max(scores, 1))
        weights, fade = tl.exp2(scores - top[:, None]), tl.exp2(highest - top)
        value = tl.load(values + there[:, None] + column[None, :], mask=inside[:, None], other=0.0)
        total = total * fade + tl.sum(weights, 1)
        sums = tl.dot(weights.to(value.dtype), value, sums * fade[:, None], input_precision="ieee")
        highest = top
    tl.store(seen + at, (sums / total[:, None]).to(seen.dtype.element_ty), mask=row[:, None] < group)


def attend_audio(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries @ keys.T) @ values of each slot and head.

    queries: (slots, queries, heads * head width), QUERIES of a slot at most; keys, values: (slots, heads, places, head width).
    """
    slots, heads, places, width = keys.shape
    queries = queries.contiguous()
    seen = torch.empty_like(queries)
    _attend_audio[(slots * heads,)](
        queries, keys, values, seen, width**-0.5 * LOG2_E, heads, queries.shape[1], places, width, QUERIES, BLOCK, STAGES
    )  # fmt: skip
    return seen


@triton.jit
def _attend_text(
    projected, keys, values, sources, positions, seen, scale,
    heads: tl.constexpr, group: tl.constexpr, context: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One row's token and head: its key and value are kept, and it attends to those before it and to itself."""
    row, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    column, place = tl.arange(0, width), tl.arange(0, block)
    position = tl.load(positions + row).to(tl.int32)
    mine = projected + (row * 3 * heads + head) * width + column
    asked = tl.load(mine).to(tl.float32) * scale
    key, value = tl.load(mine + heads * width), tl.load(mine + 2 * heads * width)
    kept = ((row * heads + head).to(tl.int64) * context + position) * width + column
    tl.store(keys + kept, key)
    tl.store(values + kept, value)
    tl.store(sources + row * context + position, (row % group).to(sources.dtype.element_ty))
    # Its own place comes from registers: what was just written is not read back.
    highest = tl.sum(asked * key.to(tl.float32), 0)
    total, sums = 1.0, value.to(tl.float32)
    for start in range(0, position, block):
        inside = start + place < position
        source = tl.load(sources + row * context + start + place, mask=inside, other=0).to(tl.int32)
        storage = (row // group * group + source) * heads + head
        there = (storage.to(tl.int64) * context + start + place)[:, None] * width + column[None, :]
        before = tl.load(keys + there, mask=inside[:, None], other=0.0).to(tl.float32)
        scores = tl.where(inside, tl.sum(before * asked[None, :], 1), float("-inf"))
        top = tl.maximum(highest, tl.max(scores, 0))
        weights, fade = tl.exp2(scores - top), tl.exp2(highest - top)
        given = tl.load(values + there, mask=inside[:, None], other=0.0).to(tl.float32)
        total = total * fade + tl.sum(weights, 0)
        sums = sums * fade + tl.sum(weights[:, None] * given, 0)
        highest = top
    tl.store(seen + (row * heads + head) * width + column, (sums / total).to(seen.dtype.element_ty))


def attend_text(
    projected: Tensor, keys: Tensor, values: Tensor, sources: Tensor, positions: Tensor, group: int
) -> Tensor:
    """What each row's token sees of the row's text, (rows, heads * head width); its key and value are written to its row.

    projected: (rows, 3 * heads * head width), queries, keys and values; keys, values: (rows at least, heads, context, head
    width); positions: (rows,); sources: (rows at least, context), in which row of its group each earlier place is kept.
    """
    rows, (_, heads, context, width) = projected.shape[0], keys.shape
    seen = projected.new_empty(rows, heads * width)
    _attend_text[(rows * heads,)](
        projected, keys, values, sources, positions, seen, width**-0.5 * LOG2_E, heads, group, context, width, POSITIONS,
        num_warps=2,
    )  # fmt: skip
    return seen


@triton.jit
def _add_and_norm(
    hidden, more, weight, bias, added, normed, eps,
    width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One row."""
    column = tl.arange(0, block)
    inside = column < width
    at = tl.program_id(0).to(tl.int64) * width + column
    total = tl.load(hidden + at, mask=inside, other=0.0).to(tl.float32) + tl.load(more + at, mask=inside, other=0.0)
    total = total.to(added.dtype.element_ty)
    tl.store(added + at, total, mask=inside)
    total = total.to(tl.float32)
    centred = tl.where(inside, total - tl.sum(total, 0) / width, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / width + eps)
    scaled = centred * scale * tl.load(weight + column, mask=inside, other=0.0)
    scaled += tl.load(bias + column, mask=inside, other=0.0)
    tl.store(normed + at, scaled.to(normed.dtype.element_ty), mask=inside)


def add_and_norm(hidden: Tensor, more: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """hidden + more, in their type, and the norm of it, computed in float32; both as `hidden`, (..., width)."""
    hidden, more = hidden.contiguous(), more.contiguous()
    added, normed = torch.empty_like(hidden), torch.empty_like(hidden)
    width = hidden.shape[-1]
    _add_and_norm[(hidden.numel() // width,)](
        hidden, more, norm.weight, norm.bias, added, normed, norm.eps, width, triton.next_power_of_2(width)
    )
    return added, normed
