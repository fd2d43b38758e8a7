"""The package with Whisper's tiny.en is for development alone: no package of ours requires it, and no image installs it."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from hack.realmodel.package import DISTRIBUTION
from tests.support.repository import ROOT

# The groups that ask for it: of the workspace, and of `make test-torch`, whose lock is that of an image too.
GROUPS = {"pyproject.toml": {"real-model"}, "worker/image/cuda12/pyproject.toml": {"tests"}}
LOCKS = ["uv.lock", "worker/image/cuda12/uv.lock"]
DOCKERFILES = ["Dockerfile.operator", "Dockerfile.worker"]
# `uv export` and `uv sync` take the same options for what is meant; the second also says what is installed later.
COMMAND = re.compile(
    r'(?:cd "/src/(?P<folder>[^"]+)" *\\?\s*&& )?[^&]*?/opt/uv/bin/uv (?:export|sync) (?P<words>[^>\n]*)'
)
# A package of each command, without which it would prove nothing, in the order of the file.
BROUGHT = {"Dockerfile.operator": ["kopf", "boto3"], "Dockerfile.worker": ["torch", "openai-whisper"]}


def tracked(*patterns: str) -> list[str]:
    """Return the files that git tracks, as paths from the repository's root."""
    command = ["git", "ls-files", *patterns]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def requirements(project: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each requirement of a pyproject.toml with its place: dependencies, an extra or a group."""
    own = project.get("project", {})
    places = [("dependencies", own.get("dependencies", []))]
    places += [*own.get("optional-dependencies", {}).items(), *project.get("dependency-groups", {}).items()]
    for place, items in places:
        yield from ((place, str(item)) for item in items)


def installed(dockerfile: str, cuda: str) -> list[set[str]]:
    """Return the names of packages that each uv command of a Dockerfile brings, by the locks of the checkout."""
    found = []
    for command in COMMAND.finditer((ROOT / dockerfile).read_text()):
        folder = ROOT / (command["folder"] or "").replace("$CUDA", cuda)
        words = re.sub(r"--no-install-package \S+", "", command["words"]).rstrip(" \\")
        exported = ["uv", "export", "--no-hashes", "--no-header", *shlex.split(words)]
        done = subprocess.run(exported, cwd=folder, check=True, capture_output=True, text=True)
        found.append(set(re.findall(r"^([a-z0-9-]+)==", done.stdout, re.M)))
    return found


def test_no_package_and_no_extra_requires_it_and_its_version_is_pinned() -> None:
    found: dict[str, set[str]] = {}
    for path in tracked("*pyproject.toml"):
        for place, requirement in requirements(tomllib.loads((ROOT / path).read_text())):
            if DISTRIBUTION in requirement or "real-model" in requirement:
                assert re.fullmatch(rf"{DISTRIBUTION}==[\d.]+", requirement)
                found.setdefault(path, set()).add(place)
    assert found == GROUPS


def test_each_lock_has_the_same_hash_of_the_one_wheel() -> None:
    hashes = []
    for lock in LOCKS:
        (package,) = [one for one in tomllib.loads((ROOT / lock).read_text())["package"] if one["name"] == DISTRIBUTION]
        (wheel,) = package["wheels"]
        hashes.append(wheel["hash"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", hashes[0])
    assert hashes == hashes[:1] * len(LOCKS)


@pytest.mark.parametrize("cuda", ["12", "13"])
@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_no_image_installs_it(dockerfile: str, cuda: str) -> None:
    commands = installed(dockerfile, cuda)
    assert [name in names for name, names in zip(BROUGHT[dockerfile], commands, strict=True)] == [True, True]
    assert not any(DISTRIBUTION in names for names in commands)


def test_neither_the_product_nor_an_image_nor_the_chart_names_it() -> None:
    names = re.compile(rf"{DISTRIBUTION}|{DISTRIBUTION.replace('-', '_')}|\bhack[./]realmodel")
    files = [
        ROOT / path for path in tracked("api", "operator", "worker/transcription_worker", "helm", "crds", "Dockerfile*")
    ]
    assert len(files) > 200
    assert [str(path) for path in files if path.is_file() and names.search(path.read_text())] == []
