"""An image's layers are linked into a node, instead of copied, with the digests that containerd expects."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import linking
from hack.cluster.stages import StageError

SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"


def test_a_chain_names_a_layer_and_all_below_it() -> None:
    below, above = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    assert linking.chains([below, above]) == [
        below,
        "sha256:" + hashlib.sha256(f"{below} {above}".encode()).hexdigest(),
    ]


def test_layer_folders_go_from_the_lowest_up() -> None:
    data = {"UpperDir": "/o/3/diff", "LowerDir": "/o/2/diff:/o/1/diff"}
    found = linking.layer_folders({"GraphDriver": {"Name": "overlay2", "Data": data}})
    assert [str(path) for path in found] == ["/o/1/diff", "/o/2/diff", "/o/3/diff"]


def test_an_image_of_one_layer_has_one_folder() -> None:
    found = linking.layer_folders({"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/o/1/diff"}}})
    assert found == [Path("/o/1/diff")]


def test_another_storage_driver_has_no_folders_to_link() -> None:
    assert linking.layer_folders({"GraphDriver": {"Name": "overlayfs", "Data": None}}) == []


@pytest.mark.parametrize(
    "mount",
    [
        f"mount -t bind {SNAPSHOTS}/19/fs /x -o rw,rbind\n",
        f"mount -t overlay overlay /x -o index=off,workdir={SNAPSHOTS}/19/work,upperdir={SNAPSHOTS}/19/fs,lowerdir={SNAPSHOTS}/1/fs\n",
    ],
)
def test_the_folder_to_fill_is_read_from_containerd_s_mount(mount: str) -> None:
    assert linking.upper_folder(mount) == Path(SNAPSHOTS, "19", "fs")


def test_a_mount_without_such_a_folder_is_refused() -> None:
    with pytest.raises(StageError, match="no folder to write to"):
        linking.upper_folder("mount -t tmpfs tmpfs /x")


def read(archive: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_the_archive_names_the_image_its_configuration_and_its_layers_but_holds_no_layer() -> None:
    config = b'{"architecture":"amd64"}'
    layers = tuple(linking.Layer(f"sha256:{digit * 64}", "", Path()) for digit in "ab")
    files = read(linking.image_archive(linking.Plan(layers, config, Path()), "docker.io/library/worker:1"))
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["annotations"] == {"io.containerd.image.name": "docker.io/library/worker:1"}
    manifest = json.loads(files["blobs/" + entry["digest"].replace(":", "/")])
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.diff for layer in layers]
    assert files["blobs/" + manifest["config"]["digest"].replace(":", "/")] == config
    assert len(files) == 4


def test_files_are_linked_and_folders_are_not(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "bin").mkdir(parents=True)
    (source / "bin").chmod(0o751)
    (source / "bin" / "tool").write_text("x")
    (source / "link").symlink_to("bin/tool")
    target.mkdir()
    linking._link_folder(source, target)
    assert (source / "bin" / "tool").samefile(target / "bin" / "tool")
    assert not (source / "bin").samefile(target / "bin")
    assert (target / "bin").stat().st_mode & 0o777 == 0o751
    assert str((target / "link").readlink()) == "bin/tool"
