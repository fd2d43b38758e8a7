"""How much memory a GPU must have for a resource: what spec.device.minMemory says, or what the model needs at the least."""

import math
import re

from transcription_api.model_memory import MIB, gpu_memory_mib
from transcription_api.spec import DEFAULT_MODEL, MEMORY, Spec

# Of Kubernetes' quantities.
SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def needed_mib(spec: Spec) -> int | None:
    """The least memory of a GPU in MiB, or None where the model is a file of one's own and nothing is said.

    spec.device.minMemory takes the place of the model's need, whether it is more or less.
    """
    if spec.device.min_memory is not None:
        stated = parse_quantity(spec.device.min_memory)
        return None if stated is None else math.ceil(stated / MIB)
    if spec.model.s3 or spec.model.volume:
        return None
    return gpu_memory_mib(spec.model.name or DEFAULT_MODEL, spec.decoding.precision, spec.engine)


def parse_quantity(text: str) -> float | None:
    """Bytes of a quantity, as in 24G or 16Gi, or None for another text, which a schema of another version may let pass."""
    match = re.fullmatch(MEMORY, text)
    return float(match[1]) * SUFFIXES[match[3] or ""] if match else None
