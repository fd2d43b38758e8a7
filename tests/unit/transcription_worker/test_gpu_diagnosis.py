"""Facts about devices lead to the right diagnosis, with the real messages of torch and the driver."""

import dataclasses
from typing import Any

import pytest
import torch
from transcription_api import reasons
from transcription_worker.gpu_diagnosis import DeviceFacts, diagnose
from transcription_worker.image_variants import VARIANTS, needed_driver, supports, usable_variants
from transcription_worker.nvml import GPU

H100 = GPU("NVIDIA H100 80GB HBM3", (9, 0), 85 << 30)
V100 = GPU("Tesla V100-SXM2-16GB", (7, 0), 16 << 30)
BUILT_FOR = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
# The facts of a healthy node; each test takes something away from them.
HEALTHY = DeviceFacts(
    torch="2.15.0+cu132",
    cuda="13.2",
    built_for=BUILT_FOR,
    driver="590.44.01",
    nodes=("/dev/nvidia0",),
    gpus=(H100,),
)

NO_LIBCUDA = "libcuda.so.1: cannot open shared object file: No such file or directory"
NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
    "http://www.nvidia.com/Download/index.aspx"
)
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx Alternatively, go to: "
    "https://pytorch.org to install a PyTorch version that has been compiled with your version of the CUDA driver."
)
NO_GPUS = "No CUDA GPUs are available"
NO_IMAGE = (
    "CUDA error: no kernel image is available for execution on the device\nSearch for `cudaErrorNoKernelImageForDevice' in "
    "https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information."
)
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which 3.56 MiB is free."
NOT_INITIALIZED = (
    "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that "
    "might have already set an error? Error 802: system not yet initialized"
)
ILLEGAL_ACCESS = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"
)


def but(**fields: Any) -> DeviceFacts:
    return dataclasses.replace(HEALTHY, **fields)


def test_a_node_in_order_gets_no_reason() -> None:
    diagnosis = diagnose(HEALTHY)
    assert diagnosis.reason is None
    assert "NVIDIA H100 80GB HBM3" in diagnosis.message


def test_a_node_without_a_driver_is_told_so() -> None:
    facts = but(driver=None, libcuda_error=NO_LIBCUDA, nodes=(), gpus=(), init_error=NO_DRIVER)
    diagnosis = diagnose(facts)
    assert diagnosis.reason is reasons.GPU_DRIVER_MISSING
    assert "libcuda.so.1: cannot open shared object file" in diagnosis.message
    assert "device nodes: none" in diagnosis.message


def test_a_pod_without_the_runtime_class_names_the_kernel_module_that_is_there() -> None:
    diagnosis = diagnose(but(libcuda_error=NO_LIBCUDA, nodes=(), gpus=(), init_error=NO_DRIVER))
    assert diagnosis.reason is reasons.GPU_DRIVER_MISSING
    assert "the kernel module is 590.44.01" in diagnosis.message


def test_device_nodes_without_the_drivers_library_are_a_missing_driver() -> None:
    diagnosis = diagnose(but(libcuda_error=NO_LIBCUDA, gpus=(), init_error=NO_DRIVER))
    assert diagnosis.reason is reasons.GPU_DRIVER_MISSING


def test_an_old_driver_names_the_version_found_and_the_one_needed() -> None:
    diagnosis = diagnose(but(driver="550.90.07", gpus=(), init_error=TOO_OLD))
    assert diagnosis.reason is reasons.GPU_DRIVER_TOO_OLD
    assert diagnosis.message == (
        "driver 550.90.07, which knows CUDA 12.4; CUDA 13.2 of torch 2.15.0+cu132 needs 580.65.06 or newer; "
        "the worker's image with CUDA 12 runs here"
    )


@pytest.mark.parametrize("value", ["", "-1", "void", "none", "NoDevFiles"])
def test_a_mask_that_hides_every_gpu_is_named(value: str) -> None:
    facts = but(masks=(("CUDA_VISIBLE_DEVICES", value),), gpus=(), init_error=NO_GPUS)
    diagnosis = diagnose(facts)
    assert diagnosis.reason is reasons.GPU_NOT_VISIBLE
    assert diagnosis.message == f"CUDA_VISIBLE_DEVICES is {value!r}, which hides every GPU"


@pytest.mark.parametrize("value", ["", "-1", "void", "none"])
def test_a_pod_that_requested_no_gpu_is_told_what_the_runtime_was_asked_for(value: str) -> None:
    facts = but(masks=(("NVIDIA_VISIBLE_DEVICES", value),), nodes=(), gpus=(), init_error=NO_GPUS)
    assert diagnose(facts).reason is reasons.GPU_NOT_VISIBLE


def test_a_mask_that_names_another_gpu_is_shown() -> None:
    diagnosis = diagnose(but(masks=(("CUDA_VISIBLE_DEVICES", "7"),), gpus=(), init_error=NO_GPUS))
    assert diagnosis.reason is reasons.GPU_NOT_VISIBLE
    assert "CUDA_VISIBLE_DEVICES='7'" in diagnosis.message


