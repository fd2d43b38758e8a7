"""Build the images from the checkout, tag them by their content and load them into the nodes that run them."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import ROOT
from tests.support.stack.kube import run

CLUSTER = ROOT / "hack/cluster"


@dataclass(frozen=True)
class Image:
    """An image and its `nodes`, which are control-plane, gpu or plain; the worker's several GB go to the GPU node only."""

    name: str
    nodes: tuple[str, ...]
    dockerfile: str | None = None  # None: one static binary of hack/cluster/binaries
    arguments: tuple[str, ...] = ()  # of the build


OPERATOR = Image("transcription-operator", ("plain",), "Dockerfile.operator")
WORKERS = {
    "13": Image("transcription-worker", ("gpu",), "Dockerfile.worker"),
    "12": Image("transcription-worker-cuda12", ("gpu",), "Dockerfile.worker", ("--build-arg", "CUDA=12")),
}
# As in make test-e2e CUDA=12.
WORKER = WORKERS[os.environ.get("WORKER_CUDA", "13")]
S3 = Image("versitygw", ("plain",))


def existing_cluster() -> bool:
    """Return whether the current context is used instead of a kind cluster; images then come from a registry."""
    return os.environ.get("CLUSTER") == "existing"


def ensure_image(image: Image, source: Path = ROOT) -> str:
    """Ensure that the image is on its nodes, and return its reference. `source` is the folder of its Dockerfile.

    The tag follows the content, so that an upgrade rolls out only what changed. With CLUSTER=existing nothing is built or
    loaded: the reference is the value of IMAGE_<NAME>, for example of IMAGE_TRANSCRIPTION_WORKER.

    Raises:
        ValueError: that variable is not set.
    """
    variable = "IMAGE_" + image.name.upper().replace("-", "_")
    if existing_cluster():
        if not os.environ.get(variable):
            raise ValueError(
                f"{variable} is not set: with CLUSTER=existing it names an image that the cluster can pull"
            )
        return os.environ[variable]
    reference = _build(image, source)
    run(str(CLUSTER / "load"), reference, *image.nodes, aloud=True)
    return reference


def _build(image: Image, source: Path) -> str:
    if image.dockerfile is None:
        return run(str(CLUSTER / "binary-image"), image.name, aloud=True).strip()
    build = (f"{image.name}:dev", str(source / image.dockerfile), *image.arguments)
    run(str(CLUSTER / "build-image"), *build, aloud=True)
    content = run("docker", "image", "inspect", "--format", "{{.Id}}", f"{image.name}:dev").strip()
    reference = f"{image.name}:{content.removeprefix('sha256:')[:12]}"
    run("docker", "tag", f"{image.name}:dev", reference)
    return reference
