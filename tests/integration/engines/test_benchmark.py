"""The benchmark for a GPU runs to its end on a CPU, so that it does not fail when a GPU is there for minutes only."""

import argparse

import pytest
import torch

from benchmarks.engines.gpu import run_size
from benchmarks.engines.roofline import Device

CPU = torch.device("cpu")


def test_every_side_gives_as_many_tokens_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = argparse.Namespace(windows=3, reference_windows=1, batch=[2], rounds=1, tokens=6)
    assert run_size("tiny", CPU, Device(flops=1e11, bandwidth=1e10), chosen)
    out = capsys.readouterr().out
    assert "tiny: 3 windows of 30 s, 6 tokens each" in out
    row = out.split("|---|---|---|---|---|---|\n")[1].splitlines()[0]
    assert row.startswith("| 2 | ")
    assert "faster-whisper, batches of" in out
