"""A part that hangs, crashes or is skipped ends itself alone, and what it said until then is there."""

import os
import sys
import time

import pytest

from benchmarks.gpu_check.child import Ended, run_child


def run(program: str, limit: float = 20.0) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    ended = run_child([sys.executable, "-u", "-S", "-c", program], os.environ, limit, lines.append)
    return ended, lines


def test_a_part_that_ends_is_ok_and_its_lines_are_handed_over() -> None:
    ended, lines = run("print('one'); import sys; print('two', file=sys.stderr)")
    assert (ended.outcome, ended.whole, lines) == ("ok", True, ["one", "two"])


def test_a_part_that_hangs_is_killed_at_its_limit_with_what_it_started() -> None:
    began = time.monotonic()
    program = "import subprocess, time; print('begun'); subprocess.Popen(['sleep', '600']); time.sleep(600)"
    ended, lines = run(program, limit=1.0)
    assert time.monotonic() - began < 10.0, "whatever holds the pipe open is killed too"
    assert (ended.outcome, ended.whole, lines) == ("not done after 1 s", False, ["begun"])


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("raise SystemExit(3)", "failed with exit code 3"),
        ("import os; os.abort()", "killed by SIGABRT"),
    ],
)
def test_a_part_that_fails_says_how(program: str, outcome: str) -> None:
    ended, _ = run(program)
    assert (ended.outcome, ended.whole) == (outcome, False)


def test_a_part_that_cannot_run_here_says_why() -> None:
    ended, _ = run("print('skipped: no ffmpeg'); raise SystemExit(77)")
    assert (ended.outcome, ended.whole) == ("skipped: no ffmpeg", True)
