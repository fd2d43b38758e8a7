"""A signal while a run comes to its end: what is written whole is a success."""

import subprocess
import sys
from pathlib import Path

from transcription_api import names
from transcription_api.report import parse_report
from transcription_api.task import Task, encode_task

PROGRAM = """
import os, signal, sys, time
from transcription_api.report import Report
from transcription_worker.job import command

class Server:
    def shutdown(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)

command.parse_spec = lambda task: task.spec
command.serve_progress = lambda tracker, port: Server()
command._of_phase = lambda *_: Report(words=3)
sys.exit(command.run_task())
"""


def test_a_signal_after_the_work_is_done_leaves_the_report_and_the_success(tmp_path: Path) -> None:
    message = tmp_path / names.TERMINATION_MESSAGE_PATH.lstrip("/")
    message.parent.mkdir(parents=True)
    task = encode_task(Task("team-a", "interview", "7c1dbb0a", {}))
    env = {names.ENV_TASK: task, "TRANSCRIPTION_ROOT": str(tmp_path), "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    report = parse_report(message.read_bytes())
    assert report is not None
    assert (ended.returncode, report.reason, report.words) == (0, None, 3), ended.stderr
