"""What a pod needs of CPU and memory beside a GPU, so that audio is decoded before the GPU wants it.

A GPU takes audio at so many times real time; a core decodes mp3 at MP3_SPEED and finds silences at SILENCE_SPEED. What a
GPU is like is told by its product's name, where a label or the settings have it.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from transcription_api.spec import DEFAULT_MODEL, DevicePolicy, EngineKind, LongForm, Spec

from transcription_operator.config import Config

# Seconds of audio for each second of a core: ffmpeg on mp3, which of the usual formats takes longest, and Silero's network,
# which longForm chunked runs over all of the audio. Measured on an AMD EPYC; opus and m4a take as long as mp3 or up to 1.7 times.
MP3_SPEED, SILENCE_SPEED = 450, 380
# Cores for all else, whatever the speed: the engine's own thread, which launches what the GPU does, S3 and writing.
ENGINE_CPUS = 1
# GiB of memory for ffmpeg and what it decodes: 60 to 100 MB for each file that is decoded at the same time.
GIB_PER_CPUS = Fraction(1, 8)
# Up to so many CPUs the memory that all workers request has room for them.
CPUS_WITH_ROOM = 2


@dataclass(frozen=True)
class GPUClass:
    """GPUs that are about as fast: times real time at which one takes audio with a model like large-v3, and with others.

    The first two are what the batched engine is to reach, 60% of what the device's arithmetic and bandwidth allow with
    large-v3; the others follow from them as MLPerf inference v5.1 has these GPUs beside each other. What was
    measured is in docs/platforms.md.
    """

    products: str
    large: int
    other: int


# By the product's name as NVIDIA's GPU feature discovery and cloud providers write it, in capitals.
CLASSES = (
    GPUClass("H200|GH200|B200|GB200|B300|GB300", 1950, 4020),
    GPUClass("H100|H800", 1500, 3700),
    GPUClass("A100|A800|H20|L20|L40S?|RTX.*6000", 420, 1050),
)
# L4, A10, T4 and whatever is not known: it asks for little more than one CPU, as small nodes have.
OTHERS = GPUClass("", 130, 320)
# Labels of nodes that say which GPU they have: NVIDIA's own, GKE's and Karpenter's on AWS.
LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name")
# A part of a GPU, such as nvidia.com/mig-1g.10gb: so many sevenths of its arithmetic.
_PART, _PARTS = re.compile(r"mig-(\d)g\."), 7


def front_end_cpus(spec: Spec, config: Config, resource_name: str) -> Fraction | None:
    """The CPUs that keep the GPUs of a pod busy; None without a GPU, and for engines that take one window at a time."""
    if spec.device.policy is DevicePolicy.CPU or spec.engine is not EngineKind.BATCHED:
        return None
    product = next(_products(spec, config), "")
    kind = gpu_class(product)
    # A part of a GPU that is not known may be as fast as a whole one of OTHERS.
    share = Fraction(1) if kind is OTHERS else _share(f"{resource_name} {product}".lower())
    speed = _speed(kind, spec) * share
    silence = speed / SILENCE_SPEED if spec.decoding.long_form is LongForm.CHUNKED else 0
    tenths = math.ceil(10 * (ENGINE_CPUS + speed / MP3_SPEED + silence))
    return Fraction(tenths, 10) * spec.device.gpus


def front_end_gib(cpus: Fraction) -> int:
    """The GiB of memory that so many CPUs of the front end take beyond what every worker requests."""
    return math.ceil((cpus - CPUS_WITH_ROOM) * GIB_PER_CPUS) if cpus > CPUS_WITH_ROOM else 0


def gpu_class(product: str) -> GPUClass:
    """The class of a GPU by its product's name; OTHERS for one that is not known."""
    found = (kind for kind in CLASSES if re.search(rf"(?<![A-Z0-9])({kind.products})(?![0-9])", product.upper()))
    return next(found, OTHERS)


def cpu_quantity(cpus: Fraction) -> str:
    """The CPUs as a Kubernetes quantity, such as 4300m."""
    return str(cpus.numerator) if cpus.denominator == 1 else f"{int(cpus * 1000)}m"


def _products(spec: Spec, config: Config) -> Iterator[str]:
    """Yield what is said of the GPU: the labels that the node must have first, then the settings."""
    labels = config.worker.node_selector | spec.device.node_selector
    yield from (str(labels[name]) for name in LABELS if labels.get(name))
    yield config.worker.gpu_product


def _speed(kind: GPUClass, spec: Spec) -> Fraction:
    """A model of one's own may be as small as tiny; more CPU than it needs is only requested for large."""
    model = spec.model
    name = "" if model.s3 or model.volume else model.name or DEFAULT_MODEL
    large = name.startswith("large") and not name.endswith("turbo")
    return Fraction(kind.large if large else kind.other)


def _share(named: str) -> Fraction:
    found = _PART.search(named)
    return Fraction(int(found[1]), _PARTS) if found else Fraction(1)
