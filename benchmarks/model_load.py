"""Measure how fast our loader and whisper.load_model load a checkpoint of large-v3's size with random weights.

Each measurement is a process of its own, and does not count its imports. Cold: the file's pages were given back to the kernel
first, and how many stayed is printed; below a virtual machine the host may still hold them. A model whose weights are mapped
is not read when it is loaded, so every page is touched before the clock stops. Weights that the file has in float16 take new
memory in float32; how long the machine needs to give that much, with nothing written to it but zeros, is measured beside it.
"""

import argparse
import ctypes
import dataclasses
import hashlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import whisper
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.model_builder import build

from benchmarks.engines.random_models import dimensions

# What the project promises: seconds beyond the disk's own read, with the weights in the precision that the file has.
BEYOND_READ = 1.5

LARGE_V3 = dimensions("large-v3", 448)
BLOCK = 1 << 24  # bytes read at a time; random numbers drawn before they repeat
CPU = torch.device("cpu")


def main() -> int:
    """Run the measurements; return 0 if the promise is kept, cold and warm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", help="where the file is written, 6.2 GB at most; the default is the system's folder for such"
    )
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    kept = [one for dtype in MEASURED_OF for one in compare(dtype, options.folder)]
    return 0 if all(kept) else 1


def compare(dtype: torch.dtype, folder: str | None) -> list[bool]:
    """Print the tables of a file with weights of this type, and return whether each promise is kept."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "large-v3.pt"
        write_checkpoint(path, dtype)
        print(f"\nA file of {path.stat().st_size / 1e9:.2f} GB, {name_of(dtype)}, with large-v3's dimensions")
        return [print_times(measure_all(path, dtype, cold), name_of(dtype), cold) for cold in (True, False)]


def write_checkpoint(path: Path, dtype: torch.dtype, dims: Any = LARGE_V3) -> None:
    """Write a file like openai-whisper's, with `dims` and `model_state_dict`."""
    drawn = (torch.randn(BLOCK) * 0.02).to(dtype)
    tensors = {name: repeated(drawn, shape) for name, shape in shapes(dims).items()}
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": tensors}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def shapes(dims: Any = LARGE_V3) -> dict[str, torch.Size]:
    """Return the shapes of a model's tensors by name. On torch's meta device the tensors take no memory."""
    with torch.device("meta"):
        encoder = whisper.model.AudioEncoder(
            dims.n_mels, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer
        )
        decoder = whisper.model.TextDecoder(
            dims.n_vocab, dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer
        )
    parts = {"encoder": encoder, "decoder": decoder}
    return {
        f"{part}.{name}": value.shape for part, module in parts.items() for name, value in module.state_dict().items()
    }


def repeated(drawn: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    count = shape.numel()
    return drawn.repeat(-(-count // drawn.numel()))[:count].clone().view(shape)


def read(path: Path) -> None:
    """Read the file once, which takes the time of the disk or of the page cache."""
    buffer = bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def digest(path: Path) -> None:
    """Compute the file's digest, as the worker does before it opens a model."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def loaded(path: Path, dtype: torch.dtype) -> None:
    """Load with our loader, and touch every page of the weights."""
    model = build(weights.read_checkpoint(path), CPU, dtype)
    for parameter in model.parameters():
        parameter.detach().flatten().view(torch.uint8)[:: mmap.PAGESIZE].sum()


def new_memory() -> None:
    """Fill as much new memory as the weights take in float32, tensor by tensor."""
    held = [torch.empty(shape).fill_(0.0) for shape in shapes().values()]
    assert held


def load_model(path: Path) -> None:
    """Load with openai-whisper's own function."""
    whisper.load_model(str(path), device="cpu")


MEASURED: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "read": ("the file read, nothing else", read),
    "digest": ("its SHA-256", digest),
    "float16": ("ours, weights in float16", lambda path: loaded(path, torch.float16)),
    "memory": ("new memory for float32, nothing else", lambda _: new_memory()),
    "float32": ("ours, weights in float32", lambda path: loaded(path, torch.float32)),
    "load_model": ("whisper.load_model (float32)", load_model),
}
# What is measured for a file with weights of this type; the rest would say nothing new.
MEASURED_OF = {torch.float16: tuple(MEASURED), torch.float32: ("read", "float32", "load_model")}


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def measure(what: str, file: str) -> dict[str, float]:
    """Measure the wall-clock seconds, the CPU seconds and the peak resident memory in GB."""
    before, began = cpu_seconds(), time.monotonic()
    MEASURED[what][1](Path(file))
    seconds, used = time.monotonic() - began, cpu_seconds() - before
    return {"seconds": seconds, "cpu": used, "peak": peak_resident() / 1e9}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_resident() -> int:
    """Return the peak resident memory in bytes, including mapped files; getrusage would also count the parent process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def measure_all(path: Path, dtype: torch.dtype, cold: bool) -> dict[str, dict[str, float]]:
    found = {}
    for what in MEASURED_OF[dtype]:
        if cold:
            drop(path)
        else:
            read(path)
        share = resident_share(path)
        command = [sys.executable, "-m", "benchmarks.model_load", "--measure", what, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[what] = json.loads(done.stdout.splitlines()[-1]) | {"resident": share}
    return found


def drop(path: Path) -> None:
    """Drop the file from the page cache; this needs no rights, since its pages are clean."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_share(path: Path) -> float:
    """Return the share of the file's pages that is in the page cache."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE) as mapped:
        address = ctypes.byref(ctypes.c_char.from_buffer(mapped))
        if ctypes.CDLL(None, use_errno=True).mincore(address, ctypes.c_size_t(size), found):
            raise OSError(ctypes.get_errno(), "mincore")
        del address
    return sum(page & 1 for page in found) / pages


def print_times(results: dict[str, dict[str, float]], stored: str, cold: bool) -> bool:
    """Print one table, and return whether the promise is kept. `stored` is the measurement in the file's own precision."""
    print(f"\n{'cold' if cold else 'warm'}{'':36} clock      CPUs    memory   file cached before")
    for what, one in results.items():
        print(
            f"  {MEASURED[what][0]:36} {one['seconds']:7.2f} s {one['cpu']:7.2f} s {one['peak']:6.1f} GB {one['resident']:7.0%}"
        )
    beyond = {what: one["seconds"] - results["read"]["seconds"] for what, one in results.items()}
    for what in ("float16", "float32"):
        if what in results:
            times = results["load_model"]["seconds"] / results[what]["seconds"]
            print(
                f"  {MEASURED[what][0]}: {beyond[what]:.2f} s beyond the read; whisper.load_model takes {times:.1f} times"
            )
    kept = beyond[stored] <= BEYOND_READ
    print(f"{'ok  ' if kept else 'MISS'} as stored: {beyond[stored]:.2f} s beyond the read (promised: {BEYOND_READ:g})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
