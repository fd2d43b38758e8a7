"""Transfers between host and GPU that wait for no more than they need. On a CPU nothing has to be transferred."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def tensor_on_device(values: Sequence[Any], device: torch.device, dtype: torch.dtype = torch.int64) -> Tensor:
    """Make a tensor of Python numbers on a device."""
    return copy_to_device(torch.tensor(values, dtype=dtype, device="cpu"), device)


def copy_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, by pinned memory to a GPU: any other copy waits for all work that was launched before."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Readback:
    """Reads what a GPU computed up to an event, while the GPU goes on with later work."""

    def __init__(self, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        # High priority, before work on other streams: a readback copies a few kilobytes.
        self._stream = torch.cuda.Stream(device, priority=-1) if on_gpu else None
        self._event = torch.cuda.Event() if on_gpu else None

    def record_event(self) -> None:
        """Record the event on the current stream."""
        if self._event is not None:
            self._event.record()

    @contextlib.contextmanager
    def after_event(self) -> Iterator[None]:
        """Inside, tensors are read once the event has happened. No work launched later may write to them."""
        if self._stream is None or self._event is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._event)
            yield
