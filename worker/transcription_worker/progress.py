"""Track the progress of a run, and serve it over HTTP to the operator."""

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


class ProgressTracker:
    """Holds the run's current progress; written and read by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._progress = Progress(stage="device")
        self._stage_began = clock()
        self._done: dict[int, dict[int, float]] = {}  # by input and track, of the inputs under way
        self._ended_seconds = 0.0  # of all inputs that have ended
        self._resumed_seconds = 0.0  # done by workers before

    def enter_stage(self, stage: str) -> None:
        """Enter a stage, which is one of report.STAGES."""
        log.info("stage %s", stage)
        with self._lock:
            self._progress = dataclasses.replace(self._progress, stage=stage, eta_seconds=None)
            self._stage_began = self._clock()

    def update(self, **fields: Any) -> None:
        """Set fields of report.Progress."""
        with self._lock:
            self._progress = dataclasses.replace(self._progress, **fields)

    def add_total(self, seconds: float) -> None:
        """Add the seconds of audio of another input to what is to be transcribed."""
        with self._lock:
            total = round((self._progress.seconds_total or 0.0) + seconds, 3)
            self._progress = dataclasses.replace(self._progress, seconds_total=total)

    def advance(self, seconds_done: float, track: int = 0, number: int = 0) -> None:
        """Set the seconds that are transcribed of a track of an input; what is shown is the sum over all."""
        with self._lock:
            self._done.setdefault(number, {})[track] = seconds_done
            under_way = sum(sum(tracks.values()) for tracks in self._done.values())
            total, done = self._progress.seconds_total, self._ended_seconds + under_way
            done = done if total is None else min(done, total)
            eta = eta_seconds(self._clock() - self._stage_began, done, total, self._resumed_seconds)
            self._progress = dataclasses.replace(self._progress, seconds_done=round(done, 3), eta_seconds=eta)

    def resume(self, seconds_done: float) -> None:
        """Leave seconds that a worker before has transcribed out of the speed. They count as done where `advance` says so."""
        with self._lock:
            self._resumed_seconds += seconds_done

    def end(self, number: int) -> None:
        """Sum up an input that has ended: what is kept must not grow with the number of inputs."""
        with self._lock:
            self._ended_seconds += sum(self._done.pop(number, {}).values())

    @property
    def tracks(self) -> int:
        """How many tracks are under way."""
        with self._lock:
            return sum(map(len, self._done.values()))

    def read(self) -> Progress:
        with self._lock:
            return self._progress


def eta_seconds(elapsed: float, done: float, total: float | None, resumed: float = 0.0) -> float | None:
    """Return the seconds left at the speed so far; None before a speed is known. All arguments are in seconds.

    `resumed` are those of `done` that did not take any of the time.
    """
    if not total or done <= resumed:
        return None
    return round(max(0.0, elapsed / (done - resumed) * (total - done)), 1)


def serve_progress(tracker: ProgressTracker, port: int) -> http.server.ThreadingHTTPServer | None:
    """Serve GET /progress and /healthz in a thread. Port 0 stands for any free port.

    Returns None and logs a warning if the port is taken, because a transcription matters more than its progress.
    """
    handler = type("ProgressHandler", (_Handler,), {"tracker": tracker})
    try:
        server = http.server.ThreadingHTTPServer(("0.0.0.0", port), handler)  # noqa: S104 - the operator asks from its own pod
    except OSError as error:
        log.warning("progress is not served: port %d: %s", port, error.strerror)
        return None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), name="progress", daemon=True).start()
    return server


class _Handler(http.server.BaseHTTPRequestHandler):
    tracker: ProgressTracker
    # In seconds, so that a client that sends nothing does not hold its thread.
    timeout = 5

    def do_GET(self) -> None:
        if self.path == "/progress":
            self._answer(200, json.dumps(to_json(self.tracker.read()), allow_nan=False).encode(), "application/json")
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
        """Do not log requests, since the operator polls every few seconds."""
