"""Choose the worker's image by the nodes that there are, and say which label stands against a pod that gets no node."""

import collections
import dataclasses

from transcription_api.spec import DevicePolicy, Spec

from transcription_operator.config import Config
from transcription_operator.manifests.node_requirements import (
    Expression,
    Requirement,
    find_requirements,
    is_labelled,
)
from transcription_operator.models.nodes import NodeView
from transcription_operator.models.objects import JobView
from transcription_operator.worker_images import WorkerImage

# What a message names: so many obstacles, and of the nodes that have each so many.
MAX_OBSTACLES, MAX_NAMES = 4, 3

Nodes = tuple[NodeView, ...]


def choose_image(spec: Spec, config: Config, nodes: Nodes | None) -> Config:
    """The settings with one image: that of the newest CUDA which a node can run, that is not cordoned if one such can run any.

    Where nothing is known of nodes, or none of those that are there can run any, it is the first of the settings'.
    """
    if spec.device.policy is DevicePolicy.CPU:
        return dataclasses.replace(config, worker_images=config.images[:1])
    by_version = sorted(config.images, key=lambda image: image.cuda_version, reverse=True)
    nodes = _labelled(nodes)
    open_nodes = tuple(node for node in nodes if not node.cordoned)
    needs = [(image, _requirements(spec, image, config)) for image in by_version]
    fitting = (image for among in (open_nodes, nodes) for image, needed in needs if _fits_any(needed, among))
    return dataclasses.replace(config, worker_images=(next(fitting, config.images[0]),))


def explain_no_node(spec: Spec, config: Config, job: JobView, nodes: Nodes | None) -> str | None:
    """Which labels of which nodes stand against the Job's pods, or None where a node fits or nothing is known of any."""
    labelled = _labelled(nodes)
    image = next((image for image in config.images if image.reference == job.image), None)
    if image is None or not labelled or spec.device.policy is not DevicePolicy.REQUIRE_GPU:
        return None
    needed = _requirements(spec, image, config)
    if _fits_any(needed, labelled):
        return None
    obstacles = collections.defaultdict(list)
    for node in labelled:
        for requirement in needed:
            if not requirement.is_met(node.labels):
                obstacles[requirement.explain(node.labels)].append(node.name)
    return f"no node fits {image.name}: {_tell(obstacles, len(labelled))}"


def _tell(obstacles: dict[str, list[str]], nodes: int) -> str:
    """The obstacles, those of most nodes first."""
    most = sorted(obstacles.items(), key=lambda item: (-len(item[1]), item[0]))
    told = [f"{obstacle} on {_names(names)}" for obstacle, names in most[:MAX_OBSTACLES]]
    more = [f"and {len(most) - MAX_OBSTACLES} other obstacles"] if len(most) > MAX_OBSTACLES else []
    return "; ".join([*told, *more, f"nodes with labels of GPU feature discovery: {nodes}"])


def _names(names: list[str]) -> str:
    named = sorted(names)[:MAX_NAMES]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(named)}{more}"


def _labelled(nodes: Nodes | None) -> Nodes:
    return tuple(node for node in nodes or () if is_labelled(node.labels))


def _fits_any(needed: tuple[Requirement, ...], nodes: Nodes) -> bool:
    return any(all(requirement.is_met(node.labels) for requirement in needed) for node in nodes)


def _requirements(spec: Spec, image: WorkerImage, config: Config) -> tuple[Requirement, ...]:
    """What the pod's affinity and its node selector ask for. A cluster may have a thousand nodes: it is found out once."""
    selected = (config.worker.node_selector | spec.device.node_selector).items()
    named = (Requirement((label,), repr(value), ((Expression(label, "In", (value,)),),)) for label, value in selected)
    return (*find_requirements(spec, image, config), *named)
