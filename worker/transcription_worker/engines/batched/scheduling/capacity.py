"""How many windows are encoded and decoded together: as many as there is memory for, up to where more brings nothing."""

from pathlib import Path
from typing import Any

import torch

from transcription_worker.engines.batched.kernels.numba_jit import has_loops

# On two cores more windows were not seen to be faster; 16 for each of more cores, and a GPU's, were not measured.
MOST_ON_CPU = 32
MOST_ON_A_CORE = 16
MOST_ON_GPU = 96
# Share of the memory that is free once the model is loaded; the rest is for the encoder, logits and other work.
SHARE_OF_CPU = 0.25
SHARE_OF_GPU = 0.6
# Lanes that may be full at once: beam search at temperature 0, sampling above it.
LANES = 2

# Limit and use of the pod's memory in bytes: cgroup v2, then v1.
CGROUP_FILES = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def window_bytes(dims: Any, group: int, dtype: torch.dtype, device: torch.device) -> int:
    """What is kept of one window: of the audio once, of the text for each of its `group` rows."""
    audio = 1 if has_loops(dtype, device) else 2 * dims.n_text_layer
    positions = audio * dims.n_audio_ctx + 2 * dims.n_text_layer * group * dims.n_text_ctx
    return int(dims.n_text_state * positions * dtype.itemsize)


def window_count(dims: Any, group: int, dtype: torch.dtype, device: torch.device) -> int:
    """Windows to decode together on this device as it is now; at least one."""
    if device.type == "cuda":
        free, most = torch.cuda.mem_get_info(device)[0] * SHARE_OF_GPU, MOST_ON_GPU
    else:
        free, most = free_host_bytes() * SHARE_OF_CPU, max(MOST_ON_CPU, MOST_ON_A_CORE * torch.get_num_threads())
    return max(1, min(most, int(free) // (LANES * window_bytes(dims, group, dtype, device))))


def free_host_bytes(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int:
    """What the node has available, or the pod's limit still leaves, whichever is less."""
    available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    found = [int(available.split()[1]) * 1024]
    for limit, used in CGROUP_FILES:
        try:
            found.append(int((cgroup / limit).read_text()) - int((cgroup / used).read_text()))
        except (OSError, ValueError):
            continue  # no such cgroup, or no limit: "max"
    return max(0, min(found))
