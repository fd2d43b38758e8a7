"""Every reason has an entry on the page, which agrees with the code."""

import re
from pathlib import Path

import pytest
from transcription_api import reasons

TEXT = (Path(__file__).parents[3] / "docs/troubleshooting.md").read_text()
ENTRIES = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))


def test_every_reason_has_an_entry_and_every_entry_a_reason() -> None:
    assert set(ENTRIES) == set(reasons.BY_NAME)


@pytest.mark.parametrize("reason", reasons.ALL, ids=lambda reason: reason.name)
def test_an_entry_gives_the_advice_and_exit_code_of_its_reason(reason: reasons.Reason) -> None:
    entry = ENTRIES[reason.name]
    assert reason.advice in entry
    assert reason.exit_code is None or f"exits with {reason.exit_code}" in entry


@pytest.mark.parametrize("reason", reasons.WORKER_REASONS, ids=lambda reason: reason.name)
def test_an_entry_says_whether_the_worker_is_tried_again(reason: reasons.Reason) -> None:
    assert ENTRIES[reason.name].startswith("Permanent" if reason.permanent else "Transient")
