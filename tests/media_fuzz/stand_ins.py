"""Stand-ins for the front end that take too much, or leave something behind."""

import os
import signal
import subprocess
import sys
import time

from tests.media_fuzz.front_end import Ending, Request

GREED = 320 << 20
PROGRAM = f"held = b'x' * {GREED}"
REFUSED = Ending("UnsupportedMedia", "this is no media file")


def modest(request: Request) -> Ending:
    """Take and leave nothing."""
    return REFUSED


def sleeping(request: Request) -> Ending:
    """Start a process in a group of its own, say which, and wait with it."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        (request.scratch.parent / "process").write_text(str(process.pid))
        time.sleep(60)
    return REFUSED


def dying(request: Request) -> Ending:
    """End as a process does that touches memory which is not its own."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return REFUSED


def raising(request: Request) -> Ending:
    """Raise what nobody expects."""
    raise KeyError("streams")


def holding(request: Request) -> Ending:
    """Hold memory for a moment."""
    assert len(b"x" * GREED) == GREED
    return REFUSED


def starting_a_holder(request: Request) -> Ending:
    """Have a process of ours hold memory for a moment."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
    return REFUSED


def writing(request: Request) -> Ending:
    """Have a process of ours fill the disk for a moment."""
    path = request.scratch / "samples"
    subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={GREED >> 20}", "status=none"], check=True)
    path.unlink()
    return REFUSED


def leaving_a_file(request: Request) -> Ending:
    """Leave a file behind."""
    (request.scratch / "samples").touch()
    return REFUSED


def leaving_a_process(request: Request) -> Ending:
    """Leave a process behind."""
    subprocess.Popen(["sleep", "60"])
    return REFUSED


def leaving_an_orphan(request: Request) -> Ending:
    """Leave a process behind whose own parent has ended."""
    subprocess.run(["sh", "-c", "sleep 60 &"], check=True)
    return REFUSED
