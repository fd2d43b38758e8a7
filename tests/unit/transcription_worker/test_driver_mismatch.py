"""Every mismatch of driver, device and image is told apart, by the real torch on a stand-in for NVIDIA's driver.

torch and libcudart run as they are up to cuInit, which is where most mismatches show. What comes after needs a driver: there
torch's words are replayed as they were recorded, and the rest is the doctor's own. `make test-torch` runs them with the torch of
the other image.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as installed
from transcription_api import exit_codes

from tests.support.nvidia.stand_in import LIBCUDA, NVML, Machine

H100, T4, V100, K80 = (
    "NVIDIA H100 80GB HBM3,9,0,85520809984",
    "Tesla T4,7,5,16106127360",
    "Tesla V100-SXM2-16GB,7,0,16945512448",
    "Tesla K80,3,7,11996954624",
)
# Functions of NVML by which the driver tells that a GPU is lost, whichever is asked first.
LOST = ("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName")
MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Fri May 31 09:35:42 UTC 2024\n"
SM_12 = "sm_70 sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
SM_13 = SM_12.removeprefix("sm_70 ")
NOT_STARTED = (
    "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that "
)


CUDA = str(installed.version.cuda).partition(".")[0]
WITH_CUDA_13 = pytest.mark.skipif(CUDA != "13", reason=f"the installed torch is of CUDA {CUDA}")
WITH_CUDA_12 = pytest.mark.skipif(CUDA != "12", reason=f"the installed torch is of CUDA {CUDA}: make test-torch")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine(tmp_path_factory.mktemp("driver"))
    yield found
    found.close()


def node(gpu: str = H100, driver: str = "580.95.05", cuda: int = 13000, **further: str) -> dict[str, str]:
    return {"STAND_IN_GPU": gpu, "STAND_IN_DRIVER": driver, "STAND_IN_CUDA": str(cuda)} | further


def verdict(report: dict[str, Any]) -> tuple[str, str]:
    """Return reason and message, of a report that goes with exit code and advice."""
    assert report["exitCode"] == exit_codes.DEVICE_UNUSABLE
    assert report["advice"]
    return report["reason"], report["message"]


def test_a_node_without_a_driver_lacks_libcuda_kernel_module_and_device_nodes(machine: Machine) -> None:
    reason, message = verdict(machine.doctor({}, libraries=(), nodes=()))
    assert reason == "GPUDriverMissing"
    assert "libcuda.so.1: cannot open shared object file" in message
    assert "no kernel module answers; device nodes: none" in message


def test_a_file_that_programs_are_linked_with_is_not_taken_for_the_driver(machine: Machine) -> None:
    reason, message = verdict(machine.doctor({}, libraries=(), nodes=(), empty=(LIBCUDA, NVML)))
    assert reason == "GPUDriverMissing"
    assert "libcuda.so.1: a file of this name is there, but it has no cuInit" in message


def test_a_pod_without_the_nvidia_runtime_is_told_of_the_kernel_module_that_is_there(machine: Machine) -> None:
    reason, message = verdict(machine.doctor({}, libraries=(), nodes=(), kernel_module=MODULE))
    assert reason == "GPUDriverMissing"
    assert "the kernel module is 550.54.15" in message


def test_a_runtime_that_was_not_asked_for_compute_leaves_libcuda_out(machine: Machine) -> None:
    environment = node() | {"NVIDIA_DRIVER_CAPABILITIES": "utility"}
    reason, message = verdict(machine.doctor(environment, libraries=(NVML,)))
    assert reason == "GPUDriverMissing"
    assert "NVIDIA_DRIVER_CAPABILITIES is 'utility', expected compute,utility" in message


def test_a_driver_without_device_nodes_has_nothing_to_show(machine: Machine) -> None:
    reason, message = verdict(machine.doctor(node(gpu=""), nodes=()))
    assert reason == "GPUNotVisible"
    assert "driver 580.95.05 is there, but no device: no /dev/nvidia* in the container" in message


@pytest.mark.parametrize("value", ["", "-1", "void"])
def test_a_mask_of_cuda_is_named(machine: Machine, value: str) -> None:
    report = machine.doctor(node() | {"CUDA_VISIBLE_DEVICES": value})
    assert verdict(report) == ("GPUNotVisible", f"CUDA_VISIBLE_DEVICES is {value!r}, which hides every GPU")
    assert report["gpus"][0]["name"] == "NVIDIA H100 80GB HBM3", "NVML sees what CUDA does not"


@pytest.mark.parametrize("value", ["", "-1", "void", "none"])
def test_a_mask_of_the_runtime_is_named(machine: Machine, value: str) -> None:
    report = machine.doctor(node(gpu="") | {"NVIDIA_VISIBLE_DEVICES": value}, nodes=())
    assert verdict(report) == ("GPUNotVisible", f"NVIDIA_VISIBLE_DEVICES is {value!r}, which hides every GPU")


@WITH_CUDA_13
@pytest.mark.parametrize(
    ("driver", "cuda", "gpu", "images", "remedy"),
    [
        ("450.80.02", 11000, T4, [], "the image with CUDA 12 needs driver 525.60.13 or newer"),
        ("525.60.13", 12000, T4, ["12"], "the worker's image with CUDA 12 runs here"),
        ("550.54.15", 12040, H100, ["12"], "the worker's image with CUDA 12 runs here"),
        ("575.57.08", 12090, H100, ["12"], "the worker's image with CUDA 12 runs here"),
        ("550.54.15", 12040, V100, ["12"], "the worker's image with CUDA 12 runs here"),
        ("470.82.01", 11040, K80, [], "the image with CUDA 12 needs driver 525.60.13 or newer"),
    ],
)
def test_an_image_for_cuda_13_names_the_driver_it_needs_and_the_image_for_the_one_it_found(
    machine: Machine, driver: str, cuda: int, gpu: str, images: list[str], remedy: str
) -> None:
    report = machine.doctor(node(gpu, driver, cuda))
    reason, message = verdict(report)
    assert reason == "GPUDriverTooOld"
    assert message.startswith(f"driver {driver}, which knows CUDA {cuda // 1000}.{cuda % 1000 // 10}; CUDA 13.")
    assert "needs 580.65.06 or newer" in message
    assert remedy in message
    assert report["usableImages"] == images


@WITH_CUDA_12
@pytest.mark.parametrize(("driver", "cuda", "gpu"), [("450.80.02", 11000, T4), ("470.82.01", 11040, K80)])
def test_the_torch_of_cuda_12_names_the_driver_that_it_needs(
    machine: Machine, driver: str, cuda: int, gpu: str
) -> None:
    reason, message = verdict(machine.doctor(node(gpu, driver, cuda)))
    assert reason == "GPUDriverTooOld"
    assert message.startswith(f"driver {driver}, which knows CUDA 11.{cuda % 1000 // 10}; CUDA 12.")
    assert "needs 525.60.13 or newer" in message


@WITH_CUDA_12
@pytest.mark.parametrize(("driver", "cuda"), [("525.60.13", 12000), ("550.54.15", 12040), ("575.57.08", 12090)])
def test_the_torch_of_cuda_12_finds_no_driver_of_cuda_12_too_old(machine: Machine, driver: str, cuda: int) -> None:
    """It goes on to what the stand-in does not have, and that is no mismatch of versions."""
    report = machine.doctor(node(H100, driver, cuda))
    assert report["reason"] not in ("GPUDriverTooOld", "GPUDriverMissing", "GPUNotVisible")
    assert report["usableImages"] == ["12"]


def started(gpu: tuple[Any, ...], **recorded: Any) -> dict[str, Any]:
    return {"gpus": [gpu]} | recorded


def test_an_image_for_cuda_12_runs_with_the_drivers_of_cuda_12(machine: Machine) -> None:
    for driver, cuda in (("525.60.13", 12000), ("550.54.15", 12040), ("575.57.08", 12090)):
        torch = started(("NVIDIA H100 80GB HBM3", (9, 0), 85 << 30), cuda="12.8", built_for=SM_12)
        report = machine.doctor(node(H100, driver, cuda), torch=torch)
        assert (report["usable"], report["exitCode"], report["usableImages"]) == (True, 0, ["12"])


def test_an_image_for_cuda_12_names_the_driver_that_is_older_than_cuda_12(machine: Machine) -> None:
    words = "The NVIDIA driver on your system is too old (found version 11000). Please update your GPU driver"
    torch = {"init_error": words, "cuda": "12.8", "built_for": SM_12}
    reason, message = verdict(machine.doctor(node(T4, "450.80.02", 11000), torch=torch))
    assert reason == "GPUDriverTooOld"
    assert "needs 525.60.13 or newer" in message


def test_a_gpu_that_the_build_has_no_code_for_is_named_with_the_image_that_has(machine: Machine) -> None:
    torch = started(("Tesla V100-SXM2-16GB", (7, 0), 16 << 30), cuda="13.2", built_for=SM_13)
    reason, message = verdict(machine.doctor(node(V100), torch=torch))
    assert reason == "GPUUnsupported"
    assert message.startswith("Tesla V100-SXM2-16GB has compute capability 7.0; this build has sm_75 sm_80")
    assert message.endswith("the worker's image with CUDA 12 has code for it")


def test_a_gpu_that_no_image_has_code_for_is_said_to_be_one(machine: Machine) -> None:
    torch = started(("Tesla K80", (3, 7), 12 << 30))
    assert verdict(machine.doctor(node(K80), torch=torch))[1].endswith("no other image has code for it")


@pytest.mark.parametrize(
    ("code", "expected", "words", "hint"),
    [
        (802, "GPUNotReady", "Error 802: system not yet initialized", "nvidia-fabricmanager"),
        (803, "GPUFailed", "Error 803: system has unsupported display driver", "restart the node"),
        (999, "GPUFailed", "CUDA unknown error", "/dev/nvidia-uvm"),
        (46, "GPUNotReady", "Error 46: ", "compute mode"),
    ],
)
def test_a_driver_that_does_not_start_is_told_with_cudas_words_and_what_they_mean(
    machine: Machine, code: int, expected: str, words: str, hint: str
) -> None:
    reason, message = verdict(machine.doctor(node(STAND_IN_CUINIT=str(code))))
    assert reason == expected
    assert f"(driver 580.95.05): {words}" in message
    assert hint in message


def test_memory_that_is_full_when_cuda_starts_is_out_of_memory(machine: Machine) -> None:
    assert verdict(machine.doctor(node(STAND_IN_CUINIT="2")))[0] == "OutOfMemory"


def test_an_ecc_error_at_the_first_kernel_is_a_failed_gpu_with_the_errors_that_the_driver_counted(
    machine: Machine,
) -> None:
    torch = started(("NVIDIA H100", (9, 0), 85 << 30), kernel_error="CUDA error: uncorrectable ECC error encountered")
    reason, message = verdict(machine.doctor(node(STAND_IN_ECC="3"), torch=torch))
    assert reason == "GPUFailed"
    assert "uncorrectable ECC error encountered (3 uncorrectable ECC errors since the driver was loaded)" in message
    assert "reset the GPU" in message


@pytest.mark.parametrize("words", ["an illegal instruction was encountered", "unspecified launch failure"])
def test_an_xid_at_the_first_kernel_is_a_failed_gpu(machine: Machine, words: str) -> None:
    """Xid 13, 31, 43 and their like: the GPU stays, and the process has CUDA's words."""
    torch = started(("NVIDIA H100", (9, 0), 85 << 30), kernel_error=f"CUDA error: {words}")
    assert verdict(machine.doctor(node(), torch=torch)) == (
        "GPUFailed",
        f"NVIDIA H100: a small kernel failed: CUDA error: {words}",
    )


