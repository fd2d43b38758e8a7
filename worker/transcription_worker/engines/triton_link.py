"""Run Triton without a C compiler.

Before its first kernel Triton compiles driver.c, its link to libcuda. The worker's image has no compiler: it contains the
link, built with the image, and Triton's hook for custom builds (triton.knobs.build.impl) returns it. Word timestamps on a
GPU run two Triton kernels of openai-whisper, so that every engine needs this.
"""

import os
from pathlib import Path
from typing import Any

# Set in the image only. Elsewhere Triton finds a compiler, and without one openai-whisper falls back to slower code.
ENV_LINK = "TRANSCRIPTION_TRITON_LINK"
LINK_NAME = "cuda_utils"


def use_prebuilt_link() -> bool:
    """Let Triton use the link in the image. Returns whether there is one."""
    link = os.environ.get(ENV_LINK)
    if not link:
        return False
    import triton

    triton.knobs.build.impl = _builder(link)
    # Only a linker needs libcuda's folder; unset, Triton refuses a driver that ldconfig does not list.
    triton.knobs.nvidia.libcuda_path = str(Path(link).parent)
    return True


def _builder(link: str) -> Any:
    def build(name: str, *_: object) -> str:
        if name != LINK_NAME:
            # openai-whisper catches RuntimeError and goes on without the kernel.
            raise RuntimeError(f"this image has no C compiler to build {name!r} with")
        return link

    return build
