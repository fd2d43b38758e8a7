"""Tell from the facts about a device whether it is usable, or which of the GPU reasons applies.

The functions are pure, so that every diagnosis can be tested without a GPU.
"""

import re
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.reasons import Reason

from transcription_worker.image_variants import needed_driver, supports, usable_variants
from transcription_worker.nvml import GPU, shown_cuda

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


# The values of variables that hide every GPU.
HIDING = {
    "CUDA_VISIBLE_DEVICES": ("", "-1", "void", "none", "NoDevFiles"),
    "NVIDIA_VISIBLE_DEVICES": ("", "-1", "void", "none"),
}

# CUDA's words for a GPU that may be had later: its fabric starts, or another process has it to itself.
NOT_READY = ("system not yet initialized", "busy or unavailable")

# What CUDA's words mean for the node, where they do not say it themselves.
HINTS = (
    (
        "unsupported display driver",
        "the driver's library and its kernel module differ: restart the node after an update",
    ),
    ("system not yet initialized", "the NVSwitch fabric is not ready: look at nvidia-fabricmanager on the node"),
    ("CUDA unknown error", "look for /dev/nvidia-uvm in the container, and at the node's kernel log"),
    ("busy or unavailable", "another process has the GPU to itself: see its compute mode in nvidia-smi -q"),
    ("ECC", "the GPU's memory is faulty: reset the GPU, and take the node out of service if it comes again"),
)


@dataclass(frozen=True)
class DeviceFacts:
    """The facts that the diagnosis is made from; those that were not found are None."""

    torch: str
    cuda: str | None  # the CUDA version of the torch build; None for a CPU build
    built_for: tuple[str, ...] = ()  # such as sm_90 or compute_120
    library_error: str | None = None  # why torch could not be loaded
    driver: str | None = None
    driver_cuda: str | None = None  # the newest CUDA version that the driver knows
    present: tuple[GPU, ...] = ()  # what NVML sees, also where CUDA does not start
    ecc_errors: int | None = None  # uncorrectable, since the driver was loaded
    lost_gpus: int = 0  # that the driver has, and that answer no more
    silent_seconds: float | None = None  # for which the driver gave no answer
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
    if facts.library_error is not None:
        return Diagnosis(reasons.GPU_LIBRARY_MISSING, f"torch was not loaded: {_first_line(facts.library_error)}")
    if facts.cuda is None:
        return Diagnosis(reasons.GPU_UNSUPPORTED, f"torch {facts.torch} is a build without CUDA")
    if facts.silent_seconds is not None:
        return Diagnosis(reasons.GPU_UNRESPONSIVE, _silent(facts))
    if facts.init_error is not None or not facts.gpus:
        return _not_started(facts, facts.init_error or "torch sees no CUDA device")
    gpu = facts.gpus[0]
    if not supports(facts.built_for, gpu.capability):
        return Diagnosis(reasons.GPU_UNSUPPORTED, _unsupported(gpu, facts))
    if facts.kernel_error is not None:
        return _kernel_failed(gpu, facts)
    return Diagnosis(
        None, f"{gpu.name}: compute capability {shown(gpu.capability)}, a kernel ran and its result is right"
    )


def usable_images(facts: DeviceFacts) -> tuple[str, ...]:
    """The CUDA versions of the images that the node's driver and GPU can run; none where they are not known."""
    gpus = facts.gpus or facts.present
    return usable_variants(facts.driver, gpus[0].capability) if gpus and facts.driver is not None else ()


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
    found = f"CUDA did not start (driver {facts.driver or 'of unknown version'}): {_last_words(words)}"
    if facts.lost_gpus:
        return Diagnosis(reasons.GPU_FAILED, found + _lost(facts))
    if "No CUDA GPUs are available" in words or "no CUDA-capable device" in words or not facts.nodes:
        return Diagnosis(reasons.GPU_NOT_VISIBLE, _invisible(facts))
    if facts.libcuda_error is not None or "Found no NVIDIA driver" in words:
        return Diagnosis(reasons.GPU_DRIVER_MISSING, _missing(facts))
    return Diagnosis(_failed_or_not_ready(words), found + _hint(words))


def _kernel_failed(gpu: GPU, facts: DeviceFacts) -> Diagnosis:
    words = facts.kernel_error or ""
    if is_out_of_memory(words):
        return Diagnosis(reasons.OUT_OF_MEMORY, f"{gpu.name}: {_first_line(words)}")
    if "no kernel image" in words or "unsupported toolchain" in words:
        return Diagnosis(reasons.GPU_UNSUPPORTED, _unsupported(gpu, facts))
    errors = f" ({facts.ecc_errors} uncorrectable ECC errors since the driver was loaded)" if facts.ecc_errors else ""
    found = f"{gpu.name}: a small kernel failed: {_first_line(words)}{errors}"
    return Diagnosis(_failed_or_not_ready(words), found + (_lost(facts) or _hint(words + errors)))


