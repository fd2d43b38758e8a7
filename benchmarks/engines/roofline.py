"""Compute the least time that a window can take on a device, from the device's speed measured in the same run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# Of the products that measure arithmetic, and of the copies that measure memory; small for a CPU, where they only show that it runs.
SIDE_ON_GPU, SIDE_ON_CPU = 8192, 1024
COPIED_ON_GPU, COPIED_ON_CPU = 4 << 30, 256 << 20  # bytes
REPEATS = 20


@dataclass(frozen=True)
class Device:
    """The speed of a device.

    `flops` is floating-point operations per second in matrix products of the model's type; `bandwidth` is bytes per
    second, read and written.
    """

    flops: float
    bandwidth: float


def measure_device(device: torch.device, dtype: torch.dtype) -> Device:
    """Measure the device's speed as the best of REPEATS runs."""
    on_gpu = device.type == "cuda"
    side = SIDE_ON_GPU if on_gpu else SIDE_ON_CPU
    left = torch.randn(side, side, device=device, dtype=dtype)
    right = torch.randn(side, side, device=device, dtype=dtype)
    product = _best(lambda: left @ right, device)
    size = (COPIED_ON_GPU if on_gpu else COPIED_ON_CPU) // dtype.itemsize
    source, target = torch.ones(size, device=device, dtype=dtype), torch.empty(size, device=device, dtype=dtype)
    copy = _best(lambda: target.copy_(source), device)
    return Device(2 * side**3 / product, 2 * size * dtype.itemsize / copy)


def _best(action: Callable[[], Any], device: torch.device) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return best


@dataclass(frozen=True)
class Cost:
    """The cost of one window of 30 s.

    `encoder` counts the floating-point operations of the encoder and of the audio's keys and values, `decoder` those of
    the decoder, and `read` the bytes that the decoder reads: the audio's keys and values and its share of the weights.
    """

    encoder: float
    decoder: float
    read: float

    def seconds(self, device: Device) -> float:
        """Return the least seconds: the encoder is bound by arithmetic, the decoder by arithmetic or reads."""
        return self.encoder / device.flops + max(self.decoder / device.flops, self.read / device.bandwidth)


def window_cost(
    dims: Any, tokens: int, batch: int, itemsize: int, beams: int = 1, audio_itemsize: int | None = None
) -> Cost:
    """Return the cost of a window.

    `dims` is whisper's ModelDimensions, `itemsize` the bytes of a number, `audio_itemsize` those of a number of the audio's keys
    and values where they are others; `batch` windows share each read of the decoder's weights, and the beams of a window that
    of the audio's keys and values.
    """
    frames, width = dims.n_audio_ctx, dims.n_audio_state
    convolutions = 2 * 3 * (dims.n_mels * width * 2 * frames + width * width * frames)
    layer = 24 * width * width * frames + 4 * frames * frames * width  # projections and feed-forward, attention
    keys = dims.n_text_layer * 2 * 2 * width * width * frames
    weights = dims.n_text_layer * 14 * width * width + dims.n_vocab * width  # of a step; the audio's keys are there
    held = dims.n_text_layer * 2 * frames * width
    return Cost(
        encoder=convolutions + dims.n_audio_layer * layer + keys,
        decoder=tokens * beams * (2 * weights + 2 * held),
        read=tokens * ((audio_itemsize or itemsize) * held + itemsize * weights / batch),
    )
