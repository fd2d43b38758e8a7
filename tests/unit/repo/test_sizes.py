"""Files and functions of the product stay small."""

import ast
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

# The largest numbers of lines.
FILE_P90 = 350
FUNCTION_MEDIAN, FUNCTION_P90 = 12, 40


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Return the Python files of the api, the operator and the worker that git tracks."""
    command = ["git", "ls-files", "api/*.py", "operator/*.py", "worker/*.py"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert len(listed) > 100
    return [path for name in listed if (path := ROOT / name).exists()]


def p90(lengths: list[int]) -> float:
    return statistics.quantiles(lengths, n=10)[-1]


def largest(lengths: dict[str, int]) -> str:
    """Return the ten largest, for the failure's message."""
    order = sorted(lengths.items(), key=lambda item: -item[1])[:10]
    return "\n".join(f"{lines:5} {name}" for name, lines in order)


def function_lengths(path: Path) -> dict[str, int]:
    """Return the lines from `def` to the end of the body, by file, line and name."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in functions
    }


def test_nine_of_ten_files_are_short(files: list[Path]) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    found = p90([*lengths.values()])
    assert found <= FILE_P90, f"90th percentile {found:.0f} lines\n{largest(lengths)}"


def test_functions_are_short(files: list[Path]) -> None:
    lengths = {name: lines for path in files for name, lines in function_lengths(path).items()}
    median, high = statistics.median(lengths.values()), p90([*lengths.values()])
    numbers = f"median {median:.0f} lines, 90th percentile {high:.0f}\n{largest(lengths)}"
    assert median <= FUNCTION_MEDIAN, numbers
    assert high <= FUNCTION_P90, numbers
