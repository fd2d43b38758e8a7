"""Tests that need a GPU are skipped without one, or fail if a GPU is required."""

import os
import subprocess
import sys

import pytest

from tests.support.gpu_marker import NO_DEVICE

TEST = "tests/unit/transcription_worker/engines/batched/kernels/test_triton_kernels_on_gpu.py::test_high_scores_do_not_overflow"


@pytest.mark.parametrize(("options", "outcome", "code"), [([], "SKIPPED", 0), (["--require-gpu"], "ERROR", 1)])
def test_a_test_that_needs_a_gpu_says_that_there_is_none(
    options: list[str], outcome: str, code: int, request: pytest.FixtureRequest
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TRITON_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, TEST]
    ran = subprocess.run(
        command, cwd=request.config.rootpath, env=environment | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert outcome in ran.stdout
    assert NO_DEVICE in ran.stdout
