"""Tell from the facts about a device whether it is usable, or which of the GPU reasons applies.

The functions are pure, so that every diagnosis can be tested without a GPU.
"""

import re
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.reasons import Reason

# The oldest Linux driver for each CUDA major version, by minor-version compatibility.
# Source: NVIDIA, "CUDA Compatibility", table "CUDA Toolkit and minimum required driver version".
MINIMUM_DRIVER = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}

# In messages of torch, Triton and CTranslate2, and of CUDA's libraries.
FAULT_SIGNS = (
    "CUDA error",
    "CUDA driver error",
    "Triton Error [CUDA]",
    "CUDA failed",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "CUSOLVER_STATUS",
    "CUFFT",
)


@dataclass(frozen=True)
class GPU:
    """A GPU as torch describes it. `capability` is (major, minor), `memory` is in bytes."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True)
class DeviceFacts:
    """The facts that the diagnosis is made from; those that were not found are None."""

    torch: str
    cuda: str | None  # the CUDA version of the torch build; None for a CPU build
    built_for: tuple[str, ...] = ()  # such as sm_90 or compute_120
    driver: str | None = None
    libcuda_error: str | None = None
    nodes: tuple[str, ...] = ()
    masks: tuple[tuple[str, str], ...] = ()  # environment variables that can hide devices, and their values
    init_error: str | None = None  # torch's message if CUDA could not be started
    gpus: tuple[GPU, ...] = ()
    kernel_error: str | None = None  # what went wrong in the small kernel on the first device


@dataclass(frozen=True)
class Diagnosis:
    """The verdict on the first GPU. `reason` is None if it is usable."""

    reason: Reason | None
    message: str


def diagnose(facts: DeviceFacts) -> Diagnosis:
    """Name the first obstacle to using the GPU, from torch's build to the small kernel."""
    if facts.cuda is None:
        return Diagnosis(reasons.GPU_UNSUPPORTED, f"torch {facts.torch} is a build without CUDA")
    if facts.init_error is not None or not facts.gpus:
        return _not_started(facts, facts.init_error or "torch sees no CUDA device")
    gpu = facts.gpus[0]
    if not supports(facts.built_for, gpu.capability):
        return Diagnosis(reasons.GPU_UNSUPPORTED, _unsupported(gpu, facts.built_for))
    if facts.kernel_error is not None:
        return _kernel_failed(gpu, facts)
    return Diagnosis(
        None, f"{gpu.name}: compute capability {shown(gpu.capability)}, a kernel ran and its result is right"
    )


def _not_started(facts: DeviceFacts, words: str) -> Diagnosis:
    # The order matters: an old driver also hides the devices, and a mask explains what device nodes cannot.
    if "too old" in words or "driver version is insufficient" in words:
        return Diagnosis(reasons.GPU_DRIVER_TOO_OLD, _too_old(facts, words))
    if is_out_of_memory(words):
        return Diagnosis(reasons.OUT_OF_MEMORY, _first_line(words))
    if (mask := _hiding(facts.masks)) is not None:
        return Diagnosis(reasons.GPU_NOT_VISIBLE, f"{mask[0]} is {mask[1]!r}, which hides every GPU")
    if facts.libcuda_error is not None and not facts.nodes:
        return Diagnosis(reasons.GPU_DRIVER_MISSING, _missing(facts))
    if "No CUDA GPUs are available" in words or "no CUDA-capable device" in words or not facts.nodes:
        return Diagnosis(reasons.GPU_NOT_VISIBLE, _invisible(facts))
    if facts.libcuda_error is not None or "Found no NVIDIA driver" in words:
        return Diagnosis(reasons.GPU_DRIVER_MISSING, _missing(facts))
    return Diagnosis(reasons.GPU_FAILED, f"CUDA did not start (driver {facts.driver}): {_first_line(words)}")


