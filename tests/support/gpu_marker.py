"""Implement the marker `gpu`: a test with it runs only if there is a CUDA device.

Elsewhere the test is skipped, or fails if pytest was given --require-gpu. One marked gpu(interpreter=True) also runs
without a device in a process with TRITON_INTERPRET=1, where Triton interprets its kernels on the CPU.
"""

import os
from functools import cache

import pytest

NO_DEVICE = "needs a CUDA device, and there is none"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu", action="store_true", help="fail tests marked gpu, not skip them, if there is no CUDA device"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test marked gpu where it can't run."""
    marker = item.get_closest_marker("gpu")
    if marker is None or has_cuda_device():
        return
    if item.config.getoption("--require-gpu"):
        pytest.fail(NO_DEVICE, pytrace=False)
    if not (marker.kwargs.get("interpreter") and os.environ.get("TRITON_INTERPRET") == "1"):
        pytest.skip(NO_DEVICE)


@cache
def has_cuda_device() -> bool:
    """Return whether torch finds a CUDA device.

    torch takes seconds to import, so it is imported for the first test that is marked and not before.
    """
    import torch

    return bool(torch.cuda.is_available())