def _failed_or_not_ready(words: str) -> Reason:
    return reasons.GPU_NOT_READY if any(sign in words for sign in NOT_READY) else reasons.GPU_FAILED


def is_gpu_fault(words: str) -> bool:
    """Return whether a RuntimeError of torch is about the device or its libraries, and not about the program's input."""
    return any(sign in words for sign in FAULT_SIGNS)


def is_out_of_memory(words: str) -> bool:
    """Return whether torch's message says that the GPU's or the host's memory is full."""
    return "out of memory" in words.lower() or "can't allocate memory" in words


def shown(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _too_old(facts: DeviceFacts, words: str) -> str:
    found = re.search(r"found version (\d+)", words)
    known = facts.driver_cuda or (shown_cuda(int(found.group(1))) if found else None)
    driver = f"driver {facts.driver or 'of unknown version'}" + (f", which knows CUDA {known}" if known else "")
    needed = needed_driver(facts.cuda or "")
    return f"{driver}; CUDA {facts.cuda} of torch {facts.torch} needs {needed} or newer; {_other_image(facts)}"


def _other_image(facts: DeviceFacts) -> str:
    """The remedy by another image, where there is one."""
    gpus = facts.gpus or facts.present
    usable = usable_variants(facts.driver, gpus[0].capability if gpus else None) if facts.driver else ()
    if usable:
        return f"the worker's image with CUDA {usable[0]} runs here"
    return f"the image with CUDA 12 needs driver {needed_driver('12')} or newer, and none runs with an older one"


def _silent(facts: DeviceFacts) -> str:
    driver = facts.driver or "of unknown version"
    return f"driver {driver} gave no answer for {facts.silent_seconds:g} s when CUDA was started or a small kernel ran"


def _missing(facts: DeviceFacts) -> str:
    module = f"the kernel module is {facts.driver}" if facts.driver else "no kernel module answers"
    parts = [
        facts.libcuda_error or "torch found no driver",
        module,
        f"device nodes: {', '.join(facts.nodes) or 'none'}",
    ]
    capabilities = dict(facts.masks).get("NVIDIA_DRIVER_CAPABILITIES")
    if capabilities is not None and not {"all", "compute"} & set(capabilities.split(",")):
        parts.append(f"NVIDIA_DRIVER_CAPABILITIES is {capabilities!r}, expected compute,utility")
    return "; ".join(parts)


def _invisible(facts: DeviceFacts) -> str:
    nodes = ", ".join(facts.nodes) or "no /dev/nvidia* in the container"
    masks = ", ".join(f"{name}={value!r}" for name, value in facts.masks if name in HIDING) or "no variable hides one"
    return f"driver {facts.driver or 'of unknown version'} is there, but no device: {nodes}; {masks}"


def _unsupported(gpu: GPU, facts: DeviceFacts) -> str:
    found = f"{gpu.name} has compute capability {shown(gpu.capability)}; this build has {' '.join(facts.built_for) or 'none'}"
    usable = usable_variants(facts.driver, gpu.capability)
    own = (facts.cuda or "").split(".")[0]
    others = [variant for variant in usable if variant != own]
    return f"{found}; " + (
        f"the worker's image with CUDA {others[0]} has code for it" if others else "no other image has code for it"
    )


def _lost(facts: DeviceFacts) -> str:
    """Say that a GPU answers the driver no more; empty where all do."""
    if not facts.lost_gpus:
        return ""
    count = "a GPU has" if facts.lost_gpus == 1 else f"{facts.lost_gpus} GPUs have"
    return f"; {count} fallen off the bus (Xid 79): restart the node, and take it out of service if it comes again"


def _hint(words: str) -> str:
    return next((f"; {hint}" for sign, hint in HINTS if sign in words), "")


def _hiding(masks: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    return next((mask for mask in masks if mask[1] in HIDING.get(mask[0], ())), None)


def _first_line(words: str) -> str:
    return words.strip().split("\n", 1)[0][:300]


def _last_words(words: str) -> str:
    """The end of torch's first line, which begins with a question about the program that is never the cause."""
    line = _first_line(words)
    return line[line.index("Error ") :] if "might have already set an error? Error " in line else line
