"""Run stages that print what they do and how long it took, and commands whose output goes to a log."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRESS_SECONDS = 30  # a command that runs longer says so this often
TAIL_LINES = 25  # of a failed command's log


class StageError(Exception):
    """A failure that the user can act on. The message says what to do or shows the end of the log."""


def say(text: str) -> None:
    """Write to stderr, since stdout is for what a caller captures."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print that `name` starts, and at its end how long it took."""
    began = time.monotonic()
    say(f"-> {name}")
    try:
        yield
    except BaseException:
        say(f"   failed after {time.monotonic() - began:.1f} s: {name}")
        raise
    say(f"   {time.monotonic() - began:.1f} s")


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run(
    command: Sequence[str | Path],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> None:
    """Run a command with its output added to `log`. Raises StageError with the log's end when it fails or is late."""
    words = [str(word) for word in command]
    began = time.monotonic()
    with log.open("ab") as out:
        out.write(f"\n$ {' '.join(words)}\n".encode())
        out.flush()
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env={**os.environ, **(env or {})}
        )
        code = _wait(child, words[0], log, began, timeout)
    if code != 0:
        raise StageError(f"{' '.join(words)[:300]}\nended with exit code {code}; the end of {log}:\n{tail(log)}")


def _wait(child: subprocess.Popen[bytes], name: str, log: Path, began: float, timeout: float | None) -> int:
    while True:
        try:
            return child.wait(PROGRESS_SECONDS if timeout is None else min(PROGRESS_SECONDS, timeout))
        except subprocess.TimeoutExpired:
            spent = time.monotonic() - began
            if timeout is not None and spent >= timeout:
                child.kill()
                child.wait()
                raise StageError(f"{name} took more than {timeout:.0f} s; the end of {log}:\n{tail(log)}") from None
            say(f"   {spent:.0f} s: {tail(log, 1)[:120]}")
        except BaseException:
            child.kill()
            raise


def output(command: Sequence[str | Path], timeout: float = 60, stdin: str | None = None) -> str:
    """Return what a short command prints. Raises StageError with its stderr when it fails or is late."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, input=stdin, check=False)
    except FileNotFoundError as error:
        raise StageError(f"{words[0]} is not installed; run hack/install") from error
    except subprocess.TimeoutExpired as error:
        raise StageError(f"{' '.join(words)[:300]}\ngave no answer in {timeout:.0f} s") from error
    if done.returncode != 0:
        raise StageError(
            f"{' '.join(words)[:300]}\nended with exit code {done.returncode}: {done.stderr.strip()[-2000:]}"
        )
    return done.stdout


def wait_for(what: str, ready: Callable[[], bool], seconds: float, step: float = 0.25) -> None:
    """Poll until `ready()`. Raises StageError, naming `what`, after `seconds`."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > seconds:
            raise StageError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(step)
