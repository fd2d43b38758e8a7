"""Our images: built from the checkout, tagged by their content, loaded into the nodes that run them."""

import os
from dataclasses import dataclass
from pathlib import Path

from hack.stack.kube import kubectl, run

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "hack/cluster"
# Selects the nodes that the worker runs on: the GPU node alone, since the image is several GB.
GPU_NODE = "nvidia.com/gpu.present=true"


@dataclass(frozen=True)
class Image:
    """`nodes` is a label selector; empty: every node."""

    name: str
    dockerfile: str
    nodes: str = ""


OPERATOR = Image("transcription-operator", "Dockerfile.operator", "!nvidia.com/gpu.present")
WORKER = Image("transcription-worker", "Dockerfile.worker", GPU_NODE)
S3 = Image("versitygw", "hack/cluster/Dockerfile.versitygw", "node-role.kubernetes.io/control-plane")


def existing_cluster() -> bool:
    """Whether the current context is used instead of a kind cluster: images then come from a registry."""
    return os.environ.get("CLUSTER") == "existing"


def ensure_image(image: Image) -> str:
    """Reference of the image, present on its nodes. The tag is the content's, so that a release rolls out only what changed.

    With CLUSTER=existing it is what IMAGE_<NAME> names, as IMAGE_TRANSCRIPTION_WORKER: nothing is built or loaded.
    """
    variable = "IMAGE_" + image.name.upper().replace("-", "_")
    if existing_cluster():
        if not os.environ.get(variable):
            raise ValueError(
                f"{variable} is not set: with CLUSTER=existing it names an image that the cluster can pull"
            )
        return os.environ[variable]
    run(str(CLUSTER / "build-image"), f"{image.name}:dev", str(ROOT / image.dockerfile))
    content = (
        run("docker", "image", "inspect", "--format", "{{.Id}}", f"{image.name}:dev").strip().removeprefix("sha256:")
    )
    reference = f"{image.name}:{content[:12]}"
    run("docker", "tag", f"{image.name}:dev", reference)
    nodes = kubectl("get", "nodes", "-l", image.nodes, "-o", "jsonpath={.items[*].metadata.name}").split()
    run(str(CLUSTER / "load"), reference, *nodes)
    return reference
