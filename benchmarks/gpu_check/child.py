"""Run one part as a process of its own, so that neither a hang nor a crash of it ends the others."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

# A part ends with it where the machine lacks what it needs; its last line says what.
SKIPPED = 77
# Seconds that are left to the last lines of a process that was killed.
LAST_LINES_SECONDS = 2.0


@dataclass(frozen=True)
class Ended:
    """How a part ended: `outcome` in a word or two, and the seconds that it took."""

    outcome: str
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether it came to its end, or has nothing to do here."""
        return self.outcome == "ok" or self.outcome.startswith("skipped")


def run_child(command: Sequence[str], env: Mapping[str, str], limit: float, say: Callable[[str], None]) -> Ended:
    """Run a command for at most `limit` seconds, and hand over each line that it or a process of its own writes.

    At the limit it is killed with all processes that it started.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last = [""]
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, say, last), daemon=True)
    reader.start()
    try:
        code: int | None = process.wait(max(0.0, limit))
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _kill_all(process)
    reader.join(LAST_LINES_SECONDS)
    return Ended(_outcome(code, last[0], limit), time.monotonic() - began)


def _outcome(code: int | None, last: str, limit: float) -> str:
    if code is None:
        return f"not done after {limit:.0f} s"
    if code == SKIPPED:
        return last if last.startswith("skipped") else "skipped"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return "ok" if code == 0 else f"failed with exit code {code}"


def _read(stream: IO[str], say: Callable[[str], None], last: list[str]) -> None:
    with stream:
        for line in stream:
            if line.strip():
                last[0] = line.strip()
            say(line.rstrip("\n"))


def _kill_all(process: "subprocess.Popen[str]") -> None:
    """Kill what is left of the process's session: a program that it started may still hold the GPU."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
