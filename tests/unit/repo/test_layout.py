"""Tests are in the right folder, and import only what they may."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

UNIT = ROOT / "tests/unit"
# The package each folder of unit tests mirrors.
PACKAGES = {
    "transcription_api": ROOT / "api/transcription_api",
    "transcription_operator": ROOT / "operator/transcription_operator",
    "transcription_worker": ROOT / "worker/transcription_worker",
}
MODULES = sorted((ROOT / "tests").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Return every module that the file imports, and every name it imports from one, as dotted paths."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_from_a_conftest_or_a_test_module(path: Path) -> None:
    ours = [name for name in imported(path) if name.startswith("tests.")]
    wrong = [name for name in ours if any(re.match(r"conftest$|test_", part) for part in name.split("."))]
    assert not wrong, "move what several tests use to tests/support"


def test_support_imports_nothing_from_tests_besides_itself() -> None:
    names = {(path.name, name) for path in (ROOT / "tests/support").rglob("*.py") for name in imported(path)}
    assert not [found for found in names if found[1].startswith("tests.") and not found[1].startswith("tests.support.")]


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_of_unit_tests_mirror_the_packages(package: str) -> None:
    tests = UNIT / package
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*.py")}
    assert folders
    missing = [str(folder) for folder in folders if not (PACKAGES[package] / folder).is_dir()]
    assert not missing, f"{PACKAGES[package]} has no such folders"


def test_every_package_has_unit_tests_of_its_own() -> None:
    assert {path.name for path in UNIT.iterdir() if path.name.startswith("transcription_")} == set(PACKAGES)
