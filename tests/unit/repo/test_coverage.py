"""Code that the coverage report leaves out still has the name that the configuration gives."""

import re
import tomllib

import pytest

from tests.support.repository import ROOT

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
DECORATORS = [line for line in CONFIGURATION["report"]["exclude_also"] if line.startswith("^@")]


@pytest.mark.parametrize("expression", DECORATORS)
def test_a_decorator_that_is_left_out_is_in_use(expression: str) -> None:
    sources = (path.read_text() for path in (ROOT / "worker/transcription_worker/engines").rglob("*.py"))
    assert any(re.search(expression, source, re.MULTILINE) for source in sources)
