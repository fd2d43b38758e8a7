"""Whether a pod may go to a node with certain labels, as Kubernetes' scheduler finds it.

After k8s.io/component-helpers/scheduling/corev1/nodeaffinity and k8s.io/apimachinery/pkg/labels, Requirement.Matches.
"""

from collections.abc import Mapping
from typing import Any

Labels = Mapping[str, str]

CUDA_13 = {
    "reference": "worker:13",
    "cuda": "13.2",
    "minDriver": 580,
    "computeCapabilities": ["7.5", "8.0", "8.6", "9.0", "10.0", "12.0"],
}
CUDA_12 = {
    "reference": "worker:12",
    "cuda": "12.8",
    "minDriver": 525,
    "computeCapabilities": ["7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0"],
}


def gpu_node(
    driver: int = 580, capability: str = "8.9", memory: int | None = 23034, old: bool = False
) -> dict[str, str]:
    """Return the labels of GPU feature discovery; memory is in MiB. `old` versions have another name for the driver."""
    major, _, minor = capability.partition(".")
    labels = {"nvidia.com/gpu.compute.major": major, "nvidia.com/gpu.compute.minor": minor}
    labels["nvidia.com/cuda.driver.major" if old else "nvidia.com/cuda.driver-version.major"] = str(driver)
    return labels | ({"nvidia.com/gpu.memory": str(memory)} if memory is not None else {})


def may_run(pod: Mapping[str, Any], labels: Labels) -> bool:
    """Whether the pod's required affinity and node selector match the node."""
    if any(labels.get(name) != value for name, value in pod.get("nodeSelector", {}).items()):
        return False
    affinity = pod.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_matches(term, labels) for term in required["nodeSelectorTerms"])


def preference(pod: Mapping[str, Any], labels: Labels) -> int:
    """The sum of the weights of the preferences that the node matches."""
    affinity = pod.get("affinity", {}).get("nodeAffinity", {})
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return sum(item["weight"] for item in preferred if _matches(item["preference"], labels))


def _matches(term: Mapping[str, Any], labels: Labels) -> bool:
    # A term without expressions selects no node.
    expressions = term["matchExpressions"]
    return bool(expressions) and all(_holds(item, labels) for item in expressions)


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return value is not None and value in values
        case "DoesNotExist":
            assert not values
            return value is None
        case "Gt":
            (limit,) = values
            return value is not None and value.lstrip("-").isdecimal() and int(value) > int(limit)
    raise AssertionError(f"the operator {expression['operator']} is not used")
