"""openai-whisper's own command with the test model, and results compared with its."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.testmodel import model_path

THREADS = "1"  # of torch, on both sides of every comparison


def whisper_command(files: list[Path], out: Path, *options: str) -> dict[str, bytes]:
    """The files that the command writes, by name."""
    program = str(Path(sys.executable).with_name("whisper"))
    fixed = ["--model", str(model_path()), "--device", "cpu", "--threads", THREADS, "--output_dir", str(out)]
    subprocess.run(
        [program, *map(str, files), *fixed, *options],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": THREADS},
        stdout=subprocess.DEVNULL,
    )
    return {path.name: path.read_bytes() for path in out.iterdir()}


def assert_same(written: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Byte for byte, but for a json's numbers: log probabilities of another batch differ in their last digits."""
    assert set(written) == set(expected)
    for name, body in expected.items():
        if name.endswith(".json"):
            assert json.loads(written[name]) == approximately(json.loads(body)), name
        else:
            assert written[name] == body, name


def approximately(value: Any) -> Any:
    """Equal to what has the same shape and words, and numbers within 1e-4."""
    if isinstance(value, dict):
        return {key: approximately(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approximately(item) for item in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
