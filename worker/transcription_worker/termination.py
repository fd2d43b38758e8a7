"""The termination message of the pod, written once, and the signals that end the program early."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from transcription_api import exit_codes, reasons
from transcription_api.report import Report, encode_report, failure

log = logging.getLogger(__name__)


class TerminationMessage:
    """Writes the report to the termination message once: the run's own, or Interrupted if a signal comes first."""

    def __init__(self, termination_log: Path, known: Callable[[], dict[str, object]]) -> None:
        self._path = termination_log
        self._known = known
        self._lock = threading.Lock()
        self._written = False

    def write(self, report: Report) -> bool:
        """Return whether this report was written: False if another one was before."""
        with self._lock:
            if self._written:
                return False
            self._written = True
            self._write_file(report)
            return True

    def _write_file(self, report: Report) -> None:
        try:
            self._path.write_bytes(encode_report(report))
        except OSError as error:
            # Outside Kubernetes there is no such file; the exit code and the log still tell.
            log.warning("no termination message: %s: %s", self._path, error.strerror)

    def interrupt(self, name: str) -> None:
        """Ends the program at once, whatever its other threads do; returns only if a report has been written already."""
        report = failure(reasons.INTERRUPTED, f"{name} came before the end", **self._known())
        if self.write(report):
            log.warning("%s: the run ends here", name)
            os._exit(exit_codes.INTERRUPTED)


def watch_signals(interrupt: Callable[[str], None]) -> None:
    """SIGTERM and SIGINT end the run from a thread of their own; `interrupt` is called with the signal's name.

    Python runs a signal's handler in the main thread, between two bytecodes: a long call into torch would hold it up.
    The byte that set_wakeup_fd writes comes from the C handler at once. As process 1 a program without a handler
    would not be ended by SIGTERM at all.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        # `sender` lives as long as this thread: closed, it would take the wakeup with it.
        with sender:
            while byte := receiver.recv(1):
                if byte[0] in (signal.SIGTERM, signal.SIGINT):
                    interrupt(signal.Signals(byte[0]).name)

    threading.Thread(target=wait, name="signals", daemon=True).start()
