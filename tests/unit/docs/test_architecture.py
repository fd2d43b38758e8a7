"""The page names modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/architecture.md").read_text()
PATH = TEXT[TEXT.index("## The path") : TEXT.index("## Who")]
# Words in code style that are no modules.
OTHERS = {"crds/", "spec.retries", "podFailurePolicy", "GET /progress", "reconcile.decide"}
FOLDERS = [ROOT / "operator/transcription_operator", ROOT / "worker/transcription_worker"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([^`]+)`", PATH)) - OTHERS))
def test_every_module_on_the_path_exists(name: str) -> None:
    assert any((folder / f"{name}.py").exists() or (folder / name).is_dir() for folder in FOLDERS)
