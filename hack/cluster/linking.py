"""Put an image's layers into a node as hard links to the Docker engine's own files.

The engine keeps each layer as a folder (overlay2), the node's containerd too (overlayfs), in the same format, and with
kind both are on one disk as a rule. Neither writes to a layer. So 6 GB are there in seconds and take no space, where
`docker save | ctr import` writes them twice and keeps them twice.

It works only as root beside a local engine with those two drivers; `plan` tells whether it does.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.stages import StageError, output

CTR = ("ctr", "--namespace", "k8s.io")
CONTAINERD = "/var/lib/containerd"  # in the node
ROOT_LABEL = "containerd.io/gc.root"  # ctr puts it on what it prepares, so that it is not collected


@dataclass(frozen=True)
class Layer:
    """A layer. `diff` is the digest of its tar, `chain` that of it and all below, by which containerd names their folder."""

    diff: str
    chain: str
    folder: Path


@dataclass(frozen=True)
class Plan:
    """The layers to link, from the lowest up, and the image's configuration, whose digest is the image's id."""

    layers: tuple[Layer, ...]
    config: bytes
    node_var: Path  # the node's /var, as this machine sees it


def chains(diffs: Sequence[str]) -> list[str]:
    """Return the chain ids of layers from the lowest up, as the OCI image specification defines them."""
    found: list[str] = []
    for diff in diffs:
        found.append(diff if not found else "sha256:" + hashlib.sha256(f"{found[-1]} {diff}".encode()).hexdigest())
    return found


def layer_folders(image: Mapping[str, Any]) -> list[Path]:
    """Return overlay2's folders of an image that `docker image inspect` shows, from the lowest layer up, if it is overlay2."""
    driver = image["GraphDriver"]
    if driver["Name"] != "overlay2":
        return []
    lower = [path for path in driver["Data"].get("LowerDir", "").split(":") if path]
    return [Path(path) for path in reversed([driver["Data"]["UpperDir"], *lower])]


def plan(image: str, node: str) -> Plan | None:
    """Return how `image` can be linked into `node`, None if it must be copied."""
    if os.geteuid() != 0:
        return None
    seen = json.loads(output(["docker", "image", "inspect", image]))[0]
    mounts = json.loads(output(["docker", "inspect", node]))[0]["Mounts"]
    var = next((Path(mount["Source"]) for mount in mounts if mount["Destination"] == "/var"), None)
    root = Path(output(["docker", "info", "--format", "{{.DockerRootDir}}"]).strip())
    config = root / "image/overlay2/imagedb/content/sha256" / seen["Id"].removeprefix("sha256:")
    folders, diffs = layer_folders(seen), seen["RootFS"]["Layers"]
    if (
        var is None
        or len(folders) != len(diffs)
        or not all(path.is_dir() for path in (var, *folders))
        or not config.is_file()
    ):
        return None
    if len({path.stat().st_dev for path in (var, *folders)}) != 1:
        return None
    return Plan(tuple(map(Layer, diffs, chains(diffs), folders)), config.read_bytes(), var)


def link(found: Plan, name: str, node: str) -> None:
    """Put the layers and the image `name` into the node.

    Raises:
        StageError: containerd refused; what was begun is removed.
    """
    held = set(_ctr(node, "snapshots", "list").split())
    fresh = [(n, layer) for n, layer in enumerate(found.layers) if layer.chain not in held]
    for number, layer in fresh:
        below = [found.layers[number - 1].chain] if number else []
        with _prepared(node, layer, below) as folder:
            _link_folder(layer.folder, found.node_var / folder.relative_to("/var"))
    _import(image_archive(found, name), node)
    for _, layer in fresh:  # from now on the image holds them
        _ctr(node, "snapshots", "label", layer.chain, f"{ROOT_LABEL}=")


@contextmanager
def _prepared(node: str, layer: Layer, below: list[str]) -> Iterator[Path]:
    """Yield a folder in the node to fill, which becomes the layer's at the end unless filling it failed."""
    key = f"linking-{layer.chain}"
    subprocess.run(["docker", "exec", node, *CTR, "snapshots", "rm", key], capture_output=True, check=False)
    mount = _ctr(node, "snapshots", "prepare", "--target", "/x", key, *below)
    try:
        yield upper_folder(mount)
        _ctr(node, "snapshots", "commit", layer.chain, key)
    except BaseException:
        _ctr(node, "snapshots", "rm", key)
        raise


def upper_folder(mount: str) -> Path:
    """Return the folder to write to, from ctr's mount command: an overlay's upper one, or the only one for the lowest layer."""
    found = re.search(rf"({CONTAINERD}/[^\s,:]+/fs)(?= /x)", mount) or re.search(r"upperdir=([^\s,]+)", mount)
    if not found:
        raise StageError(f"no folder to write to in containerd's mount: {mount.strip()}")
    return Path(found[1])


def _link_folder(source: Path, target: Path) -> None:
    """Create folders with owner, mode and attributes, which mark what a layer hides, and link the files."""
    output(["cp", "--archive", "--link", f"{source}/.", target], timeout=300)


def image_archive(found: Plan, name: str) -> bytes:
    """Return an OCI archive of the image without its layers' tars; containerd reads none whose folder it has."""
    oci = "application/vnd.oci.image"
    config = {"mediaType": f"{oci}.config.v1+json", "digest": _digest(found.config), "size": len(found.config)}
    # the size is not known without packing the layer; nothing reads it but `ctr images list`
    layers = [{"mediaType": f"{oci}.layer.v1.tar", "digest": layer.diff, "size": 0} for layer in found.layers]
    manifest = _json({"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "config": config, "layers": layers})
    entry = {"mediaType": f"{oci}.manifest.v1+json", "digest": _digest(manifest), "size": len(manifest)}
    named = {**entry, "annotations": {"io.containerd.image.name": name}}
    index = _json({"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": [named]})
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    for blob in (found.config, manifest):
        files["blobs/sha256/" + _digest(blob).removeprefix("sha256:")] = blob
    return _tar(files)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _import(archive: bytes, node: str) -> None:
    command = ["docker", "exec", "-i", node, *CTR, "images", "import", "--local", "-"]
    done = subprocess.run(command, input=archive, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise StageError(f"ctr images import on {node}: {done.stderr.decode(errors='replace').strip()[-2000:]}")


def _ctr(node: str, *words: str) -> str:
    return output(["docker", "exec", node, *CTR, *words], timeout=120)
