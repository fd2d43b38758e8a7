"""SIGTERM: what must not be lost is saved at once, what is nearly done is finished, and the program ends in time."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transcription_api import exit_codes, names
from transcription_api.report import parse_report
from transcription_worker.termination import grace_seconds

PROGRAM = """
import sys, time
from pathlib import Path
from transcription_api import reasons
from transcription_api.report import Report, failure
from transcription_worker.termination import TerminationMessage, on_interrupt, watch_signals

message = TerminationMessage(Path(sys.argv[1]), dict)
watch_signals(message.interrupt)
ended = []

def say(word):
    print(word, flush=True)

def finish(until):
    say("finish")
    {finish}

def save():
    say("save")
    {save}

with on_interrupt(save, finish{is_done}):
    say("ready")
    while not ended:
        time.sleep(0.01)
{after}
report = {report}
sys.exit(7 if message.write(report) else 143)
"""


def interrupted(folder: Path, grace: str, **parts: str) -> tuple[int, list[str], float, object]:
    """Run the program, end it, and return its exit code, what it said, the seconds that took, and the report's reason."""
    program = PROGRAM.format(**{"finish": "pass", "save": "pass", "report": "None", "is_done": "", "after": ""} | parts)
    path = folder / "message"
    command = [sys.executable, "-c", program, str(path)]
    env = {names.ENV_TERMINATION_GRACE_SECONDS: grace, "PATH": ""}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read().split()
        code = process.wait()
    report = parse_report(path.read_bytes())
    assert report is not None
    return code, said, time.monotonic() - began, report.reason


def test_it_is_saved_before_and_after_what_is_nearly_done_is_finished(tmp_path: Path) -> None:
    code, said, _, reason = interrupted(tmp_path, "30")
    assert (code, said, reason) == (exit_codes.INTERRUPTED, ["save", "finish", "save"], "Interrupted")


@pytest.mark.parametrize("slow", ["save", "finish"])
def test_nothing_is_waited_for_beyond_the_grace_period(tmp_path: Path, slow: str) -> None:
    code, said, seconds, reason = interrupted(tmp_path, "3", **{slow: "time.sleep(60)"})
    assert (code, said, reason) == (exit_codes.INTERRUPTED, ["save", "finish", "save"], "Interrupted")
    assert seconds < 20.0  # not the 60 of the act; on a busy machine it takes more than the 3


def test_a_run_that_comes_to_its_end_meanwhile_has_succeeded(tmp_path: Path) -> None:
    code, said, _, reason = interrupted(tmp_path, "30", finish="ended.append(1); time.sleep(60)", report="Report()")
    assert (code, said, reason) == (7, ["save", "finish"], None)


DONE = {"finish": "ended.append(1)", "is_done": ", lambda: bool(ended)", "report": "Report()"}


def test_a_run_whose_work_is_done_is_let_write_its_report(tmp_path: Path) -> None:
    code, said, _, reason = interrupted(tmp_path, "30", after="time.sleep(0.5)", **DONE)
    assert (code, said, reason) == (7, ["save", "finish", "save"], None)


def test_a_report_that_does_not_come_is_not_waited_for_beyond_the_grace_period(tmp_path: Path) -> None:
    code, _, seconds, reason = interrupted(tmp_path, "1", after="time.sleep(60)", **DONE)
    assert (code, reason) == (exit_codes.INTERRUPTED, "Interrupted")
    assert seconds < 10.0


def test_a_failure_after_the_signal_is_no_failure_of_the_run(tmp_path: Path) -> None:
    report = "failure(reasons.ENDPOINT_UNREACHABLE, 'the network is gone')"
    code, _, _, reason = interrupted(tmp_path, "30", finish="ended.append(1); time.sleep(60)", report=report)
    assert (code, reason) == (exit_codes.INTERRUPTED, "Interrupted")


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1"])
def test_a_grace_period_that_nobody_knows_is_that_of_kubernetes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_TERMINATION_GRACE_SECONDS, text)
    assert grace_seconds() == 30.0
