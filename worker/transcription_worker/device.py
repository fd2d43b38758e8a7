"""Prove the device before anything else is done, by running a small kernel on it."""

import dataclasses
import importlib.metadata
import logging
import os
import platform
import warnings
from pathlib import Path

from transcription_api.report import DeviceUsed
from transcription_api.spec import DevicePolicy

from transcription_worker import cuda_driver, nvml
from transcription_worker.errors import WorkerError
from transcription_worker.gpu_diagnosis import HIDING, DeviceFacts, Diagnosis, diagnose, shown
from transcription_worker.nvml import GPU

# torch takes seconds to import, and the CPU needs no proof. It is imported in the functions that ask about a GPU.

log = logging.getLogger(__name__)

# Variables that can hide devices, or the driver's library.
MASKS = (*HIDING, "NVIDIA_DRIVER_CAPABILITIES")
# The rows and columns of the small kernel's matrices. Sums stay below 2048, so that they are exact in half precision.
KERNEL_SIZE = 256


def prove_device(policy: DevicePolicy) -> DeviceUsed:
    """Return the device that will run the model.

    Raises:
        WorkerError: the policy is RequireGPU and no GPU is usable; its reason is one of the GPU reasons or OutOfMemory.
    """
    if policy is DevicePolicy.CPU:
        return cpu_used()
    facts = observe_device()
    diagnosis = diagnose(facts)
    if diagnosis.reason is None:
        return gpu_used(facts)
    # Without torch the CPU cannot go on either.
    if policy is DevicePolicy.REQUIRE_GPU or facts.library_error is not None:
        raise WorkerError(diagnosis.reason, diagnosis.message)
    log.warning("no usable GPU, the CPU goes on: %s: %s", diagnosis.reason.name, diagnosis.message)
    return cpu_used(diagnosis)


def observe_device(limit: float = cuda_driver.LIMIT_SECONDS) -> DeviceFacts:
    """Look at driver, masks and devices, and run the small kernel on the first GPU.

    limit: seconds that the driver has for its answers.
    """
    facts = [_build()]

    def look() -> None:
        driver = nvml.read_driver()
        facts[0] = dataclasses.replace(
            facts[0],
            driver=driver.version,
            driver_cuda=driver.cuda,
            present=driver.gpus,
            ecc_errors=driver.ecc_errors,
            lost_gpus=driver.lost,
            libcuda_error=cuda_driver.libcuda_error(),
        )
        if facts[0].cuda is not None and facts[0].library_error is None:
            cuda_driver.start()
            facts[0] = _with_gpus(facts[0])

    if cuda_driver.answers(look, limit):
        return facts[0]
    return dataclasses.replace(facts[0], silent_seconds=limit)


def _build() -> DeviceFacts:
    """What is known without the driver."""
    masks = tuple((name, os.environ[name]) for name in MASKS if name in os.environ)
    nodes = nvml.device_nodes()
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError of a library that torch loads itself
        version = importlib.metadata.version("torch")
        return DeviceFacts(version, cuda=None, library_error=str(error), nodes=nodes, masks=masks)
    # torch.cuda.get_arch_list is empty without a device, so this asks the function that it calls.
    flags = torch._C._cuda_getArchFlags() if torch.version.cuda else None
    built_for = tuple(flags.split()) if flags else ()
    return DeviceFacts(torch.__version__, torch.version.cuda, built_for, nodes=nodes, masks=masks)


def _with_gpus(facts: DeviceFacts) -> DeviceFacts:
    import torch

    try:
        with warnings.catch_warnings():
            # torch warns about problems that the diagnosis explains in full.
            warnings.simplefilter("ignore")
            torch.cuda.init()
            gpus = tuple(_gpu(index) for index in range(torch.cuda.device_count()))
    except (RuntimeError, AssertionError) as error:
        return dataclasses.replace(facts, init_error=str(error))
    return dataclasses.replace(facts, gpus=gpus, kernel_error=kernel_error("cuda:0") if gpus else None)


def _gpu(index: int) -> GPU:
    import torch

    properties = torch.cuda.get_device_properties(index)
    return GPU(properties.name, (properties.major, properties.minor), properties.total_memory)


def kernel_error(device: str) -> str | None:
    """Multiply two matrices of zeros and ones in half precision; return what went wrong, None if the product is right.

    The product goes through cuBLAS, as the model's do. It draws no random numbers, so that the model's draws stay the same.
    """
    import torch

    pattern = torch.arange(KERNEL_SIZE * KERNEL_SIZE).reshape(KERNEL_SIZE, KERNEL_SIZE) % 7 % 2
    expected = pattern.float() @ pattern.float()
    try:
        half = pattern.to(device=device, dtype=torch.float16)
        result = (half @ half).float().cpu()
    except RuntimeError as error:
        return str(error)
    return None if torch.equal(result, expected) else "the product of two small matrices is wrong"


def gpu_used(facts: DeviceFacts) -> DeviceUsed:
    """Describe the first GPU for the status."""
    gpu = facts.gpus[0]
    return DeviceUsed(
        kind="cuda",
        name=gpu.name,
        driver=facts.driver,
        cuda=facts.cuda,
        torch=facts.torch,
        compute_capability=shown(gpu.capability),
    )


def cpu_used(diagnosis: Diagnosis | None = None) -> DeviceUsed:
    """Describe the CPU for the status; `diagnosis` says why it is not the GPU that was preferred."""
    return DeviceUsed(
        kind="cpu",
        name=cpu_name(),
        torch=importlib.metadata.version("torch"),
        fallback_reason=diagnosis.reason.name if diagnosis and diagnosis.reason else None,
        fallback_message=diagnosis.message if diagnosis else None,
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's name as the kernel gives it, or else the architecture."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