def _kernel_failed(gpu: GPU, facts: DeviceFacts) -> Diagnosis:
    words = facts.kernel_error or ""
    if is_out_of_memory(words):
        return Diagnosis(reasons.OUT_OF_MEMORY, f"{gpu.name}: {_first_line(words)}")
    if "no kernel image" in words or "unsupported toolchain" in words:
        return Diagnosis(reasons.GPU_UNSUPPORTED, _unsupported(gpu, facts.built_for))
    return Diagnosis(reasons.GPU_FAILED, f"{gpu.name}: a small kernel failed: {_first_line(words)}")


def supports(built_for: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Return whether code for these architectures runs on a device of this compute capability.

    SASS (sm_86) runs on devices of the same major version and the same or a later minor version; PTX (compute_80) also
    runs on all later ones. A name that ends in `a` (sm_90a) is for that one capability, and a name that ends in `f`
    (sm_100f) for its family, here the same major version.
    Source: CUDA C++ Programming Guide, "Compute Capability", binary and PTX compatibility.
    """
    return any(_runs(entry, capability) for entry in built_for)


def _runs(entry: str, capability: tuple[int, int]) -> bool:
    parsed = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", entry)
    if parsed is None:
        return False
    kind, major, minor, suffix = parsed.group(1), int(parsed.group(2)), int(parsed.group(3)), parsed.group(4)
    if suffix == "a":
        return capability == (major, minor)
    if kind == "compute" and not suffix:
        return capability >= (major, minor)
    return capability[0] == major and capability[1] >= minor


def is_gpu_fault(words: str) -> bool:
    """Return whether a RuntimeError of torch is about the device or its libraries, and not about the program's input."""
    return any(sign in words for sign in FAULT_SIGNS)


def is_out_of_memory(words: str) -> bool:
    """Return whether torch's message says that the GPU's or the host's memory is full."""
    return "out of memory" in words.lower() or "can't allocate memory" in words


def needed_driver(cuda: str) -> str:
    """Return the oldest driver for a CUDA version, such as 580.65.06 for 13.2."""
    major = cuda.split(".")[0]
    return MINIMUM_DRIVER.get(major, f"one for CUDA {major}")


def shown(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _too_old(facts: DeviceFacts, words: str) -> str:
    needed = needed_driver(facts.cuda or "")
    found = re.search(r"found version (\d+)", words)
    # torch writes CUDA 12.4 as 12040.
    cuda = f", which knows CUDA {int(found.group(1)) // 1000}.{int(found.group(1)) % 1000 // 10}" if found else ""
    return f"driver {facts.driver or 'of unknown version'}{cuda}; torch {facts.torch} needs {needed} or newer"


def _missing(facts: DeviceFacts) -> str:
    module = f"the kernel module is {facts.driver}" if facts.driver else "no kernel module answers"
    return (
        f"{facts.libcuda_error or 'torch found no driver'}; {module}; device nodes: {', '.join(facts.nodes) or 'none'}"
    )


def _invisible(facts: DeviceFacts) -> str:
    nodes = ", ".join(facts.nodes) or "no /dev/nvidia* in the container"
    masks = ", ".join(f"{name}={value!r}" for name, value in facts.masks) or "no variable hides one"
    return f"driver {facts.driver or 'of unknown version'} is there, but no device: {nodes}; {masks}"


def _unsupported(gpu: GPU, built_for: tuple[str, ...]) -> str:
    return f"{gpu.name} has compute capability {shown(gpu.capability)}; this build has {' '.join(built_for)}"


def _hiding(masks: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    hidden = {
        "CUDA_VISIBLE_DEVICES": ("", "-1", "NoDevFiles"),
        "NVIDIA_VISIBLE_DEVICES": ("", "void", "none"),
    }
    return next((mask for mask in masks if mask[1] in hidden.get(mask[0], ())), None)


def _first_line(words: str) -> str:
    return words.strip().split("\n", 1)[0][:300]
