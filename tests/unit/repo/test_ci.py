"""Hosted CI runs what a developer runs, with pinned actions."""

import re
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_only_commands_are_the_projects_own(steps: list[dict[str, Any]]) -> None:
    assert [step["run"] for step in steps if "run" in step] == ["sudo .ci/run", "sudo make test-torch"]


def test_actions_are_pinned_to_a_commit(steps: list[dict[str, Any]]) -> None:
    actions = [step["uses"] for step in steps if "uses" in step]
    assert actions
    assert [action for action in actions if not re.search(r"@[0-9a-f]{40}$", action)] == []
