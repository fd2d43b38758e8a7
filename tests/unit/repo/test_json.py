"""JSON has neither NaN nor infinity: Python's own writer writes both unless it is told otherwise."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

SOURCES = [
    path for name in ("api", "operator", "worker") for path in (ROOT / name / f"transcription_{name}").rglob("*.py")
]


def writers_of_nan(source: str) -> Iterator[int]:
    """Yield the lines of calls of json.dumps and json.dump without allow_nan=False."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("json.dumps", "json.dump"):
            continue
        if not any(word.arg == "allow_nan" and ast.unparse(word.value) == "False" for word in node.keywords):
            yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_json_of_ours_can_hold_nan_or_infinity(path: Path) -> None:
    assert list(writers_of_nan(path.read_text())) == []


def test_a_writer_that_would_write_nan_is_found() -> None:
    source = "import json\njson.dumps(1)\njson.dumps(1, allow_nan=False)\njson.dump(1, f, allow_nan=True)\n"
    assert list(writers_of_nan(source)) == [2, 4]
