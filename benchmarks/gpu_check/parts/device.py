"""Measure what the device can do at most: a large product of matrices and a large copy, as shares of a roofline need them."""

from collections.abc import Sequence

import torch

from benchmarks.engines.roofline import measure_device
from benchmarks.gpu_check.parts.options import begin, part_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure products in each precision that models have on the device."""
    run = begin(part_parser(__doc__), arguments)
    precisions = (torch.float16, torch.bfloat16) if run.device.type == "cuda" else (torch.float32,)
    for dtype in precisions:
        measured = measure_device(run.device, dtype)
        run.figures.add(f"products in {str(dtype).removeprefix('torch.')}", measured.flops / 1e12, "TFLOP/s")
    run.figures.add("a copy, read and written", measured.bandwidth / 1e12, "TB/s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
