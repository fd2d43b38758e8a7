"""What the labels of a node must say for a pod to run there, by GPU feature discovery's labels.

A node without these labels may be one on which GPU feature discovery does not run, or one that an autoscaler has yet to
make: nothing is known of it, and pods may go there. The worker proves the device in any case before it reads audio.
Source of the labels: NVIDIA/k8s-device-plugin, docs/gpu-feature-discovery, "Generated Labels". Memory is in MiB.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transcription_api.choices import FLOAT8_CAPABILITY
from transcription_api.spec import DevicePolicy, Precision, Spec

from transcription_operator.config import Config
from transcription_operator.manifests.gpu_memory import needed_mib
from transcription_operator.manifests.requests_and_limits import gpu_resource
from transcription_operator.models.nodes import GPU_NODES
from transcription_operator.worker_images import WorkerImage

Manifest = dict[str, Any]
Labels = Mapping[str, str]

# The name of today, and the one before it, which both are written by most versions.
DRIVER_LABELS = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
MAJOR_LABEL, MINOR_LABEL = GPU_NODES, "nvidia.com/gpu.compute.minor"
MEMORY_LABEL = "nvidia.com/gpu.memory"
# Instances of a partitioned GPU have labels of their own, as in nvidia.com/mig-1g.10gb.memory.
MIG_RESOURCE = "nvidia.com/mig-"
# Major versions of compute capabilities that later GPUs may have, for code that runs on them too. Today's highest is 12.
LATER_MAJOR_VERSIONS = 20
# The weight of a preferred node, from 1 to 100.
PREFERENCE_WEIGHT = 100


class Expression(NamedTuple):
    """One expression over a label: In, Gt (one integer) or DoesNotExist (no value), as in Kubernetes' nodeSelectorTerms."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether a node with these labels matches, as Kubernetes' scheduler finds it."""
        value = labels.get(self.key)
        if value is None or self.operator == "DoesNotExist":
            return value is None and self.operator == "DoesNotExist"
        if self.operator == "In":
            return value in self.values
        return value.isdecimal() and int(value) > int(self.values[0])


@dataclass(frozen=True)
class Requirement:
    """One thing that a node must have: all expressions of one of the alternatives match its labels."""

    labels: tuple[str, ...]  # that tell it, in messages: of several names of the same the first that a node has
    expected: str
    alternatives: tuple[tuple[Expression, ...], ...]

    def is_met(self, labels: Labels) -> bool:
        """Whether a node with these labels has it."""
        return any(all(item.matches(labels) for item in expressions) for expressions in self.alternatives)

    def explain(self, labels: Labels) -> str:
        """The label that stands against it, its value, and what was expected."""
        found = next((name for name in self.labels if name in labels), self.labels[0])
        minor = f" ({MINOR_LABEL} is {labels[MINOR_LABEL]})" if found == MAJOR_LABEL and MINOR_LABEL in labels else ""
        return f"{found} is {labels.get(found, 'missing')}{minor}, expected {self.expected}"


def find_requirements(spec: Spec, image: WorkerImage, config: Config) -> tuple[Requirement, ...]:
    """What a labelled node must have for this image and this spec. None of a pod that runs on the CPU."""
    if spec.device.policy is DevicePolicy.CPU:
        return ()
    found = []
    if image.min_driver:
        found.append(_driver(image.min_driver))
    if image.compute_capabilities:
        found.append(_capability(image))
    if spec.decoding.precision is Precision.FLOAT8:
        found.append(_float8())
    memory = needed_mib(spec)
    if memory:
        found.append(_memory(memory, gpu_resource(spec, config)))
    return tuple(found)


def is_labelled(labels: Labels) -> bool:
    """Whether GPU feature discovery has written the node's labels."""
    return MAJOR_LABEL in labels


def render_node_affinity(requirements: tuple[Requirement, ...], policy: DevicePolicy) -> Manifest | None:
    """The pod's affinity, or None where nothing is required.

    With the policy PreferGPU nodes are preferred only: on another node the pod goes on with the CPU, which was asked for.
    """
    if not requirements:
        return None
    terms = [
        {"matchExpressions": [_render(item) for item in itertools.chain(*choice)]}
        for choice in itertools.product(*(requirement.alternatives for requirement in requirements))
    ]
    if policy is DevicePolicy.PREFER_GPU:
        preferred = [{"weight": PREFERENCE_WEIGHT, "preference": term} for term in terms]
        return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    unlabelled = {"matchExpressions": [_render(Expression(MAJOR_LABEL, "DoesNotExist"))]}
    required = {"nodeSelectorTerms": [*terms, unlabelled]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _render(expression: Expression) -> Manifest:
    values = {"values": list(expression.values)} if expression.values else {}
    return {"key": expression.key, "operator": expression.operator} | values


def _driver(version: int) -> Requirement:
    alternatives = tuple((_at_least(label, version),) for label in DRIVER_LABELS)
    return Requirement(DRIVER_LABELS, f"at least {version}", alternatives)


def _capability(image: WorkerImage) -> Requirement:
    lowest, ptx = image.lowest_minor_versions(), image.highest_with_ptx()
    whole = {major for major, minor in lowest.items() if minor == 0}
    whole |= set(range(ptx + 1, LATER_MAJOR_VERSIONS)) if ptx is not None else set()
    alternatives: list[tuple[Expression, ...]] = [
        (Expression(MAJOR_LABEL, "In", (str(major),)), _at_least(MINOR_LABEL, minor))
        for major, minor in sorted(lowest.items())
        if minor > 0
    ]
    if whole:
        alternatives.insert(0, (Expression(MAJOR_LABEL, "In", tuple(str(major) for major in sorted(whole))),))
    expected = f"a compute capability among {', '.join(image.compute_capabilities)}"
    return Requirement((MAJOR_LABEL,), expected, tuple(alternatives))


def _float8() -> Requirement:
    major, minor = FLOAT8_CAPABILITY
    alternatives = (
        (Expression(MAJOR_LABEL, "In", (str(major),)), _at_least(MINOR_LABEL, minor)),
        (_at_least(MAJOR_LABEL, major + 1),),
    )
    expected = f"a compute capability of at least {major}.{minor} for spec.decoding.precision float8"
    return Requirement((MAJOR_LABEL,), expected, alternatives)


def _memory(mib: int, resource: str) -> Requirement:
    """A GPU that shares the host's memory has no such label."""
    label = f"{resource}.memory" if resource.startswith(MIG_RESOURCE) else MEMORY_LABEL
    alternatives = ((_at_least(label, mib),), (Expression(label, "DoesNotExist"),))
    return Requirement((label,), f"at least {mib} MiB", alternatives)


def _at_least(label: str, number: int) -> Expression:
    return Expression(label, "Gt", (str(number - 1),))
