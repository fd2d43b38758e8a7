"""What the pod's first process does for processes that nobody else waits for."""

import subprocess
import sys

from tests.support.repository import ROOT

# The program is the parent of all that its descendants leave, as process 1 is in a container.
PROGRAM = """
import ctypes, subprocess, time
from tests.support.processes import children
from transcription_worker.batch import engine_process

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
ours = subprocess.Popen(["sleep", "60"])
engine_process._own.add(ours.pid)
subprocess.run(["sh", "-c", "sleep 0.1 & true"], check=True)

time.sleep(0.3)
before = len(children())
engine_process.reap_orphans()
after = len(children())
ours.kill()
print(before, after, ours.wait())
"""


def test_orphans_are_waited_for_and_our_own_processes_left_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["2", "1", "-9"]
