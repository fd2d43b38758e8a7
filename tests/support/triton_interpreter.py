"""Mend what Triton's interpreter computes otherwise than a GPU."""

from typing import Any

import numpy as np
import pytest
import torch


def mend_conversion_to_float8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter convert float32 to float8 as torch and GPUs do, to the nearest.

    Triton 3.9's own conversion loses the carry of a mantissa that rounds up to the next power of two: 31.5 becomes 16.
    """
    import triton.language as tl
    from triton.runtime import interpreter

    convert = interpreter._convert_float

    def converted(data: Any, source: Any, target: Any, rounding: Any) -> Any:
        if (source, target) != (tl.float32, tl.float8e4nv):
            return convert(data, source, target, rounding)
        return torch.from_numpy(data.astype(np.float32)).to(torch.float8_e4m3fn).view(torch.uint8).numpy()

    monkeypatch.setattr(interpreter, "_convert_float", converted)
