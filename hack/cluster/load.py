"""Load images from the Docker engine into the nodes' containerd.

`kind load` is not used, since it needs crictl in the node and keeps an image's layers both packed and unpacked.
"""

import re
import shlex
import subprocess

from hack.cluster import kind, linking
from hack.cluster.stages import StageError, output, say, stage

ID_LABEL = "transcription.dev/image-id"  # on the image in the node: the engine's id of what was loaded
CTR = ("ctr", "--namespace", "k8s.io", "images")


def reference(image: str) -> str:
    """Return the image's full name, as kubelet asks for it: registry, repository and tag."""
    name, _, tag = image.rpartition(":")
    if not name or "/" in tag:
        name, tag = image, "latest"
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return f"{name}:{tag}"


def node_names(words: list[str]) -> list[str]:
    """Return the nodes' names for names or for control-plane, gpu and plain. Raises StageError for another text."""
    names = [kind.ALIASES.get(word, word) for word in words]
    unknown = [name for name in names if name not in kind.NODES]
    if unknown:
        raise StageError(f"no such node: {' '.join(unknown)}; expected some of {' '.join(kind.ALIASES)}")
    return names


def load(image: str, words: list[str]) -> None:
    """Bring `image` to each node that does not hold it yet."""
    wanted = output(["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
    for node in node_names(words):
        if f"{ID_LABEL}={wanted}" in held(node, reference(image)):
            say(f"   {node} holds {image}")
            continue
        plan = linking.plan(image, node)
        with stage(f"{image} to {node}, {'linked' if plan else 'copied'}"):
            linking.link(plan, reference(image), node) if plan else _copy(image, node)
        output(["docker", "exec", node, *CTR, "label", reference(image), f"{ID_LABEL}={wanted}"])
        _remove_superseded(node, reference(image), wanted)


def held(node: str, name: str) -> str:
    """Return the line in which the node's containerd lists the image with its labels, or an empty text."""
    return "\n".join(output(["docker", "exec", node, *CTR, "list", f"name=={name}"]).splitlines()[1:])


def _remove_superseded(node: str, name: str, wanted: str) -> None:
    used = output(["docker", "exec", node, "ctr", "--namespace", "k8s.io", "containers", "list"]).split()
    names = superseded(output(["docker", "exec", node, *CTR, "list"]), set(used), name, wanted)
    if names:
        output(["docker", "exec", node, *CTR, "remove", *names])


def superseded(listing: str, used: set[str], name: str, wanted: str) -> list[str]:
    """Return images of `name`'s repository in ctr's listing that were loaded from here, are not `wanted` and unused.

    Each goes by its name and by its id, under which containerd keeps it too.
    """
    repository = name.rpartition(":")[0] + ":"
    found = []
    for fields in (line.split() for line in listing.splitlines()[1:]):
        label = re.search(rf"{ID_LABEL}=(sha256:[0-9a-f]+)", fields[-1])
        if label and label[1] != wanted and fields[0].startswith(repository) and fields[0] not in used:
            found += [fields[0], label[1]]
    return found


def _copy(image: str, node: str) -> None:
    save = shlex.join(["docker", "save", image])
    put = shlex.join(["docker", "exec", "-i", node, *CTR, "import", "--local", "--discard-unpacked-layers", "-"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{save} | {put}"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StageError(f"{save} | {put}\nended with exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
