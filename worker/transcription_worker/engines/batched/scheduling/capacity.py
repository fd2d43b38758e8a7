"""How many windows are decoded together: as many as fit into memory, up to where more bring no gain."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transcription_api.spec import Precision

from transcription_worker.engines.batched.kernels import float8
from transcription_worker.engines.batched.kernels.cross_attention_cpu import panel_shapes
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba
from transcription_worker.engines.batched.model.cross_attention import caches_features

# With more, the last windows of a run wait for the slow steps of many: 45 recordings with five beams took 22.0 s with 16 windows
# and 24.9 with 32 (tiny.en, two cores), and as long as each other with one beam.
MAX_WINDOWS_CPU = 16
MAX_WINDOWS_PER_CORE = 8
# A window of large-v3 with 100 tokens took 8.9 ms of an H200 with 64 windows together, 8.0 with 96, 7.7 with 128, 6.9 with 192 and
# 6.7 with 256; with five beams 11.7 ms with 64, 10.5 with 96 and 9.9 with 128.
MAX_WINDOWS_GPU = 192
# With keys and values of 8 bits a window costs less beside the weights, which all windows share. Chosen, and not measured.
MAX_WINDOWS_FLOAT8 = 256
# Share of the memory that is free once the model is loaded; the rest is for the encoder, logits and other work.
HOST_MEMORY_SHARE = 0.25
# The same of a GPU, for the batch that decodes first and for the one that decodes again at temperatures above 0, with fewer windows.
GPU_MEMORY_SHARE = 0.6
GPU_MEMORY_SHARE_AGAIN = 0.25
# Decode batches that may be full at once on a CPU: beam search at temperature 0, sampling above it.
FULL_BATCHES = 2


@dataclass(frozen=True)
class CgroupFiles:
    """Where a version of cgroups tells the limit of the pod's memory, its use and what that consists of, in bytes.

    cached: fields of `stat` for the page cache. mapped: the field for the part of it that programs have mapped.
    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html. The fields of v1 without
    total_ leave out the groups below.
    """

    limit: str
    used: str
    stat: str
    cached: tuple[str, ...]
    mapped: str


CGROUP_VERSIONS = (
    CgroupFiles("memory.max", "memory.current", "memory.stat", ("inactive_file", "active_file"), "file_mapped"),
    CgroupFiles(
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        ("total_inactive_file", "total_active_file"),
        "total_mapped_file",
    ),
)


def window_bytes(
    dims: Any, group: int, dtype: torch.dtype, device: torch.device, precision: Precision = Precision.AUTO
) -> int:
    """Bytes of KV cache for one window: cross-attention once, self-attention for each of its `group` rows.

    dims: the model's whisper.model.ModelDimensions. precision: with float8 the audio's keys and values have 8 bits.
    """
    text = 2 * dims.n_text_layer * group * dims.n_text_ctx * dims.n_text_state * dtype.itemsize
    head_width = dims.n_text_state // dims.n_text_head
    if precision is Precision.FLOAT8:
        return int(text + dims.n_text_layer * float8.window_bytes(dims.n_text_head, dims.n_audio_ctx, head_width))
    if not uses_numba(dtype, device):
        return int(text + 2 * dims.n_text_layer * dims.n_audio_ctx * dims.n_text_state * dtype.itemsize)
    text += group * dims.n_text_ctx  # which row holds each position, see IndirectSelfAttention
    if caches_features(dims.n_text_head, group):
        panels, count = panel_shapes(dims.n_audio_ctx, dims.n_text_state), 1
    else:
        panels, count = panel_shapes(dims.n_audio_ctx, head_width), dims.n_text_layer * dims.n_text_head
    return int(text + count * sum(map(math.prod, panels)) * dtype.itemsize)


def window_count(
    dims: Any, group: int, dtype: torch.dtype, device: torch.device, precision: Precision = Precision.AUTO
) -> int:
    """How many windows fit into the host's free memory; at least 1. Arguments as in window_bytes."""
    free = free_host_bytes() * HOST_MEMORY_SHARE
    most: int = max(MAX_WINDOWS_CPU, MAX_WINDOWS_PER_CORE * torch.get_num_threads())
    return max(1, min(most, int(free) // (FULL_BATCHES * window_bytes(dims, group, dtype, device, precision))))


@dataclass(frozen=True)
class GpuMemory:
    """How many windows a decode batch on a GPU holds, by its rows. free: bytes, once the model is loaded."""

    dims: Any
    dtype: torch.dtype
    device: torch.device
    free: int
    precision: Precision = Precision.AUTO

    @staticmethod
    def of(dims: Any, dtype: torch.dtype, device: torch.device, precision: Precision = Precision.AUTO) -> "GpuMemory":
        """Look at how much of the GPU's memory is free. Arguments as in window_bytes."""
        return GpuMemory(dims, dtype, device, torch.cuda.mem_get_info(device)[0], precision)

    def windows(self, group: int, sampling: bool = False) -> int:
        """Windows of `group` rows each, at least 1. sampling: at a temperature above 0."""
        share = GPU_MEMORY_SHARE_AGAIN if sampling else GPU_MEMORY_SHARE
        fit = int(self.free * share) // window_bytes(self.dims, group, self.dtype, self.device, self.precision)
        return max(1, min(MAX_WINDOWS_FLOAT8 if self.precision is Precision.FLOAT8 else MAX_WINDOWS_GPU, fit))


def free_host_bytes(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that the node has available or that the pod's limit leaves, whichever is less.

    Page cache counts as free, as it does in MemAvailable: the kernel gives it up before it refuses memory.
    """
    available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    found = [int(available.split()[1]) * 1024]
    for files in CGROUP_VERSIONS:
        try:
            left = int((cgroup / files.limit).read_text()) - int((cgroup / files.used).read_text())
        except (OSError, ValueError):
            continue  # no such cgroup, or no limit: "max"
        found.append(left + reclaimable_bytes(cgroup, files))
    return max(0, min(found))


def reclaimable_bytes(cgroup: Path, files: CgroupFiles) -> int:
    """Bytes of page cache in the use of a cgroup. Mapped files stay: the model's weights are read again and again."""
    try:
        stat = dict(line.split() for line in (cgroup / files.stat).read_text().splitlines())
        return max(0, sum(int(stat[name]) for name in files.cached) - int(stat[files.mapped]))
    except (OSError, ValueError, KeyError):
        return 0
