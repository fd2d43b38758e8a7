"""Compare the result files of two engines."""

import json
from typing import Any

import pytest


def assert_same(written: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Compare files byte for byte, except numbers in json, since log probabilities of another batch differ slightly."""
    assert set(written) == set(expected)
    for name, body in expected.items():
        if name.endswith(".json"):
            assert json.loads(written[name]) == approximately(json.loads(body)), name
        else:
            assert written[name] == body, name


def approximately(value: Any) -> Any:
    """Return a value that equals anything with the same structure and texts, and numbers within 1e-4."""
    if isinstance(value, dict):
        return {key: approximately(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approximately(item) for item in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
