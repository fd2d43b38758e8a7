"""The images of the worker that the administrator names, and what each needs of a node's driver and GPU."""

import json
import re
from dataclasses import dataclass

from transcription_api.codec import InvalidFieldError, from_json_strictly

_CUDA_VERSION = r"[1-9][0-9]?(\.[0-9]{1,2})?"
# As in torch's TORCH_CUDA_ARCH_LIST. +PTX: later GPUs too, for which the driver compiles the code.
_CAPABILITY = r"([1-9][0-9]?)\.([0-9])(\+PTX)?"
MAX_IMAGES = 8


@dataclass(frozen=True)
class WorkerImage:
    """An image of the worker. What is not said of it, a node need not have."""

    reference: str
    cuda: str = ""  # the version of CUDA that its torch is built with, as in 13.2
    min_driver: int = 0  # the lowest major version of the NVIDIA driver that it runs with; 0: any
    compute_capabilities: tuple[str, ...] = ()  # of the GPUs that it has code for, as in 7.5 or 12.0+PTX; empty: any

    @property
    def name(self) -> str:
        """The image in messages."""
        return f"{self.reference} with CUDA {self.cuda}" if self.cuda else self.reference

    @property
    def cuda_version(self) -> tuple[int, ...]:
        """The version of CUDA, to be compared; an unknown one is the oldest."""
        return tuple(int(part) for part in self.cuda.split(".")) if self.cuda else ()

    def lowest_minor_versions(self) -> dict[int, int]:
        """The lowest minor version of the compute capability that has code, by major version.

        Code for 8.0 runs on 8.6 too, and not on 9.0.
        Source: CUDA C++ Programming Guide, "Compute Capability", binary compatibility.
        """
        found: dict[int, int] = {}
        for capability in self.compute_capabilities:
            major, minor, _ = _parse_capability(capability)
            found[major] = min(minor, found.get(major, minor))
        return found

    def highest_with_ptx(self) -> int | None:
        """The highest major version that has PTX, which runs on GPUs of every later version; None without PTX."""
        majors = [_parse_capability(item)[0] for item in self.compute_capabilities if item.endswith("+PTX")]
        return max(majors, default=None)


def parse_worker_images(text: str) -> tuple[WorkerImage, ...]:
    """Read the images from JSON, a list of objects.

    Raises:
        ValueError: The text is no list in JSON, or a field does not fit (codec.InvalidFieldError).
    """
    given = json.loads(text)
    if not isinstance(given, list) or len(given) > MAX_IMAGES:
        raise ValueError(f"expected a list of at most {MAX_IMAGES} images")
    images = tuple(from_json_strictly(WorkerImage, item, f"worker.images[{index}]") for index, item in enumerate(given))
    for index, image in enumerate(images):
        _check(image, f"worker.images[{index}]")
    return images


def _check(image: WorkerImage, path: str) -> None:
    if not image.reference.strip():
        raise InvalidFieldError(f"{path}.reference", image.reference, "an image")
    if image.cuda and not re.fullmatch(_CUDA_VERSION, image.cuda):
        raise InvalidFieldError(f"{path}.cuda", image.cuda, "a version as in 13.2, or nothing")
    if not 0 <= image.min_driver <= 9999:
        raise InvalidFieldError(f"{path}.minDriver", image.min_driver, "a driver's major version as in 580, or 0")
    for capability in image.compute_capabilities:
        if not re.fullmatch(_CAPABILITY, capability):
            raise InvalidFieldError(f"{path}.computeCapabilities", capability, "capabilities as in 7.5 or 12.0+PTX")


def _parse_capability(text: str) -> tuple[int, int, bool]:
    major, minor, ptx = re.fullmatch(_CAPABILITY, text).groups()  # type: ignore[union-attr]  # checked when it is read
    return int(major), int(minor), ptx is not None
