"""Run Triton with the link to libcuda that is in the worker's image.

Before its first kernel Triton compiles driver.c, its link to libcuda. The image contains the link, built with it, and
Triton's hook for custom builds (triton.knobs.build.impl) returns it, so that the image of CUDA 13 needs no C compiler. Triton
3.6, which comes with CUDA 12, compiles a launcher for each kernel's arguments too, for which that image has one. Word
timestamps on a GPU run two Triton kernels of openai-whisper, so that every engine needs this.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Set in the image only. Elsewhere Triton finds a compiler, and without one openai-whisper falls back to slower code.
ENV_LINK = "TRANSCRIPTION_TRITON_LINK"
LINK_NAME = "cuda_utils"
COMPILER = "gcc"


def use_prebuilt_link() -> bool:
    """Let Triton use the link in the image. Returns whether there is one."""
    link = os.environ.get(ENV_LINK)
    if not link:
        return False
    import triton

    triton.knobs.build.impl = _builder(link)
    # Only a linker needs libcuda's folder; unset, Triton refuses a driver that ldconfig does not list. In the image of CUDA 12
    # the folder has a file of libcuda's name to link with.
    triton.knobs.nvidia.libcuda_path = str(Path(link).parent)
    return True


def _builder(link: str) -> Any:
    def build(
        name: str,
        source: str,
        folder: str,
        library_folders: Iterable[str] = (),
        include_folders: Iterable[str] = (),
        libraries: Iterable[str] = (),
        *_: object,
    ) -> str:
        if name == LINK_NAME:
            return link
        if shutil.which(COMPILER) is None:
            # openai-whisper catches RuntimeError and goes on without the kernel.
            raise RuntimeError(f"this image has no C compiler to build {name!r} with")
        return _compile(Path(folder, f"{name}.so"), source, library_folders, include_folders, libraries)

    return build


def _compile(
    target: Path,
    source: str,
    library_folders: Iterable[str],
    include_folders: Iterable[str],
    libraries: Iterable[str],
) -> str:
    """Compile as triton.runtime.build does.

    Raises:
        RuntimeError: The compiler refuses the source. The message has the end of its words.
    """
    # Debian's own scheme leads elsewhere.
    python = sysconfig.get_paths(scheme="posix_prefix")["include"]
    command = [COMPILER, source, "-O3", "-shared", "-fPIC", "-Wno-psabi", "-o", str(target)]
    command += [f"-l:{library}" for library in libraries]
    command += [f"-L{folder}" for folder in library_folders]
    command += [f"-I{folder}" for folder in (*include_folders, python)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{COMPILER} did not build {target.name}: {done.stderr[-300:]}")
    return str(target)
