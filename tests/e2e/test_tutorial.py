"""`make demo` shows a new user real Whisper, and each command of the tutorial prints what the tutorial says."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from hack.demo.__main__ import ENGLISH, NAMESPACE
from tests.support.realmodel import real_model_path
from tests.support.repository import ROOT
from tests.support.stack.kube import get, kubectl
from tests.support.stack.release import ensure_release
from tests.support.testmodel import sha256
from tests.support.transcript_score import word_error_rate
from tests.support.tutorial import DEMO, END, WER_MAX, missing, shown_by_the_demo, steady_lines, steps, transcript_in

PATIENCE = 900
# What the make that runs these tests tells the one that they run.
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "SAID")
STEP_ENDED = "-- the step has ended --"

pytestmark = pytest.mark.real_model


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command at the repository's root, as from a user's shell."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.fixture(scope="module")
def demo(client: Any, values: dict[str, Any]) -> Iterator["subprocess.CompletedProcess[str]"]:
    """Yield the outcome of `make demo`; afterwards the release is again that of the other modules."""
    yield run(*DEMO.split())
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    ensure_release(values)


def test_make_demo_ends_well_and_prints_what_was_spoken(demo: "subprocess.CompletedProcess[str]", client: Any) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    stored = client.get_object(Bucket="transcripts", Key="interviews/english.txt")["Body"].read().decode()
    assert transcript_in(demo.stdout) == stored.strip()
    assert word_error_rate(ENGLISH, stored) <= WER_MAX


def test_the_model_that_wrote_it_is_whispers_tiny_en(demo: "subprocess.CompletedProcess[str]") -> None:
    found = get("transcriptionjob", "english", NAMESPACE)
    assert found is not None
    assert found["status"]["model"] == {"name": "tiny.en.pt", "digest": f"sha256:{sha256(real_model_path())}"}


def test_the_demo_prints_what_the_tutorial_shows(demo: "subprocess.CompletedProcess[str]") -> None:
    shown, printed = steady_lines(shown_by_the_demo()), steady_lines(demo.stdout)
    assert [line for line in shown if line not in printed] == []
    assert word_error_rate(transcript_in(shown_by_the_demo()), transcript_in(demo.stdout)) <= WER_MAX


def test_each_command_of_the_tutorial_prints_what_the_tutorial_shows(demo: "subprocess.CompletedProcess[str]") -> None:
    """All run in one shell, as a reader types them; what they leave in the background ends with it."""
    typed = [step for step in steps() if step.commands.strip() not in (DEMO, END)]
    script = "".join(f"{step.commands}\necho; echo '{STEP_ENDED}'\n" for step in typed)
    done = run("bash", "-ec", f"trap 'kill $(jobs -p)' EXIT\n{script}")
    assert done.returncode == 0, done.stdout + done.stderr
    *printed, _ = done.stdout.split(STEP_ENDED)
    found = [missing(step.printed, text) for step, text in zip(typed, printed, strict=True) if step.printed]
    assert found == [[]] * len(found)
