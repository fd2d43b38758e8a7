"""Start operators that have the clock of `tests.faults.clock`, each as a fork of this process.

An operator that starts anew imports its modules for two seconds of CPU time. Here they are imported once.
Each line on stdin is JSON with an environment and the path of a log; the pid of the operator is the answer.
"""

import asyncio
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.faults.clock import ENVIRONMENT, OperatorSelector, OperatorTime, SharedClock

_real = time.monotonic
_clock: OperatorTime | None = None


def monotonic() -> float:
    """Return the operator's time, once there is one."""
    return _real() if _clock is None else _clock.monotonic()


# Before the operator's modules are imported: they take the function itself.
time.monotonic = monotonic

import aiohttp  # noqa: E402
from kubernetes.aio.config import kube_config  # noqa: E402
from transcription_operator.__main__ import main as run_operator  # noqa: E402
from transcription_operator.cluster.connection import Connection  # noqa: E402


def count_requests(owner: type, method: str) -> None:
    """Let a coroutine method of a class count as a request that is awaited while it runs."""
    send = getattr(owner, method)

    async def counted(*args: Any, **options: Any) -> Any:
        assert _clock is not None
        _clock.requests += 1
        try:
            return await send(*args, **options)
        finally:
            _clock.requests -= 1

    setattr(owner, method, counted)


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes event loops that sleep by the operator's clock."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        assert _clock is not None
        return asyncio.SelectorEventLoop(OperatorSelector(_clock))


def main() -> None:
    """Serve until stdin is closed, and reap the operators that have ended. Then kill those that are left."""
    children: set[int] = set()
    while True:
        if select.select([sys.stdin], [], [], 0.02)[0]:
            line = sys.stdin.readline()
            if not line:
                break
            children.add(child := fork(**json.loads(line)))
            print(child, flush=True)
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def fork(environment: dict[str, str], log: str) -> int:
    """Fork an operator and return its pid."""
    pid = os.fork()
    if pid:
        return pid
    global _clock  # noqa: PLW0603 - of this process alone
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environment["KUBECONFIG"]  # it was read when the module was imported
    _clock = OperatorTime(SharedClock(Path(environment[ENVIRONMENT])), _real)
    asyncio.set_event_loop_policy(Policy())
    count_requests(Connection, "request")
    count_requests(aiohttp.ClientSession, "_request")  # Kopf's too, until the response begins
    status = 70  # an exception that main let through
    try:
        status = run_operator()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
