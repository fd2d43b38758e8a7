"""Run kubectl, helm and docker for the demo and the e2e tests."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

# The number of lines that are shown of a failed command's output.
TAIL = 30


class CommandError(RuntimeError):
    """Says that a command failed. The message has the command, its exit status and the end of its output."""


def run(*command: str, text: str | None = None, check: bool = True, aloud: bool = False) -> str:
    """Run a command and return its standard output. With `aloud`, its standard error is shown as it comes.

    Raises:
        CommandError: it exited non-zero and `check` is set.
    """
    stderr = None if aloud else subprocess.PIPE
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
    if check and done.returncode:
        said = "\n".join((done.stdout + (done.stderr or "")).splitlines()[-TAIL:])
        raise CommandError(f"{' '.join(command)} exited {done.returncode}:\n{said}")
    return done.stdout


def kubectl(*args: str, text: str | None = None, check: bool = True) -> str:
    """Run kubectl in the current context."""
    return run("kubectl", *args, text=text, check=check)


def get(kind: str, name: str, namespace: str) -> dict[str, Any] | None:
    """Return one object, or None if there is none."""
    found = kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    return json.loads(found) if found.strip() else None


def list_items(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """Return all objects of a kind in a namespace."""
    items: list[dict[str, Any]] = json.loads(kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json"))[
        "items"
    ]
    return items


def apply(manifest: str | dict[str, Any], namespace: str | None = None) -> None:
    """Apply a manifest on the server's side, so that applying it twice changes nothing."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    kubectl(
        "apply", "--server-side", "--force-conflicts", *(["-n", namespace] if namespace else []), "-f", "-", text=text
    )


def until(condition: Callable[[], Any], seconds: float, what: str, interval: float = 0.5) -> Any:
    """Wait for the condition's first true value and return it.

    Raises:
        TimeoutError: names what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(interval)
    return value


@contextmanager
def port_forward(target: str, namespace: str, port: int) -> Iterator[int]:
    """Forward a free local port to the target's port for the block."""
    command = ["kubectl", "port-forward", "-n", namespace, target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            line = forwarding.stdout.readline()
            if "->" not in line:
                raise CommandError(f"{' '.join(command)} did not start: {line!r}")
            threading.Thread(target=_drain, args=(forwarding.stdout,), daemon=True).start()
            yield int(line.split("->")[0].rsplit(":", 1)[1])
        finally:
            forwarding.terminate()


def _drain(stream: IO[str]) -> None:
    """Read what a program prints until it ends. kubectl prints a line a connection, and stops at the pipe's 64 KiB."""
    with contextlib.suppress(ValueError):  # closed meanwhile
        for _ in stream:
            pass
