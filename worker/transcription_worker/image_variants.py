"""The variants of the worker's image, by the major version of CUDA, and which of them a node's driver and GPU can run."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageVariant:
    """An image of the worker. A test compares `built_for` with the torch that is installed.

    cuda: the major version. driver: the oldest Linux driver, by minor-version compatibility. built_for: what its torch has code
    for, such as sm_90.
    Source of the drivers: NVIDIA, "CUDA Compatibility", table "CUDA Toolkit and minimum required driver version".
    """

    cuda: str
    driver: str
    built_for: tuple[str, ...]


# From the newest. torch's wheels of CUDA 13 have no code for Volta, which CUDA 13 has dropped.
VARIANTS = (
    ImageVariant("13", "580.65.06", ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")),
    ImageVariant("12", "525.60.13", ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")),
)
# The oldest driver of an image that is not among ours.
OLDER_DRIVERS = {"11": "450.80.02"}


def needed_driver(cuda: str) -> str:
    """Return the oldest driver for a CUDA version, such as 580.65.06 for 13.2."""
    major = cuda.split(".")[0]
    known = {variant.cuda: variant.driver for variant in VARIANTS} | OLDER_DRIVERS
    return known.get(major, f"one for CUDA {major}")


def usable_variants(driver: str | None, capability: tuple[int, int] | None) -> tuple[str, ...]:
    """The CUDA versions of the images that run here, from the newest. What is None is not known, and no obstacle."""
    return tuple(
        variant.cuda
        for variant in VARIANTS
        if (driver is None or _number(driver) >= _number(variant.driver))
        and (capability is None or supports(variant.built_for, capability))
    )


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


def _number(driver: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", driver))
