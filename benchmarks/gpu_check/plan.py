"""The parts of the check in their order: what is worth most comes first, since time may run out."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """A part, started as `python COMMAND`. `limit` is in seconds; `env` is added to the environment."""

    name: str
    title: str
    limit: float
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


ENGINE = "tests/integration/engines/test_engine_on_gpu.py"
KERNELS = "tests/unit/transcription_worker/engines/batched"
# Options of the repository that another machine's pytest may not know are left out, and so is the rule that warnings are
# errors: its packages are not those of our lock file.
PYTEST = ["-m", *"pytest -q -o addopts= --import-mode=importlib -p no:cacheprovider -o filterwarnings=".split()]
FLOAT8 = ("--rounds", "1", "--precision", "float8")
DOCTOR = "import sys; from transcription_api.spec import DevicePolicy as P; from transcription_worker.doctor import run_doctor"


def make_plan(chosen: argparse.Namespace, figures: Path) -> list[Part]:
    """Return the parts for the device. On a CPU everything is small: it shows that the check runs, and says nothing of a GPU."""
    return _for_gpu(figures) if chosen.device == "cuda" else _for_cpu(figures)


def _for_gpu(figures: Path) -> list[Part]:
    def windows(size: str, count: int, limit: float) -> Part:
        given = ("--size", size, "--windows", str(count), "--rounds", "1")
        return _own("windows", f"{size}'s dimensions, random weights", limit, figures, "cuda", *given)

    return [
        Part("doctor", "what transcription-worker doctor says", 45, ("-c", f"{DOCTOR}; sys.exit(run_doctor(P.REQUIRE_GPU, False))")),
        _own("device", "the device's own arithmetic and bandwidth", 45, figures, "cuda"),
        Part("kernels", "kernels and CUDA graphs beside torch's", 110, (*PYTEST, "--require-gpu", "-m", "gpu", KERNELS)),
        windows("large-v3", 1152, 130),
        windows("turbo", 1920, 75),
        _own("profile", "what a window's time is made of", 60, figures, "cuda", "--size", "large-v3"),
        _own("files", "from mp3 files to written transcripts", 110, figures, "cuda", "--size", "turbo", "--files", "400"),
        _own("start", "seconds to the first window", 75, figures, "cuda", "--size", "large-v3"),
        _own("windows", "large-v3's dimensions in float8", 60, figures, "cuda", "--size", "large-v3", "--windows", "512", *FLOAT8),
        _own("precision", "text of half precision beside float32's", 75, figures, "cuda", "--files", "32"),
        Part("engine", "the engine beside openai-whisper, float32", 120, (*PYTEST, "--require-gpu", ENGINE)),
        _own("processors", "the CPU beside the GPU", 60, figures, "cuda", "--size", "base", "--windows", "64"),
    ]  # fmt: skip


def _for_cpu(figures: Path) -> list[Part]:
    kernel = f"{KERNELS}/kernels/test_triton_kernels_on_gpu.py"
    interpreted = (*PYTEST, "-m", "gpu", "-k", "sums_are_those and 128", kernel)
    small = ("--size", "tiny", "--tokens", "4")
    return [
        Part("doctor", "what transcription-worker doctor says", 60, ("-c", f"{DOCTOR}; sys.exit(run_doctor(P.CPU, False))")),
        _own("device", "the device's own arithmetic and bandwidth", 60, figures, "cpu"),
        Part("kernels", "a kernel beside torch's, in Triton's interpreter", 90, interpreted, (("TRITON_INTERPRET", "1"),)),
        _own("windows", "tiny's dimensions, random weights", 90, figures, "cpu", *small, "--windows", "2", "--rounds", "1"),
        _own("profile", "what a window's time is made of", 60, figures, "cpu", *small, "--slots", "2"),
        _own("files", "from mp3 files to written transcripts", 90, figures, "cpu", *small, "--files", "2"),
        _own("start", "seconds to the first window", 90, figures, "cpu", "--size", "tiny", "--context", "8"),
        _own("windows", "tiny's dimensions in float8", 90, figures, "cpu", *small, "--windows", "2", *FLOAT8),
        _own("precision", "text of half precision beside float32's", 90, figures, "cpu", "--files", "2"),
        _own("processors", "the CPU beside itself", 90, figures, "cpu", *small, "--windows", "2"),
    ]  # fmt: skip


def _own(name: str, title: str, limit: float, figures: Path, device: str, *given: str) -> Part:
    """Return a part of ours. The name tells sizes apart where a part comes twice."""
    shown = given[given.index("--size") + 1] if name == "windows" else name
    if FLOAT8[-1] in given:
        shown = FLOAT8[-1]
    command = (
        "-m",
        f"benchmarks.gpu_check.parts.{name}",
        "--figures",
        str(figures),
        "--part",
        shown,
        "--device",
        device,
    )
    return Part(shown, title, limit, (*command, *given))


def choose(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """Return the parts with these names, or all of them where none is given.

    Raises:
        ValueError: there is no such part.
    """
    known = [part.name for part in parts]
    for name in names:
        if name not in known:
            raise ValueError(f"--parts: got {name!r}, expected some of {', '.join(known)}")
    return [part for part in parts if not names or part.name in names]


def output_folder() -> Path:
    """Return $OUT where a machine that is lent takes back what is below it, else build/gpu-check."""
    return Path(os.environ.get("OUT") or "build/gpu-check")
