"""What the run is doing now, and the HTTP server that tells it."""

import dataclasses
import http.server
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from transcription_api.codec import to_json
from transcription_api.report import Progress

log = logging.getLogger(__name__)


class Board:
    """The run's current progress; written by one thread, read by the server's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._progress = Progress(stage="device")
        self._stage_began = clock()
        self._done: dict[int, float] = {}

    def enter(self, stage: str) -> None:
        """The next of report.STAGES begins."""
        log.info("stage %s", stage)
        with self._lock:
            self._progress = dataclasses.replace(self._progress, stage=stage, eta_seconds=None)
            self._stage_began = self._clock()

    def note(self, **fields: Any) -> None:
        """Fields of report.Progress that are known from now on."""
        with self._lock:
            self._progress = dataclasses.replace(self._progress, **fields)

    def advance(self, seconds_done: float, track: int = 0) -> None:
        """So many seconds of this track are transcribed; what is shown is the sum over all."""
        with self._lock:
            self._done[track] = seconds_done
            total, done = self._progress.seconds_total, sum(self._done.values())
            done = done if total is None else min(done, total)
            eta = eta_seconds(self._clock() - self._stage_began, done, total)
            self._progress = dataclasses.replace(self._progress, seconds_done=round(done, 3), eta_seconds=eta)

    def read(self) -> Progress:
        with self._lock:
            return self._progress


def eta_seconds(elapsed: float, done: float, total: float | None) -> float | None:
    """Seconds left at the pace so far; None before there is one."""
    if not total or done <= 0:
        return None
    return round(max(0.0, elapsed / done * (total - done)), 1)


def serve_progress(board: Board, port: int) -> http.server.ThreadingHTTPServer | None:
    """GET /progress and /healthz in a thread of their own. Port 0: any free one.

    None where the port is taken: the transcription is worth more than its progress, and the log says so.
    """
    handler = type("ProgressHandler", (_Handler,), {"board": board})
    try:
        server = http.server.ThreadingHTTPServer(("0.0.0.0", port), handler)  # noqa: S104 - the operator asks from its own pod
    except OSError as error:
        log.warning("progress is not served: port %d: %s", port, error.strerror)
        return None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), name="progress", daemon=True).start()
    return server


class _Handler(http.server.BaseHTTPRequestHandler):
    board: Board
    # Seconds: a client that says nothing does not hold its thread.
    timeout = 5

    def do_GET(self) -> None:
        if self.path == "/progress":
            self._answer(200, json.dumps(to_json(self.board.read())).encode(), "application/json")
        elif self.path == "/healthz":
            self._answer(200, b"ok\n", "text/plain")
        else:
            self._answer(404, b"not found\n", "text/plain")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """No line for each poll."""
