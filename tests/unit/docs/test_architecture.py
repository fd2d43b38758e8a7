"""The page names modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/architecture.md").read_text()
PATHS = TEXT[TEXT.index("## The path of a resource") : TEXT.index("## Who")]
# Words in code style that are not modules.
OTHERS = {"crds/", "spec.retries", "podFailurePolicy", "GET /progress"}
WORKER = ROOT / "worker/transcription_worker"
FOLDERS = [ROOT / "operator/transcription_operator", WORKER, WORKER / "engines/batched"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([^`]+)`", PATHS)) - OTHERS))
def test_every_module_on_the_paths_exists(name: str) -> None:
    assert any((folder / f"{name}.py").exists() or (folder / name).is_dir() for folder in FOLDERS)


@pytest.mark.parametrize(
    "package", ["watch", "controller", "reconcile", "manifests", "pipeline", "scheduling", "algorithm"]
)
def test_a_package_that_a_newcomer_looks_for_is_on_the_paths(package: str) -> None:
    assert f"`{package}/" in PATHS