@pytest.mark.parametrize("function", LOST)
def test_a_gpu_that_falls_off_the_bus_at_the_first_kernel_is_named_as_lost(machine: Machine, function: str) -> None:
    torch = started(("NVIDIA H100", (9, 0), 85 << 30), kernel_error="CUDA error: unspecified launch failure")
    report = machine.doctor(node(STAND_IN_LOST=function), torch=torch)
    reason, message = verdict(report)
    assert (reason, report["lostGPUs"]) == ("GPUFailed", 1)
    assert "unspecified launch failure; a GPU has fallen off the bus (Xid 79): restart the node" in message


@pytest.mark.parametrize("code", [100, 999])
def test_a_gpu_that_has_fallen_off_the_bus_before_is_not_taken_for_one_that_was_never_there(
    machine: Machine, code: int
) -> None:
    """CUDA says no device, or an unknown error: the first would be permanent, and the next pod may get another card."""
    reason, message = verdict(machine.doctor(node(STAND_IN_LOST=LOST[0], STAND_IN_CUINIT=str(code))))
    assert reason == "GPUFailed"
    assert "; a GPU has fallen off the bus (Xid 79): restart the node" in message


def test_a_full_gpu_at_the_first_kernel_is_out_of_memory(machine: Machine) -> None:
    torch = started(("NVIDIA H100", (9, 0), 85 << 30), kernel_error="CUDA out of memory. Tried to allocate 20.00 MiB.")
    assert verdict(machine.doctor(node(), torch=torch))[0] == "OutOfMemory"


