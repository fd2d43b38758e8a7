"""Between host and GPU without waiting for more than is needed. On a CPU everything is there at once."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def sent(values: Sequence[Any], device: torch.device, dtype: torch.dtype = torch.int64) -> Tensor:
    """Numbers to where the model is."""
    return moved(torch.tensor(values, dtype=dtype, device="cpu"), device)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """From the host to where the model is. To a GPU by locked memory: a copy from any other waits for all that was launched."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Looking:
    """At what a GPU has computed up to a mark, while it goes on with what was launched later."""

    def __init__(self, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        # Before what waits on other streams: a look takes a few copies of some kilobytes.
        self._stream = torch.cuda.Stream(device, priority=-1) if on_gpu else None
        self._mark = torch.cuda.Event() if on_gpu else None

    def mark(self) -> None:
        """Here, on the current stream."""
        if self._mark is not None:
            self._mark.record()

    @contextlib.contextmanager
    def up_to_mark(self) -> Iterator[None]:
        """What is read inside waits for the mark alone. Nothing that was launched after it may write to what is read."""
        if self._stream is None or self._mark is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._mark)
            yield
