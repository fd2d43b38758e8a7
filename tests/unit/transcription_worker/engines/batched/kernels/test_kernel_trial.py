"""A kernel is used only if it gives torch's result and is faster; the log says which kernel is used."""

import logging
from collections.abc import Callable

import pytest
import torch
from transcription_worker.engines.batched.kernels.kernel_trial import KernelTrial, passes_trial

HALF = torch.float16
RIGHT = torch.arange(1, 5, dtype=HALF)


def refused() -> torch.Tensor:
    raise RuntimeError("no kernel image is available for execution on the device")


@pytest.mark.parametrize(
    ("kernel", "seconds", "expected", "words"),
    [
        (RIGHT.clone, (1e-6, 2e-6), True, "attention: 1.0 µs, torch's kernel 2.0 µs"),
        (lambda: RIGHT * 1.001, (1e-6, 2e-6), True, "1.0 µs"),
        (RIGHT.clone, (2e-6, 1e-6), False, "2.0 µs, torch's kernel 1.0 µs"),
        (lambda: RIGHT * 1.1, (1e-6, 2e-6), False, "attention has a relative error of 0.1: using torch's kernel"),
        (lambda: RIGHT * float("nan"), (1e-6, 2e-6), False, "error of nan"),
        (refused, (1e-6, 2e-6), False, "attention does not run here (RuntimeError): using torch's kernel"),
    ],
)
def test_it_is_taken_where_it_is_right_and_quicker(
    kernel: Callable[[], torch.Tensor], seconds: tuple[float, float], expected: bool, words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    trial = KernelTrial(kernel, lambda: RIGHT)
    took = dict(zip((trial.kernel, trial.torch_kernel), seconds, strict=True))
    assert passes_trial("attention", lambda: trial, took.__getitem__) is expected
    assert words in caplog.text


def test_a_kernel_that_cannot_be_recorded_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    def clock(_: Callable[[], torch.Tensor]) -> float:
        raise torch.AcceleratorError("operation not permitted when stream is capturing")

    assert not passes_trial("attention", lambda: KernelTrial(lambda: RIGHT, lambda: RIGHT), clock)
    assert "does not run here" in caplog.text


def test_what_there_is_no_memory_to_try_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    def prepare() -> KernelTrial:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    assert not passes_trial("attention", prepare, lambda _: 0.0)
    assert "attention does not run here (OutOfMemoryError): using torch's kernel" in caplog.text
