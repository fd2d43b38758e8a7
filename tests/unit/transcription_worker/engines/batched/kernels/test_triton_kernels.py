"""Each kernel gives what torch's operations give, and compiles for every supported GPU."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import triton
from transcription_api.choices import FLOAT8_CAPABILITY
from transcription_worker.engines.batched.kernels import triton_kernels
from transcription_worker.engines.batched.kernels.float8 import LARGEST, LEAST, column_length
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompilationError

from tests.support import gpu_marker

# The compute capabilities of Ampere, Ada, Hopper, and Blackwell in data centres and desktops.
CAPABILITIES = (80, 86, 89, 90, 100, 120)
# Volta, for which the image with CUDA 12 has code, and Turing, for which both have: copies wait there, and nothing is asked of speed.
OLDER_CAPABILITIES = (70, 75)
# Those that float8 is for.
FLOAT8_CAPABILITIES = tuple(one for one in CAPABILITIES if divmod(one, 10) >= FLOAT8_CAPABILITY)
BATCHED = Path(__file__).parents[1]


@pytest.mark.skipif(
    triton.__version__.startswith("3.6."),
    reason="the interpreter of Triton 3.6 takes a loop's bound from an array of one number, which numpy 2.4 refuses",
)
@pytest.mark.parametrize("tests", ["kernels/test_triton_kernels_on_gpu.py", "model/test_cuda_graphs_on_gpu.py"])
def test_kernels_give_what_torch_gives_in_tritons_interpreter(tests: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", BATCHED / tests],
        env=environment | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert gpu_marker.NO_DEVICE not in ran.stdout


def compiled(
    kernel: Any, pointers: dict[str, str], scalars: dict[str, str], constants: dict[str, Any], target: int, warps: int
) -> Any:
    """Compile a kernel for a GPU that need not be here. Pointers are aligned to 16 bytes, like those of tensors."""
    names = kernel.arg_names
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in pointers}
    types = pointers | scalars
    source = ASTSource(
        kernel,
        {name: types.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        aligned,
    )
    return triton.compile(source, target=GPUTarget("cuda", target, 32), options={"num_warps": warps})


def large(half: str) -> dict[str, tuple[Any, ...]]:
    """Return the kernels with the arguments that large-v3 with five beams gives them."""
    shape = {"heads": 20, "width": 64}
    audio = {
        "tile": triton_kernels.MAX_QUERIES,
        "block": triton_kernels.AUDIO_BLOCK,
        "stages": triton_kernels.STAGES,
        "length": 1500,
        "column_length": 64,
        "scales": None,
    }
    text = {"context": 448, "group": 5, "block": triton_kernels.TEXT_BLOCK}
    flags = {"finished": "*u8"}
    tensors = (
        ("queries", "keys", "values", "out"),
        ("qkv", "keys", "values", "out"),
        ("hidden", "update", "added", "normed"),
    )
    halves = [dict.fromkeys(names, half) for names in tensors]
    scale, kept = {"scale": "fp32"}, {"sources": "*i8", "positions": "*i64"}
    norm = halves[2] | {"weight": "*fp32", "bias": "*fp32"}
    group = scale | {"group": "i32"}
    eight = halves[0] | dict.fromkeys(("keys", "values"), "*fp8e4nv") | {"scales": "*fp32"}
    columns = {name: value for name, value in audio.items() if name != "scales"} | {
        "column_length": column_length(1500)
    }
    strides = dict.fromkeys(("slot_stride", "head_stride", "position_stride"), "i32")
    written = {"numbers": half, "quantized": "*fp8e4nv", "scales": "*fp32"}
    quantized = shape | {
        "length": 1500, "position_step": 1, "column_step": column_length(1500), "size": 64 * column_length(1500),
        "block": triton_kernels.QUANTIZED_BLOCK, "largest": LARGEST, "least": LEAST,
    }  # fmt: skip
    return {
        "audio": (triton_kernels._cross_attention, halves[0] | flags, group, shape | audio, 4),
        "audio in 8 bits": (triton_kernels._cross_attention, eight | flags, group, shape | columns, 4),
        "quantization": (triton_kernels._quantize, written, strides, quantized, 4),
        "text": (triton_kernels._self_attention, halves[1] | flags | kept, scale, shape | text, triton_kernels.TEXT_WARPS),
        "norm": (triton_kernels._add_and_norm, norm, {"eps": "fp32"}, {"width": 1280, "block": 2048}, 4),
    }  # fmt: skip


KERNELS = [
    *itertools.product(CAPABILITIES, ["audio", "text", "norm"], ["*fp16", "*bf16"]),
    *itertools.product(FLOAT8_CAPABILITIES, ["audio in 8 bits", "quantization"], ["*fp16"]),
]


@pytest.mark.parametrize(("target", "name", "half"), KERNELS)
def test_kernels_compile_for_a_gpu_and_keep_all_they_hold_in_registers(
    target: int, name: str, half: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    kernel, pointers, scalars, constants, warps = large(half)[name]
    made = compiled(kernel, pointers, scalars, constants, target, warps)
    (tmp_path / "kernel.cubin").write_bytes(made.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    used = subprocess.run(
        [tool, "--dump-resource-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"STACK:0 .*LOCAL:0 ", used), used
    # A streaming multiprocessor has 228 or 100 KiB, and at least two programs must have room.
    assert made.metadata.shared <= 48 << 10
    assert ".v4" in made.asm["ptx"]  # 16 bytes at a time
    if name.startswith("audio"):
        assert "cp.async" in made.asm["ptx"]  # on their way while others are computed
        assert re.search(r"mma\.sync|wgmma", made.asm["ptx"])
    if name == "audio in 8 bits":
        assert "cp.async.ca" not in made.asm["ptx"]  # every copy has 16 bytes
        assert not re.search(r"ld\.shared\S*\.[bu]8", made.asm["ptx"])  # nothing is turned around byte by byte


@pytest.mark.parametrize("name", ["audio", "text", "norm"])
@pytest.mark.parametrize("target", OLDER_CAPABILITIES)
def test_kernels_compile_for_the_oldest_gpus_that_an_image_has_code_for(
    target: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    kernel, pointers, scalars, constants, warps = large("*fp16")[name]
    made = compiled(kernel, pointers, scalars, constants, target, warps)
    assert made.asm["cubin"]
    assert made.metadata.shared <= 48 << 10


@pytest.mark.parametrize("target", [one for one in CAPABILITIES if one not in FLOAT8_CAPABILITIES])
def test_a_gpu_below_the_capability_that_float8_asks_for_has_no_such_numbers(
    target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel, pointers, scalars, constants, warps = large("*fp16")["audio in 8 bits"]
    with pytest.raises(CompilationError, match="fp8e4nv not supported"):
        compiled(kernel, pointers, scalars, constants, target, warps)
