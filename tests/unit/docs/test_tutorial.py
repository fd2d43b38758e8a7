"""The tutorial shows commands that exist, and a demo that reads aloud what the code says. Each is run in tests/e2e."""

import re
import subprocess

import pytest

from hack.demo.__main__ import ENGLISH, EXPECTED
from tests.support.repository import ROOT
from tests.support.transcript_score import word_error_rate
from tests.support.tutorial import DEMO, END, PAGE, WER_MAX, missing, shown_by_the_demo, steps, transcript_in


def test_it_begins_with_the_demo_and_ends_by_removing_the_cluster() -> None:
    commands = [step.commands.strip() for step in steps()]
    assert commands[0] == DEMO
    assert END in commands
    assert len([step for step in steps() if step.printed]) >= 7


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", PAGE))))
def test_every_make_target_of_the_tutorial_exists(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_the_transcript_that_it_shows_is_of_what_the_demo_has_read_aloud() -> None:
    assert word_error_rate(ENGLISH, transcript_in(shown_by_the_demo())) <= WER_MAX


@pytest.mark.parametrize("name", EXPECTED)
def test_each_resource_of_the_demo_is_shown_with_the_phase_that_it_ends_in(name: str) -> None:
    """Once while the demo waits, and once in the table of kubectl."""
    assert re.findall(rf"^ *{name} +(Complete|Failed)\b", shown_by_the_demo(), re.M) == [EXPECTED[name]] * 2


def test_the_readme_and_the_page_for_contributors_lead_to_it() -> None:
    assert "(docs/tutorial.md)" in (ROOT / "README.md").read_text()
    assert "(tutorial.md)" in (ROOT / "docs/contributing.md").read_text()


def test_output_that_differs_by_more_than_numbers_is_told() -> None:
    shown = "NAME AGE\nenglish  Complete  1m30s\n"
    assert missing(shown, "NAME   AGE\nenglish  Complete   7s\n") == []
    assert missing(shown, "NAME AGE\nenglish  Failed  1m30s\n") != []
    assert missing(shown, "NAME AGE\n") != []
    assert missing(shown, shown + "more\n") != []
    assert missing(f"{shown}...\n", f"{shown}more\n") == []
    assert missing(f"...\n{shown}", f"more\n{shown}") == []
    assert missing(f"...\n{shown}", f"{shown}more\n") != []