def test_a_driver_without_device_nodes_is_not_visible() -> None:
    diagnosis = diagnose(but(nodes=(), gpus=(), init_error=NO_GPUS))
    assert diagnosis.reason is reasons.GPU_NOT_VISIBLE
    assert "no /dev/nvidia* in the container" in diagnosis.message


def test_a_compute_capability_that_the_build_lacks_is_named_with_what_it_has() -> None:
    diagnosis = diagnose(but(gpus=(V100,)))
    assert diagnosis.reason is reasons.GPU_UNSUPPORTED
    assert diagnosis.message == (
        f"Tesla V100-SXM2-16GB has compute capability 7.0; this build has {' '.join(BUILT_FOR)}; "
        "the worker's image with CUDA 12 has code for it"
    )


def test_a_kernel_without_an_image_is_unsupported_whatever_the_list_said() -> None:
    assert diagnose(but(kernel_error=NO_IMAGE)).reason is reasons.GPU_UNSUPPORTED


def test_a_library_that_the_image_lacks_is_named() -> None:
    words = "libcublas.so.13: cannot open shared object file: No such file or directory"
    diagnosis = diagnose(but(cuda=None, library_error=words, gpus=()))
    assert diagnosis.reason is reasons.GPU_LIBRARY_MISSING
    assert diagnosis.message == f"torch was not loaded: {words}"


def test_a_cpu_build_of_torch_is_unsupported() -> None:
    assert diagnose(but(cuda=None, gpus=())).reason is reasons.GPU_UNSUPPORTED


def test_a_full_gpu_is_out_of_memory() -> None:
    diagnosis = diagnose(but(kernel_error=OUT_OF_MEMORY))
    assert diagnosis.reason is reasons.OUT_OF_MEMORY
    assert "79.11 GiB" in diagnosis.message


def test_a_full_gpu_that_cannot_even_start_is_out_of_memory() -> None:
    assert diagnose(but(gpus=(), init_error="CUDA error: out of memory")).reason is reasons.OUT_OF_MEMORY


def test_a_fabric_that_is_not_ready_is_waited_for_and_told_with_the_drivers_words() -> None:
    diagnosis = diagnose(but(gpus=(), init_error=NOT_INITIALIZED))
    assert diagnosis.reason is reasons.GPU_NOT_READY
    assert "Error 802: system not yet initialized" in diagnosis.message


@pytest.mark.parametrize("words", [ILLEGAL_ACCESS, "the product of two small matrices is wrong"])
def test_a_kernel_that_fails_or_computes_wrong_is_a_failed_gpu(words: str) -> None:
    diagnosis = diagnose(but(kernel_error=words))
    assert diagnosis.reason is reasons.GPU_FAILED
    assert words.splitlines()[0] in diagnosis.message


@pytest.mark.parametrize(
    ("built_for", "capability", "expected"),
    [
        (("sm_86",), (8, 6), True),
        (("sm_86",), (8, 9), True),  # a later minor version of the same major
        (("sm_86",), (8, 0), False),  # an earlier one
        (("sm_86",), (9, 0), False),  # another major
        (("compute_80",), (9, 0), True),  # PTX is compiled by the driver for what is newer
        (("compute_80",), (7, 5), False),
        (("sm_90a",), (9, 0), True),  # for that one architecture
        (("sm_100a",), (10, 3), False),
        (("sm_100f",), (10, 3), True),  # for the family
        (("sm_120",), (12, 1), True),
        ((), (9, 0), False),
    ],
)
def test_code_runs_on_a_device_as_cuda_says(
    built_for: tuple[str, ...], capability: tuple[int, int], expected: bool
) -> None:
    assert supports(built_for, capability) is expected


@pytest.mark.parametrize(("cuda", "driver"), [("11.8", "450.80.02"), ("12.6", "525.60.13"), ("13.2", "580.65.06")])
def test_the_oldest_driver_is_that_of_the_cuda_major_version(cuda: str, driver: str) -> None:
    assert needed_driver(cuda) == driver


def test_the_table_of_images_has_the_architectures_of_the_torch_that_is_installed() -> None:
    major = torch.version.cuda.split(".")[0]
    (variant,) = (one for one in VARIANTS if one.cuda == major)
    assert variant.built_for == tuple(torch._C._cuda_getArchFlags().split())


@pytest.mark.parametrize(
    ("driver", "capability", "expected"),
    [
        ("580.65.06", (9, 0), ("13", "12")),
        ("580.65.05", (9, 0), ("12",)),
        ("580.95", (7, 0), ("12",)),
        ("525.60.13", (7, 5), ("12",)),
        ("525.60.12", (7, 5), ()),
        (None, (3, 7), ()),
        ("590.44.01", None, ("13", "12")),
    ],
)
def test_an_image_runs_with_its_drivers_and_on_gpus_that_it_has_code_for(
    driver: str | None, capability: tuple[int, int] | None, expected: tuple[str, ...]
) -> None:
    assert usable_variants(driver, capability) == expected
