"""The options that the parts share, and what they do at their start."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transcription_worker.engines.batched.kernels import kernel_trial
from transcription_worker.engines.triton_link import use_prebuilt_link

from benchmarks.gpu_check.child import SKIPPED
from benchmarks.gpu_check.figures import Figures


@dataclass(frozen=True)
class Run:
    """What a part begins with. `name` is the device's, such as NVIDIA H200."""

    options: argparse.Namespace
    figures: Figures
    device: torch.device
    name: str

    @property
    def half(self) -> torch.dtype:
        """The numbers that a model has on the device unless others are asked for."""
        return torch.float16 if self.device.type == "cuda" else torch.float32


def part_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of all parts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--figures", type=Path, required=True, help="the file that figures are appended to")
    parser.add_argument("--part", required=True, help="the name that figures get")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    return parser


def begin(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> Run:
    """Read the options. Which kernels are taken, and how long each takes, is logged from here on."""
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device: got {options.device!r}, but torch sees no CUDA device here")
    logging.basicConfig(format="%(message)s")
    logging.getLogger(kernel_trial.__name__).setLevel(logging.INFO)
    if device.type == "cuda":
        use_prebuilt_link()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return Run(options, Figures(options.figures, options.part), device, name)


def skip(why: str) -> SystemExit:
    """Return the exception that ends a part which cannot run here."""
    print(f"skipped: {why}", flush=True)
    return SystemExit(SKIPPED)
