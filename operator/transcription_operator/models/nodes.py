"""A node with GPUs, reduced to what a decision needs of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# The label that tells a node's GPU: GPU feature discovery writes it on each node that has one.
GPU_NODES = "nvidia.com/gpu.compute.major"


class NodeView(NamedTuple):
    """A node's name and labels, and whether it is cordoned, so that no pod is scheduled there for the time being."""

    name: str
    labels: Mapping[str, str]
    cordoned: bool = False


def view_node(body: Mapping[str, Any]) -> NodeView:
    """Take what is needed of a node's metadata. Raises KeyError if no apiserver can have stored it."""
    meta = body["metadata"]
    return NodeView(meta["name"], meta.get("labels") or {})