@pytest.mark.parametrize("function", ["nvmlInit_v2", "cuInit", "cuDevicePrimaryCtxRetain"])
def test_a_driver_that_never_answers_is_given_up_after_its_time(machine: Machine, function: str) -> None:
    report = machine.doctor(node(STAND_IN_HANGS=function), limit=0.3)
    reason, message = verdict(report)
    assert reason == "GPUUnresponsive"
    assert "gave no answer for 0.3 s" in message
    assert report["hangs"]


def test_a_library_of_cuda_that_the_image_lacks_is_told_before_anything_else(
    tmp_path: Path,
) -> None:
    """The loader's words, as torch's import gives them on. The policy PreferGPU has nothing to go on with either."""
    (tmp_path / "torch").mkdir()
    words = "libcublas.so.13: cannot open shared object file: No such file or directory"
    (tmp_path / "torch/__init__.py").write_text(f"raise ImportError({words!r})")
    program = "from transcription_worker.device import *; prove_device(DevicePolicy.PREFER_GPU)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], check=False, env=environment, capture_output=True, text=True)
    assert f"GPULibraryMissing: torch was not loaded: {words}" in done.stderr


@WITH_CUDA_13
def test_without_nvml_the_kernel_module_gives_the_version(machine: Machine) -> None:
    report = machine.doctor(node(cuda=12040), libraries=(LIBCUDA,), kernel_module=MODULE)
    reason, message = verdict(report)
    assert reason == "GPUDriverTooOld"
    assert message.startswith("driver 550.54.15, which knows CUDA 12.4")
    assert "the worker's image with CUDA 12 runs here" in message
