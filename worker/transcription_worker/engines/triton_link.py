"""Triton without a C compiler.

Word timestamps on a GPU run two Triton kernels of openai-whisper. Before its first kernel Triton compiles driver.c, its
link to libcuda. Our image has no compiler: it holds the link, built with the image, and Triton's own hook for other
ways to build (triton.knobs.build.impl) gives it.
"""

import os
from pathlib import Path
from typing import Any

# Set in the image alone; elsewhere Triton finds its own compiler, and without one whisper falls back to slower code.
ENV_LINK = "TRANSCRIPTION_TRITON_LINK"
LINK_NAME = "cuda_utils"


def use_prebuilt_link() -> bool:
    """Whether there is one to use."""
    link = os.environ.get(ENV_LINK)
    if not link:
        return False
    import triton

    triton.knobs.build.impl = _give(link)
    # Where libcuda lies matters to a linker alone; unset, Triton refuses a driver that ldconfig does not list.
    triton.knobs.nvidia.libcuda_path = str(Path(link).parent)
    return True


def _give(link: str) -> Any:
    def build(name: str, *_: object) -> str:
        if name != LINK_NAME:
            # whisper catches RuntimeError and goes on without the kernel
            raise RuntimeError(f"this image has no C compiler to build {name!r} with")
        return link

    return build
